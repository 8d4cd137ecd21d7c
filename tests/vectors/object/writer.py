"""Sealed objects, written from docs/object-format.md alone.

Shares no code with ``strongroom.sealed``, so that a mistake would have to be made twice to stay unseen. Every field can
be given a wrong value; what depends on it (keys, commitment, tags) follows, so that a vector breaks one rule only.
"""

import base64
import hashlib
import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEK = bytes(range(32))
WHOLE, PART, MANIFEST, MARKER = 1, 2, 3, 4


def noise(label: str, length: int) -> bytes:
    """Bytes that look random and are the same every time: SHAKE-128 of the label."""
    return hashlib.shake_128(label.encode()).digest(length)


def sha(*fields: bytes) -> bytes:
    """SHA-256 of fields that are joined by NUL."""
    return hashlib.sha256(b"\0".join(fields)).digest()


def name_tag(bucket: str, key: str) -> bytes:
    """Bind to a name."""
    return sha(b"seg1/name", bucket.encode(), key.encode())


def upload_tag(bucket: str, key: str, upload_id: str) -> bytes:
    """Return the object id of parts and manifest."""
    return sha(b"seg1/upload", bucket.encode(), key.encode(), upload_id.encode())[:16]


@dataclass(frozen=True)
class Bk:
    """A bucket key, wrapped by a key file."""

    label: str = "bk"
    policy: str = "default"

    @property
    def value(self) -> bytes:
        """The key."""
        return noise(self.label + " key", 32)

    @property
    def id(self) -> bytes:
        """Its id."""
        return noise(self.label + " id", 16)

    def wrapped(self, policy: str | None = None) -> bytes:
        """Return the wrapped key, form 2."""
        nonce = noise(self.label + " kek nonce", 12)
        aad = f"seg1/bk/{self.policy if policy is None else policy}/{self.id.hex()}".encode()
        return struct.pack(">BI", 2, 7) + nonce + AESGCM(KEK).encrypt(nonce, self.value, aad)


@dataclass(frozen=True)
class Head:
    """A header, field by field; what is None is worked out."""

    kind: int
    length: int
    label: str
    bk: Bk = Bk()
    object_id: bytes | None = None
    part: int = 0
    log2: int | None = None
    magic: bytes = b"SEG1"
    suite: int = 1
    flags: int = 0
    reserved: bytes = bytes(8)
    wrapped: bytes | None = None
    wrapped_length: int | None = None
    policy: bytes | None = None

    @property
    def salt(self) -> bytes:
        """The salt of this attempt."""
        return noise(self.label + " salt", 32)

    @property
    def size_of_chunk(self) -> int:
        """The log2 that the specification asks for."""
        if self.log2 is not None:
            return self.log2
        if self.kind == PART:
            return next(log2 for log2 in range(16, 24) if self.length <= 1024 << log2)
        return 18 if self.kind == MANIFEST else 16

    def committed(self) -> bytes:
        """Return the first 224 bytes."""
        wrapped = self.bk.wrapped() if self.wrapped is None else self.wrapped
        raw = self.magic + bytes([self.suite, self.kind, self.size_of_chunk, self.flags])
        raw += struct.pack(">Q", self.length) + self.bk.id + self.salt
        raw += noise(self.label + " id", 16) if self.object_id is None else self.object_id
        length = len(wrapped) if self.wrapped_length is None else self.wrapped_length
        raw += struct.pack(">HH", self.part, length) + wrapped.ljust(100, b"\0") + self.reserved
        raw += (self.bk.policy.encode() if self.policy is None else self.policy).ljust(32, b"\0")
        assert len(raw) == 224
        return raw

    def key(self, label: str) -> bytes:
        """HKDF (RFC 5869) by hand."""
        prk = hmac.new(self.salt, self.bk.value, hashlib.sha256).digest()
        info = b"seg1/" + label.encode() + hashlib.sha256(self.committed()).digest()
        return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()

    def raw(self) -> bytes:
        """Return the 256 bytes."""
        return self.committed() + self.key("commit")


def chunks(head: Head, plaintext: bytes, *, finals: Sequence[int] | None = None) -> list[bytes]:
    """Seal the chunks; ``finals`` replaces the indices of those sealed as final."""
    size = 1 << head.size_of_chunk
    pieces = [plaintext[at : at + size] for at in range(0, len(plaintext), size)] or [b""]
    final = [len(pieces) - 1] if finals is None else finals
    cipher, prefix = AESGCM(head.key("data")), head.key("nonce")[:7]
    return [
        cipher.encrypt(prefix + struct.pack(">IB", index, index in final), piece, b"")
        for index, piece in enumerate(pieces)
    ]


@dataclass(frozen=True)
class Digests:
    """The 96 bytes of digests."""

    md5: bytes = bytes(16)
    has_md5: int = 0
    algorithm: int = 0
    scope: int = 0
    zero: int = 0
    parts: int = 0
    checksum: bytes = b""
    reserved: bytes = bytes(40)

    def raw(self) -> bytes:
        """Return them."""
        first = struct.pack(">4BI", self.has_md5, self.algorithm, self.scope, self.zero, self.parts)
        return first + self.md5 + self.checksum.ljust(32, b"\0") + self.reserved


def digests_of(plaintext: bytes) -> Digests:
    """MD5 and SHA-256 of the full object."""
    return Digests(hashlib.md5(plaintext).digest(), 1, 5, 1, checksum=hashlib.sha256(plaintext).digest())  # noqa: S324


def footer(head: Head, digests: bytes) -> bytes:
    """Seal a footer."""
    return AESGCM(head.key("footer")).encrypt(bytes(12), digests, b"")


def whole(head: Head, plaintext: bytes, digests: Digests | None = None) -> bytes:
    """Return a whole object."""
    head = replace(head, length=len(plaintext))
    ending = footer(head, (digests_of(plaintext) if digests is None else digests).raw())
    return head.raw() + b"".join(chunks(head, plaintext)) + ending


def part(head: Head, plaintext: bytes, *, padding: bytes | None = None) -> bytes:
    """Return a part with its padding."""
    sealed = b"".join(chunks(head, plaintext))
    count = (len(sealed) - len(plaintext)) // 16
    return head.raw() + sealed + (bytes(16 * (1024 - count)) if padding is None else padding)


@dataclass(frozen=True)
class Record:
    """A record of a manifest."""

    number: int
    length: int
    added: int = 0
    zero: bytes = bytes(5)

    def raw(self) -> bytes:
        """Return the 16 bytes."""
        return struct.pack(">HB", self.number, self.added) + self.zero + struct.pack(">Q", self.length)


@dataclass(frozen=True)
class Contents:
    """The plaintext of a manifest; what is None is worked out."""

    records: tuple[Record, ...]
    name: bytes
    count: int | None = None
    zero: bytes = bytes(4)
    total: int | None = None
    digests: Digests = Digests()

    def raw(self) -> bytes:
        """Return it."""
        total = sum(record.length for record in self.records) if self.total is None else self.total
        count = len(self.records) if self.count is None else self.count
        fixed = struct.pack(">I", count) + self.zero + struct.pack(">Q", total) + self.name + self.digests.raw()
        return fixed + b"".join(record.raw() for record in self.records)


def manifest(contents: Contents, tag: bytes, label: str = "manifest", bk: Bk | None = None) -> bytes:
    """Return a sealed manifest."""
    raw = contents.raw()
    head = Head(MANIFEST, len(raw), label, bk or Bk(), tag)
    return head.raw() + b"".join(chunks(head, raw))


def field(tag: int, value: bytes) -> bytes:
    """Return a field of attributes."""
    return struct.pack(">BH", tag, len(value)) + value


def metadata(pairs: Mapping[str, str] | Sequence[tuple[str, str]]) -> bytes:
    """Return user metadata as it is sealed."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    out = b""
    for name, value in items:
        out += bytes([len(name.encode())]) + name.encode() + struct.pack(">H", len(value.encode())) + value.encode()
    return out


def entry(head: Head, bucket: str, key: str, attributes: bytes = b"") -> bytes:
    """Return the bytes of a metadata entry."""
    nonce = noise(f"{head.label} entry {bucket} {key}", 12)
    return head.raw() + nonce + AESGCM(head.key("attr")).encrypt(nonce, attributes, name_tag(bucket, key))


def text(raw: bytes) -> str:
    """Base64, padded."""
    return base64.b64encode(raw).decode()

"""The 256 bytes that every segment begins with. ``docs/object-format.md``, section "Segment".

Reading checks rules 1 to 5 only: a header means nothing until ``segment`` has compared its commitment.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import Final

from strongroom.errors import MisuseError
from strongroom.sealed import sizes
from strongroom.sealed.names import POLICY_NAME
from strongroom.sealed.refusal import RefusedError, refuse
from strongroom.sealed.wrapping import parse_wrapped

MAGIC: Final = b"SEG1"
SUITE: Final = 1  # AES-256-GCM, HKDF with SHA-256
ID_BYTES: Final = 16
SALT_BYTES: Final = 32
MAX_WRAPPED_BYTES: Final = 100
COMMITTED_BYTES: Final = 224  # everything before the commitment

_HEADER: Final = Struct(">4sBBBBQ16s32s16sHH100s8s32s32s")


class Kind(IntEnum):
    """What a segment is."""

    __hash__ = int.__hash__  # Enum's own hashes the name; tables are asked by it several times for each object

    WHOLE = 1
    PART = 2
    MANIFEST = 3
    MARKER = 4


_KINDS: Final = {int(kind): kind for kind in Kind}
_MAX_PLAINTEXT_BYTES: Final = {
    Kind.WHOLE: sizes.MAX_WHOLE_BYTES,
    Kind.PART: sizes.MAX_PART_BYTES,
    Kind.MANIFEST: sizes.MAX_MANIFEST_BYTES,
    Kind.MARKER: 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The fields of a header.

    Attributes:
        kind: what the segment is.
        plaintext_bytes: length of its plaintext.
        key_id: of the bucket key, 16 bytes.
        policy: name of the policy whose KEK wraps that key.
        salt: 32 random bytes of this attempt.
        object_id: 16 random bytes, or the upload tag of a part or manifest.
        part_number: of a part, else 0.
        wrapped_key: the wrapped bucket key, or nothing when it is in the keyring only.
    """

    kind: Kind
    plaintext_bytes: int
    key_id: bytes
    policy: str
    salt: bytes
    object_id: bytes
    part_number: int = 0
    wrapped_key: bytes = b""

    @property
    def chunk_log2(self) -> int:
        """The log2 of the chunk size, which kind and length dictate."""
        if self.kind is Kind.PART:
            return sizes.part_log2(self.plaintext_bytes)
        return sizes.MANIFEST_LOG2 if self.kind is Kind.MANIFEST else sizes.WHOLE_LOG2

    @property
    def chunk_count(self) -> int:
        """The number of chunks."""
        return 0 if self.kind is Kind.MARKER else sizes.chunk_count(self.plaintext_bytes, self.chunk_log2)

    @property
    def is_short(self) -> bool:
        """Whether it is of a whole object of one chunk."""
        return self.kind is Kind.WHOLE and self.plaintext_bytes <= 1 << sizes.WHOLE_LOG2

    @property
    def tail_bytes(self) -> int:
        """What stands behind the chunks: a footer, padding or nothing."""
        if self.kind is Kind.WHOLE:
            return sizes.FOOTER_BYTES
        if self.kind is Kind.PART:
            return (sizes.MAX_PART_CHUNKS - self.chunk_count) * sizes.TAG_BYTES
        return 0

    @property
    def stored_bytes(self) -> int:
        """The length of the whole segment."""
        if self.is_short:
            return self.plaintext_bytes + sizes.SHORT_OVERHEAD_BYTES
        if self.kind is Kind.MARKER:
            return sizes.HEADER_BYTES
        return sizes.HEADER_BYTES + self.plaintext_bytes + sizes.TAG_BYTES * self.chunk_count + self.tail_bytes

    def committed(self) -> bytes:
        """Return the first 224 bytes, from which the segment's keys are derived.

        Raises:
            ConfigError: a field cannot be written.
        """
        try:
            _check(self)
        except RefusedError as error:
            raise MisuseError(error.message.replace("damaged or foreign object", "no header")) from error
        return _HEADER.pack(
            MAGIC,
            SUITE,
            self.kind,
            self.chunk_log2,
            0,
            self.plaintext_bytes,
            self.key_id,
            self.salt,
            self.object_id,
            self.part_number,
            len(self.wrapped_key),
            self.wrapped_key,
            b"",
            self.policy.encode("ascii"),
            b"",
        )[:COMMITTED_BYTES]


def parse_header(raw: bytes | bytearray | memoryview) -> Header:
    """Read a header from the first 256 bytes of a segment. Nothing in it is authentic yet.

    Raises:
        RefusedError: rules 1 to 5.
    """
    if len(raw) < sizes.HEADER_BYTES:
        refuse(1, f"{len(raw)} bytes are less than a header")
    fields = _HEADER.unpack_from(raw)
    magic, suite, number, log2, flags, plaintext_bytes, key_id, salt = fields[:8]
    object_id, part_number, wrapped_bytes, wrapped, reserved, policy, _ = fields[8:]
    kind = _KINDS.get(number)
    if magic != MAGIC or suite != SUITE:
        refuse(1, "it does not begin like a sealed segment of a known suite")
    if kind is None or flags or any(reserved):
        refuse(2, "an unknown kind, flag or reserved byte")
    if wrapped_bytes > MAX_WRAPPED_BYTES or any(wrapped[wrapped_bytes:]):
        refuse(5, "the wrapped key is too long or badly padded")
    name, _, padding = policy.partition(b"\0")
    if any(padding):
        refuse(5, "the name of the policy is badly padded")
    header = Header(
        kind=kind,
        plaintext_bytes=plaintext_bytes,
        key_id=key_id,
        policy=name.decode("latin-1"),
        salt=salt,
        object_id=object_id,
        part_number=part_number,
        wrapped_key=wrapped[:wrapped_bytes],
    )
    _check(header)
    if log2 != header.chunk_log2:
        refuse(3, f"chunks of 2^{log2} bytes")
    return header


def _check(header: Header) -> None:
    """Check the fields against rules 3 to 5."""
    if not 0 <= header.plaintext_bytes <= _MAX_PLAINTEXT_BYTES[header.kind]:
        refuse(3, f"a plaintext of {header.plaintext_bytes} bytes")
    if header.kind is Kind.MANIFEST:
        parts, rest = divmod(header.plaintext_bytes - sizes.MANIFEST_FIXED_BYTES, sizes.MANIFEST_RECORD_BYTES)
        if rest or not 1 <= parts <= sizes.MAX_PARTS:
            refuse(3, f"a manifest of {header.plaintext_bytes} bytes")
    if not (1 <= header.part_number <= sizes.MAX_PARTS if header.kind is Kind.PART else header.part_number == 0):
        refuse(4, f"part number {header.part_number}")
    if (len(header.key_id), len(header.salt), len(header.object_id)) != (ID_BYTES, SALT_BYTES, ID_BYTES):
        refuse(5, "an id or a salt of wrong length")
    _check_key(header.policy, header.wrapped_key)


@lru_cache(maxsize=1024)
def _check_key(policy: str, wrapped_key: bytes) -> None:
    """Check what all objects under one bucket key have in common, so mostly it was checked before."""
    if wrapped_key:
        parse_wrapped(wrapped_key)
    if not POLICY_NAME.fullmatch(policy):
        refuse(5, f"a policy named {policy!r}")

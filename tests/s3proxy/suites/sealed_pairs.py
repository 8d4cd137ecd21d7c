"""Which pairs of key and nonce sealed what: read out of bytes on their way to a store.

Derived here from docs/object-format.md and not by the product's own code, and shown to be the right ones by opening
every ciphertext that came whole.
"""

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HEADER = 256
_TAG = 16
_FOOTER = 112
_WHOLE, _PART = 1, 2
_PART_CHUNKS = 1024


@dataclass
class Pairs:
    """All pairs that were seen, with the ciphertext that was made with each.

    Attributes:
        kek: the key of the key file.
        ciphertexts: by key and nonce; of one that was cut off, as much as there was.
        headers: all headers, by their salt.
        opened: how many ciphertexts were opened, to show that the pairs are those that were used.
        repeated: how often the very same bytes came again.
    """

    kek: bytes
    ciphertexts: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    headers: dict[bytes, bytes] = field(default_factory=dict)
    opened: int = 0
    repeated: int = 0

    def add_body(self, body: bytes) -> None:
        """Take a body that begins with a segment; a manifest may follow."""
        while len(body) >= _HEADER:
            body = self._segment(body)

    def add_entry(self, text: str, *, bucket: str, key: str) -> None:
        """Take a metadata entry, sealed for a name."""
        raw = base64.b64decode(text)
        name = hashlib.sha256(b"seg1/name\0" + bucket.encode() + b"\0" + key.encode()).digest()
        self._sealed(self._keys(raw[:_HEADER])["attr"], raw[_HEADER:][:12], raw[_HEADER + 12 :], name)

    def _segment(self, body: bytes) -> bytes:
        """Take one segment, and return what stands behind it."""
        header, rest = body[:_HEADER], body[_HEADER:]
        keys, kind, log2 = self._keys(header), header[5], header[6]
        (length,) = struct.unpack_from(">Q", header, 8)
        count = max(1, -(-length // (1 << log2)))
        for index in range(count):
            size = min(1 << log2, length - (index << log2)) + _TAG
            nonce = keys["nonce"][:7] + struct.pack(">IB", index, index == count - 1)
            self._sealed(keys["data"], nonce, rest[:size], None, size)
            rest = rest[size:]
        if kind == _WHOLE:
            self._sealed(keys["footer"], bytes(12), rest[:_FOOTER], None, _FOOTER)
            return rest[_FOOTER:]
        return rest[_TAG * (_PART_CHUNKS - count) :] if kind == _PART else rest

    def _sealed(self, key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes | None, size: int = -1) -> None:
        if not ciphertext:  # cut off before it
            return
        if size in {-1, len(ciphertext)}:
            AESGCM(key).decrypt(nonce, ciphertext, aad)
            self.opened += 1
        known = self.ciphertexts.get((key, nonce))
        if known is not None:
            self.repeated += 1
            shorter, longer = sorted((known, ciphertext), key=len)
            assert longer.startswith(shorter), "two ciphertexts under one key and nonce"
            ciphertext = longer
        self.ciphertexts[key, nonce] = ciphertext

    def _keys(self, header: bytes) -> dict[str, bytes]:
        assert header[:5] == b"SEG1\x01"
        salt = header[32:64]
        assert self.headers.setdefault(salt, header) == header, "two headers with one salt"
        (length,) = struct.unpack_from(">H", header, 82)
        wrapped = header[84 : 84 + length]
        policy = header[192:224].rstrip(b"\0")
        aad = b"seg1/bk/" + policy + b"/" + header[16:32].hex().encode()
        bucket_key = AESGCM(self.kek).decrypt(wrapped[5:17], wrapped[17:], aad)
        extracted = hmac.digest(salt, bucket_key, "sha256")
        suffix = hashlib.sha256(header[:224]).digest() + b"\x01"
        labels = ("data", "nonce", "footer", "attr", "commit")
        keys = {label: hmac.digest(extracted, b"seg1/" + label.encode() + suffix, "sha256") for label in labels}
        assert keys["commit"] == header[224:]
        return keys

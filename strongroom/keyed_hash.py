"""HMAC-SHA256 (RFC 2104) of several messages under one key.

``hmac.digest`` has OpenSSL look up the algorithm and hash the two blocks of the key for each message, which takes five
times as long as the message. An object has five messages under one key, and a signing key of S3 all of a day. So the
blocks are hashed once here, and each message goes on from copies of the two states.
"""

from hashlib import sha256
from typing import Final

_BLOCK_BYTES: Final = 64  # of SHA-256
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class HmacSha256:
    """Authenticates messages under one key, which nothing here shows."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """Hash the blocks of the key."""
        block = (key if len(key) <= _BLOCK_BYTES else sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(block.translate(_INNER))
        self._outer = sha256(block.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """Return the 32 bytes for one message."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

"""What is put into objects: random bytes in memory, and their checksums."""

import base64
import functools
import hashlib
import os
import zlib
from collections.abc import Iterator
from typing import Final

ONE_WRITE_BYTES: Final = 1 << 16  # bodies up to this size are sent by one call
_BLOCK_BYTES: Final = 1 << 24
_AWS_CHUNK_BYTES: Final = 1 << 20  # botocore's, within the content coding aws-chunked
_HTTP_CHUNK_BYTES: Final = 1 << 17  # of botocore's reads, each of which becomes a chunk of HTTP


class Payload:
    """Random bytes in memory, ready for sendfile(2). Large ones repeat a block, which no server here looks for."""

    def __init__(self, size: int, content: bytes = b"") -> None:
        """Make this many random bytes: what cannot be compressed cannot be made to look quick. Or take the content."""
        content = content or os.urandom(min(size, _BLOCK_BYTES))
        self.size = size or len(content)
        self.block = len(content)
        self.descriptor = os.memfd_create("payload", os.MFD_CLOEXEC)
        os.write(self.descriptor, content)
        self.small = content if self.size <= ONE_WRITE_BYTES else b""
        self._framed: Payload | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield all its bytes."""
        content = os.pread(self.descriptor, self.block, 0)
        for _ in range(self.size // self.block if self.block else 0):
            yield content
        yield content[: self.size % self.block if self.block else 0]

    def sha256(self) -> bytes:
        """Return the digest of all its bytes."""
        return self._digest(hashlib.sha256())

    def md5(self) -> bytes:
        """Return the digest of all its bytes that Content-MD5 has."""
        return self._digest(hashlib.md5(usedforsecurity=False))

    def crc32(self) -> str:
        """Return the checksum of all its bytes as S3 writes it."""
        value = functools.reduce(lambda crc, piece: zlib.crc32(piece, crc), self.pieces(), 0)
        return base64.b64encode(value.to_bytes(4, "big")).decode()

    def _digest(self, digest: "hashlib._Hash") -> bytes:
        for piece in self.pieces():
            digest.update(piece)
        return digest.digest()

    def framed(self) -> "Payload":
        """Return what boto3 makes of it for an address with TLS: a CRC-32 behind it, all in chunks of HTTP."""
        if self._framed is None:
            stream = bytearray()
            for chunk in _cut(b"".join(self.pieces()), _AWS_CHUNK_BYTES):
                stream += b"%x\r\n%b\r\n" % (len(chunk), chunk)
            stream += b"0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % self.crc32().encode()
            sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in _cut(bytes(stream), _HTTP_CHUNK_BYTES))
            self._framed = Payload(0, sent + b"0\r\n\r\n")
        return self._framed

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.descriptor)
        if self._framed is not None:
            self._framed.close()


def _cut(content: bytes, size: int) -> Iterator[bytes]:
    return (content[begin : begin + size] for begin in range(0, len(content), size))

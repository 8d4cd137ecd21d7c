"""What a body on its way to the store is vouched for with: a checksum, or signatures of its pieces. Pure.

A body that is there carries its checksum in the head. A stream has none when it begins, so it is framed by aws-chunked,
with the checksum in a trailer, signatures of the chunks, or both; ``s3api.aws_chunked`` reads what is written here.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Final

from s3proxy.s3api.canonical import EMPTY_SHA256
from s3proxy.s3api.checksums import HEADER_PREFIX, algorithm_of_header, checksum_header, checksum_name, running
from s3proxy.s3api.claims import Payload
from s3proxy.s3api.signing_keys import sign
from s3proxy.s3api.sigv4 import ChunkSigning
from s3proxy.store.connection import Held
from strongroom.errors import MisuseError
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm

ALGORITHM: Final = ChecksumAlgorithm.CRC64NVME  # S3's own default, and of all of them the cheapest
TRAILER: Final = checksum_name(ALGORITHM)
UPLOAD_HEADERS: Final = {"x-amz-checksum-algorithm": ALGORITHM.name, "x-amz-checksum-type": "FULL_OBJECT"}
_CHUNK_BYTES: Final = 1 << 17
_SIGNATURE_BYTES: Final = len(";chunk-signature=") + 64
_VALUE_BYTES: Final = 12  # 8 bytes in base64
_CRLF: Final = b"\r\n"


def has_checksum(headers: Mapping[str, str]) -> bool:
    """Return whether headers vouch for a body already."""
    return "content-md5" in headers or any(
        name.startswith(HEADER_PREFIX) and algorithm_of_header(name) is not None for name in headers
    )


def checksum_of(body: Held) -> dict[str, str]:
    """Return the header with the checksum of a body."""
    value = running(ALGORITHM)
    value.update(memoryview(body))
    return dict([checksum_header(Checksum(ALGORITHM, value.digest()))])


def md5_of(body: Held) -> dict[str, str]:
    """Return the header with the MD5 of a body, for stores that know no other checksum (RFC 1864)."""
    return {"content-md5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}


class Framing:
    """The framing of one stream."""

    def __init__(self, length: int, *, has_trailer: bool, is_signed: bool) -> None:
        """Prepare for a body of ``length`` bytes; at least one of trailer and signatures is wanted."""
        self._length = length
        self._has_trailer = has_trailer
        self._is_signed = is_signed

    @property
    def payload(self) -> str:
        """The value of x-amz-content-sha256."""
        payload = Payload.STREAMING_TRAILER if self._has_trailer else Payload.STREAMING
        return str((payload if self._is_signed else Payload.STREAMING_UNSIGNED_TRAILER).value)

    @property
    def framed_length(self) -> int:
        """How long the body is with its framing."""
        whole, rest = divmod(self._length, _CHUNK_BYTES)
        chunks = [_CHUNK_BYTES] * bool(whole) + [rest] * bool(rest)
        counts = [whole] * bool(whole) + [1] * bool(rest)
        line = _SIGNATURE_BYTES * self._is_signed + 2 * len(_CRLF)
        framing = sum(count * (len(f"{size:x}") + line) for size, count in zip(chunks, counts, strict=True))
        return self._length + framing + len("0") + line + self._trailer_length

    @property
    def _trailer_length(self) -> int:
        if not self._has_trailer:
            return 0
        field = len(TRAILER) + len(":") + _VALUE_BYTES + len(_CRLF)
        return field + (len("x-amz-trailer-signature:") + 64 + len(_CRLF)) * self._is_signed

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return what the head says of the framing, given its other headers."""
        encoding = headers.get("content-encoding")
        said = {
            "content-encoding": f"aws-chunked,{encoding}" if encoding else "aws-chunked",
            "x-amz-decoded-content-length": str(self._length),
        }
        return said | ({"x-amz-trailer": TRAILER} if self._has_trailer else {})

    async def frame(self, pieces: AsyncIterator[Held], signing: ChunkSigning | None) -> AsyncIterator[Held]:
        """Frame a stream.

        Args:
            pieces: the stream. It is copied once, into chunks that are never changed afterwards.
            signing: what its chunks are signed with, if they are.
        """
        signatures = _Signatures(signing) if self._is_signed and signing is not None else None
        checksum = running(ALGORITHM) if self._has_trailer else None
        async for framed, chunk in self._chunks(pieces):
            if checksum is not None:
                checksum.update(chunk)
            line = _line(chunk, signatures)
            framed[: len(line)], framed[-len(_CRLF) :] = line, _CRLF
            yield framed
        end = _line(b"", signatures)
        if checksum is not None:
            name, value = checksum_header(Checksum(ALGORITHM, checksum.digest()))
            end += f"{name}:{value}\r\n".encode()
            if signatures is not None:
                end += f"x-amz-trailer-signature:{signatures.of_trailer(name, value)}\r\n".encode()
        yield end + _CRLF

    async def _chunks(self, pieces: AsyncIterator[Held]) -> AsyncIterator[tuple[memoryview, memoryview]]:
        """Cut a stream into chunks of one size, so that its framed length is known before; yield each with its frame.

        Raises:
            MisuseError: it is not as long as was announced.
        """
        left, filled = self._length, 0
        framed, chunk = self._room(left)
        async for piece in pieces:
            view = memoryview(piece)
            while view:
                taken = min(len(view), len(chunk) - filled)
                if not taken:
                    raise MisuseError(f"a stream of more than the {self._length} bytes that were announced")
                chunk[filled : filled + taken] = view[:taken]
                view, filled = view[taken:], filled + taken
                if filled == len(chunk):
                    yield framed, chunk
                    left, filled = left - filled, 0
                    framed, chunk = self._room(left)
        if left:
            raise MisuseError(f"a stream of less than the {self._length} bytes that were announced")

    def _room(self, left: int) -> tuple[memoryview, memoryview]:
        """Return room for the next chunk with its frame, and where in it the chunk is."""
        size = min(left, _CHUNK_BYTES)
        line = len(f"{size:x}") + _SIGNATURE_BYTES * self._is_signed + len(_CRLF)
        framed = memoryview(bytearray(line + size + len(_CRLF) if size else 0))
        return framed, framed[line : line + size]


class _Signatures:
    """A chain of signatures, each over the one before it."""

    def __init__(self, signing: ChunkSigning) -> None:
        self._signing = signing
        self._previous = signing.seed

    def of_chunk(self, chunk: Held) -> str:
        """Return the signature of the next chunk."""
        digests = f"{EMPTY_SHA256}\n{hashlib.sha256(chunk).hexdigest()}"
        return self._next("AWS4-HMAC-SHA256-PAYLOAD", digests)

    def of_trailer(self, name: str, value: str) -> str:
        """Return the signature of the one field behind the last chunk."""
        return self._next("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest())

    def _next(self, algorithm: str, digests: str) -> str:
        text = f"{algorithm}\n{self._signing.timestamp}\n{self._signing.scope}\n{self._previous}\n{digests}"
        self._previous = sign(self._signing.key, text.encode())
        return self._previous


def _line(chunk: Held, signatures: _Signatures | None) -> bytes:
    signature = f";chunk-signature={signatures.of_chunk(chunk)}" if signatures is not None else ""
    return f"{len(chunk):x}{signature}\r\n".encode()

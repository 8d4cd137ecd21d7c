"""Reading bodies in aws-chunked framing, as they come. No I/O.

    hex-length[;chunk-signature=…] CRLF data CRLF   …   0[;chunk-signature=…] CRLF  trailer fields  CRLF

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html (signed chunks)
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html (trailers)

Data is handed out before the signature of its chunk has come, as a chunk may have the size of the object; whoever
takes it commits nothing before ``finish`` has returned. After an error nothing more is handed out. Each chunk signature
covers the one before it, so chunks cannot be reordered, left out or cut off. Only the last chunk may be short: the work
for a body is bounded by its bytes then, however it is cut.
"""

import enum
import hashlib
import hmac
import re
from typing import Final, NoReturn

from s3proxy.s3api.canonical import EMPTY_SHA256
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.signing_keys import sign
from s3proxy.s3api.sigv4 import ChunkSigning

MIN_CHUNK_BYTES: Final = 8192  # S3, sigv4-streaming.html: of all chunks but the last
MAX_LINE_BYTES: Final = 1024
MAX_TRAILER_BYTES: Final = 16_384
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"


class _State(enum.Enum):
    LINE = "the length of a chunk"
    DATA = "the data of a chunk"
    DATA_END = "the end of a chunk"
    TRAILER = "the trailer"
    DONE = "nothing more"
    FAILED = "nothing after an error"


class AwsChunkedDecoder:
    """Decodes one body.

    Attributes:
        trailers: fields behind the last chunk (lower-case names); complete when ``finish`` has returned.
    """

    def __init__(
        self,
        *,
        length: int,
        signing: ChunkSigning | None,
        trailer_names: frozenset[str],
        min_chunk_bytes: int = MIN_CHUNK_BYTES,
    ) -> None:
        """Prepare for a body.

        Args:
            length: ``x-amz-decoded-content-length``.
            signing: what chunks and trailer are signed with, or None.
            trailer_names: what ``x-amz-trailer`` announces (lower case); exactly these must come.
            min_chunk_bytes: of all chunks but the last.
        """
        self.trailers: dict[str, str] = {}
        self._length = length
        self._signing = signing
        self._names = trailer_names
        self._min_chunk_bytes = min_chunk_bytes
        self._state = _State.LINE
        self._line = bytearray()
        self._left = 0  # bytes of this chunk still to come
        self._chunks = 0  # begun so far
        self._received = 0  # bytes of plaintext announced by chunks so far
        self._previous = signing.seed if signing else ""
        self._claimed = ""  # the signature of the chunk being read
        self._hash = hashlib.sha256()
        self._skipped_blank = False
        self._signed_text = ""  # trailer fields as they are signed
        self._trailer_bytes = 0
        self._trailer_signature = ""

    def feed(self, data: bytes | bytearray | memoryview) -> list[memoryview]:
        """Take the next bytes of the body; return the plaintext in them, as views.

        Raises:
            S3Error: the framing is malformed, a limit is passed or a signature is wrong.
        """
        if self._state is _State.FAILED:
            self._refuse("InvalidRequest", "The body was refused before.")
        try:
            return self._read(data if isinstance(data, bytes | bytearray) else bytes(data))
        except S3Error:
            self._state = _State.FAILED
            raise

    def finish(self) -> None:
        """Return if the body has come to its proper end.

        Raises:
            S3Error: IncompleteBody.
        """
        if self._state is not _State.DONE:
            expected, self._state = self._state, _State.FAILED
            self._refuse("IncompleteBody", f"The request body terminated unexpectedly; expected {expected.value}.")

    def _read(self, data: bytes | bytearray) -> list[memoryview]:
        view, pieces = memoryview(data), list[memoryview]()
        at = 0
        while at < len(data):
            if self._state is _State.DATA:
                piece = view[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                if self._signing:
                    self._hash.update(piece)
                pieces.append(piece)
                if not self._left:
                    self._state = _State.DATA_END
            elif self._state is _State.DONE:
                self._refuse("InvalidRequest", "There are bytes behind the end of the chunked body.")
            else:
                at = self._take_line(data, at)
        return pieces

    def _take_line(self, data: bytes | bytearray, at: int) -> int:
        """Collect bytes until a line feed, then act on the line; return the place behind what was taken."""
        limit = at + MAX_LINE_BYTES - len(self._line)
        end = data.find(b"\n", at, limit) + 1
        if not end and limit < len(data):
            self._refuse("InvalidRequest", "A line of the chunked body is too long.")
        self._line += data[at : end or len(data)]
        if not end:
            return len(data)
        line = bytes(self._line)
        self._line.clear()
        if self._state is _State.TRAILER:
            self._take_trailer_line(line)
        elif not line.endswith(b"\r\n"):
            self._refuse("InvalidRequest", "The framing of the chunked body is malformed.")
        elif self._state is _State.LINE:
            self._begin_chunk(line[:-2])
        elif line != b"\r\n":
            self._refuse("InvalidRequest", "A chunk is longer than it says.")
        else:
            self._end_chunk()
        return end

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None or (match[2] is None) != (self._signing is None):
            self._refuse("InvalidRequest", "The line before a chunk is malformed, or its signature is missing.")
        self._left = int(match[1], 16)
        self._claimed = (match[2] or b"").decode()
        self._received += self._left
        if self._received > self._length:
            self._refuse("InvalidRequest", "The chunks are longer than x-amz-decoded-content-length.")
        if self._signing:
            self._hash = hashlib.sha256()
        self._chunks += 1
        if self._left:
            if self._left < self._min_chunk_bytes and self._received < self._length:
                self._refuse_short_chunk()
            self._state = _State.DATA
            return
        if self._received != self._length:
            self._refuse("IncompleteBody", "The chunks are shorter than x-amz-decoded-content-length.")
        self._verify_chunk()
        self._state = _State.TRAILER

    def _end_chunk(self) -> None:
        self._verify_chunk()
        self._state = _State.LINE

    def _verify_chunk(self) -> None:
        if self._signing is not None:
            digests = f"{EMPTY_SHA256}\n{self._hash.hexdigest()}"
            self._verify(self._signing, self._claimed, "AWS4-HMAC-SHA256-PAYLOAD", digests)

    def _take_trailer_line(self, raw: bytes) -> None:
        self._trailer_bytes += len(raw)
        if self._trailer_bytes > MAX_TRAILER_BYTES:
            self._refuse("MalformedTrailerError", "The trailer is too long.")
        line = raw.rstrip(b"\r\n")  # the documentation and some clients end trailer fields with a line feed alone
        if line:
            self._take_trailer(line.decode("latin-1"))
        elif self._signing and self._names and not self._trailer_signature and not self._skipped_blank:
            self._skipped_blank = True  # the documented example has an empty line before the signature of the trailer
        else:
            self._end_trailer()

    def _take_trailer(self, line: str) -> None:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not colon or name in self.trailers or self._trailer_signature:
            self._refuse("MalformedTrailerError", "The trailer is malformed.")
        if name == _TRAILER_SIGNATURE and self._signing and self._names:
            self._trailer_signature = value
        elif name in self._names:
            self.trailers[name] = value
            self._signed_text += f"{name}:{value}\n"
        else:
            self._refuse("MalformedTrailerError", "The trailer holds a field that x-amz-trailer does not name.")

    def _end_trailer(self) -> None:
        if self.trailers.keys() != self._names:
            self._refuse("MalformedTrailerError", "The trailer lacks a field that x-amz-trailer names.")
        if self._signing and self._names:
            digest = hashlib.sha256(self._signed_text.encode("latin-1")).hexdigest()
            self._verify(self._signing, self._trailer_signature, "AWS4-HMAC-SHA256-TRAILER", digest)
        self._state = _State.DONE

    def _verify(self, signing: ChunkSigning, claimed: str, algorithm: str, digests: str) -> None:
        """Compare a signature with that of what follows the previous one."""
        text = f"{algorithm}\n{signing.timestamp}\n{signing.scope}\n{self._previous}\n{digests}"
        expected = sign(signing.key, text.encode())
        if not hmac.compare_digest(expected.encode(), claimed.encode("latin-1")):
            self._refuse("SignatureDoesNotMatch", "The signature of a chunk or of the trailer does not match.")
        self._previous = expected

    def _refuse_short_chunk(self) -> NoReturn:
        code = "InvalidChunkSizeError"
        msg = f"Only the last chunk is allowed to have a size less than {self._min_chunk_bytes} bytes"
        raise S3Error(code, msg, details={"Chunk": str(self._chunks), "BadChunkSize": str(self._left)})

    @staticmethod
    def _refuse(code: str, message: str) -> NoReturn:
        raise S3Error(code, message)

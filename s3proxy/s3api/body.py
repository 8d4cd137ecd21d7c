"""The body of PutObject and UploadPart: from bytes as they come to plaintext that is what its sender meant.

Framing, length, SHA-256, chunk signatures, Content-MD5 and checksum are all verified here, over plaintext. Nothing may
be committed before ``finish`` has returned. No I/O; hashing takes time, so large pieces belong in a thread.
"""

import hashlib
import hmac
import re
from typing import Final, NoReturn

from s3proxy.s3api.aws_chunked import AwsChunkedDecoder
from s3proxy.s3api.checksums import Running, RunningDigests, checksum_name, parse_checksum
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.sigv4 import Verified
from strongroom.sealed.digests import ChecksumScope, Digests

_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_ANNOUNCING: Final = ("content-length", "transfer-encoding", "x-amz-decoded-content-length")
AWS_CHUNKED: Final = "aws-chunked"


def stored_content_encoding(head: RequestHead) -> str:
    """Return Content-Encoding as it is to be stored: without ``aws-chunked``, which describes the transfer."""
    codings = (coding.strip() for coding in head.header("content-encoding").split(","))
    return ",".join(coding for coding in codings if coding and coding.lower() != AWS_CHUNKED)


class Body:
    """A body being received.

    Attributes:
        length: of the plaintext in bytes.
    """

    def __init__(
        self, verified: Verified, *, want_md5: bool, of_body: bool = True, absent_is_empty: bool = False
    ) -> None:
        """Begin to receive a body.

        Args:
            verified: the request.
            want_md5: whether the MD5 is needed for an ETag, even if the client claims none.
            of_body: whether checksum headers are of this body; those of CompleteMultipartUpload are of the object.
            absent_is_empty: whether a request that announces no body has an empty one. The length is not signed, so
                what is claimed of the body must hold all the same: otherwise a signed body could be taken away on its
                way.

        Raises:
            S3Error: MissingContentLength; InvalidRequest or InvalidDigest for malformed or contradicting claims.
        """
        head, chunked = verified.head, verified.payload.is_chunked
        self.length = 0
        if not absent_is_empty or any(head.header(name) for name in _ANNOUNCING):
            self.length = _length_of(head, "x-amz-decoded-content-length" if chunked else "content-length")
        self._received = 0
        self._failed = False
        claims = verified.claims
        algorithm = self._trailing = claims.trailing
        self._claimed = claims.checksum if of_body else None
        if self._claimed is not None:
            algorithm = self._claimed.algorithm
            if self._claimed.scope is ChecksumScope.COMPOSITE:
                _refuse("InvalidRequest", f"Value for {checksum_name(algorithm)} header is invalid.")
            if self._trailing is not None:
                _refuse("InvalidRequest", "Expecting a single x-amz-checksum- header or trailer.")
        self._claimed_md5 = claims.md5
        self._digests = RunningDigests(with_md5=want_md5 or claims.md5 is not None, algorithm=algorithm)
        self._expected_sha256 = verified.payload_sha256
        self._sha256: Running | None = hashlib.sha256() if self._expected_sha256 else None
        self._running = self._digests.running + ([self._sha256] if self._sha256 else [])
        self._decoder = None
        if chunked:
            names = () if self._trailing is None else (checksum_name(self._trailing),)
            self._decoder = AwsChunkedDecoder(
                length=self.length, signing=verified.chunk_signing, trailer_names=frozenset(names)
            )

    def feed(self, data: bytes | bytearray | memoryview) -> list[memoryview]:
        """Take the next bytes from the client; return the plaintext in them, as views of ``data``.

        Raises:
            S3Error: the body is longer than announced, or what ``AwsChunkedDecoder.feed`` refuses.
        """
        if self._failed:
            _refuse("InvalidRequest", "The body was refused before.")
        self._failed = True  # unless this comes to its end
        pieces = self._decoder.feed(data) if self._decoder else [memoryview(data).cast("B")]
        for piece in pieces:
            self._received += len(piece)
            for one in self._running:
                one.update(piece)
        if self._received > self.length:
            _refuse("InvalidRequest", "The body is longer than its Content-Length.")
        self._failed = False
        return pieces

    def finish(self) -> Digests:
        """Return the digests if the body has ended and everything that was claimed of it holds.

        Its MD5 is among them if it was wanted or claimed, a checksum if one was claimed.

        Raises:
            S3Error: IncompleteBody, XAmzContentSHA256Mismatch, BadDigest, or what the trailer breaks.
        """
        if self._failed:
            _refuse("InvalidRequest", "The body was refused before.")
        self._failed = True  # unless this comes to its end
        claimed = self._claimed
        if self._decoder:
            self._decoder.finish()
            if self._trailing is not None:
                claimed = parse_checksum(self._trailing, self._decoder.trailers[checksum_name(self._trailing)])
        if self._received != self.length:
            _refuse("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length header.")
        if self._sha256 and not hmac.compare_digest(self._sha256.digest().hex(), self._expected_sha256):
            _refuse(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        found = self._digests.result()
        if self._claimed_md5 is not None and found.md5 != self._claimed_md5:
            _refuse("BadDigest", "The Content-MD5 you specified did not match what we received.")
        if claimed is not None and found.checksum != claimed:
            name = claimed.algorithm.name
            _refuse("BadDigest", f"The {name} you specified did not match the calculated checksum.")
        self._failed = False
        return found


def _length_of(head: RequestHead, name: str) -> int:
    text = head.header(name)
    if not text:
        _refuse("MissingContentLength", f"You must provide the {name} HTTP header.")
    if _LENGTH.fullmatch(text) is None:
        _refuse("InvalidArgument", f"{name} must be a number of bytes.")
    return int(text)


def _refuse(code: str, message: str) -> NoReturn:
    raise S3Error(code, message)

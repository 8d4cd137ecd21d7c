"""The body of PutObject and UploadPart: from bytes as they come to plaintext that is what its sender meant.

Framing, length, SHA-256, chunk signatures, Content-MD5 and checksum are all verified here, over plaintext. Nothing may
be committed before ``finish`` has returned. No I/O; hashing takes time, so large pieces belong in a thread.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final, NoReturn

from s3proxy.s3api.aws_chunked import AwsChunkedDecoder
from s3proxy.s3api.checksums import (
    Running,
    algorithm_of_header,
    checksum_name,
    claimed_checksum,
    parse_checksum,
    parse_content_md5,
    require_named,
    running,
)
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.payload import Payload
from s3proxy.s3api.sigv4 import Verified
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm, ChecksumScope

_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_ANNOUNCING: Final = ("content-length", "transfer-encoding", "x-amz-decoded-content-length")
AWS_CHUNKED: Final = "aws-chunked"


@dataclass(frozen=True, slots=True)
class BodyDigests:
    """What is known of a plaintext that has been verified.

    Attributes:
        md5: 16 bytes when it was wanted or claimed, else None.
        checksum: what the client claimed and holds, or None.
    """

    md5: bytes | None
    checksum: Checksum | None


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
        """Read what the head says about the body; see ``open_body``."""
        head = verified.head
        chunked = verified.payload.is_chunked
        self.length = 0
        if not absent_is_empty or any(head.header(name) for name in _ANNOUNCING):
            self.length = _length_of(head, "x-amz-decoded-content-length" if chunked else "content-length")
        self._received = 0
        self._failed = False
        claim = claimed_checksum(head)
        if of_body and claim is not None and claim.scope is ChecksumScope.COMPOSITE:
            _refuse("InvalidRequest", f"Value for {checksum_name(claim.algorithm)} header is invalid.")
        trailers = _announced_trailers(head, verified.payload)
        algorithm = _algorithm_of(head, claim, trailers, of_body=of_body)
        self._claims = [claim] if of_body and claim is not None else []
        self._checksum = None if algorithm is None else running(algorithm)
        self._algorithm = algorithm
        self._content_md5 = parse_content_md5(head.header("content-md5")) if head.has("content-md5") else None
        wants = want_md5 or self._content_md5 is not None
        self._md5: Running | None = hashlib.md5(usedforsecurity=False) if wants else None
        self._expected_sha256 = verified.payload_sha256
        self._sha256: Running | None = hashlib.sha256() if self._expected_sha256 else None
        self._running = [one for one in (self._checksum, self._md5, self._sha256) if one is not None]
        self._decoder = None
        if chunked:
            self._decoder = AwsChunkedDecoder(
                length=self.length, signing=verified.chunk_signing, trailer_names=trailers
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

    def finish(self) -> BodyDigests:
        """Return the digests if the body has ended and everything that was claimed of it holds.

        Raises:
            S3Error: IncompleteBody, XAmzContentSHA256Mismatch, BadDigest, or what the trailer breaks.
        """
        if self._failed:
            _refuse("InvalidRequest", "The body was refused before.")
        self._failed = True  # unless this comes to its end
        if self._decoder:
            self._decoder.finish()
            self._claims += [
                parse_checksum(algorithm, value)
                for name, value in self._decoder.trailers.items()
                if (algorithm := algorithm_of_header(name)) is not None
            ]
        if self._received != self.length:
            _refuse("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length header.")
        if self._sha256 and not hmac.compare_digest(self._sha256.digest().hex(), self._expected_sha256):
            _refuse(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        md5 = self._md5.digest() if self._md5 else None
        if self._content_md5 is not None and md5 != self._content_md5:
            _refuse("BadDigest", "The Content-MD5 you specified did not match what we received.")
        checksum = self._verified_checksum()
        self._failed = False
        return BodyDigests(md5, checksum)

    def _verified_checksum(self) -> Checksum | None:
        if self._checksum is None or self._algorithm is None:
            return None
        computed = Checksum(self._algorithm, self._checksum.digest())
        for claim in self._claims:
            if claim != computed:
                _refuse("BadDigest", f"The {claim.algorithm.name} you specified did not match the calculated checksum.")
        return computed


def open_body(verified: Verified, *, want_md5: bool, of_body: bool = True, absent_is_empty: bool = False) -> Body:
    """Begin to receive a body.

    Args:
        verified: the request.
        want_md5: whether the MD5 is needed for an ETag, even if the client claims none.
        of_body: whether checksum headers are of this body; those of CompleteMultipartUpload are of the object.
        absent_is_empty: whether a request that announces no body has an empty one. The length is not signed, so what
            is claimed of the body must hold all the same: otherwise a signed body could be taken away on its way.

    Raises:
        S3Error: MissingContentLength; InvalidRequest or InvalidDigest for malformed or contradicting claims.
    """
    return Body(verified, want_md5=want_md5, of_body=of_body, absent_is_empty=absent_is_empty)


def _length_of(head: RequestHead, name: str) -> int:
    text = head.header(name)
    if not text:
        _refuse("MissingContentLength", f"You must provide the {name} HTTP header.")
    if _LENGTH.fullmatch(text) is None:
        _refuse("InvalidArgument", f"{name} must be a number of bytes.")
    return int(text)


def _announced_trailers(head: RequestHead, payload: Payload) -> frozenset[str]:
    names = frozenset(name.strip().lower() for name in head.header("x-amz-trailer").split(",") if name.strip())
    if names and not payload.has_trailer:
        _refuse("InvalidRequest", "x-amz-trailer needs an x-amz-content-sha256 that ends in -TRAILER.")
    if any(algorithm_of_header(name) is None for name in names):
        _refuse("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return names


def _algorithm_of(
    head: RequestHead, claim: Checksum | None, trailers: frozenset[str], *, of_body: bool
) -> ChecksumAlgorithm | None:
    """Return the one algorithm that headers and trailers claim a checksum of the body by."""
    trailing = {algorithm for name in trailers if (algorithm := algorithm_of_header(name)) is not None}
    given = {claim.algorithm} if claim is not None else set()
    if len(trailing) > 1 or (of_body and given and trailing):
        _refuse("InvalidRequest", "Expecting a single x-amz-checksum- header or trailer.")
    require_named(head, given | trailing)
    return next(iter(trailing | given if of_body else trailing), None)


def _refuse(code: str, message: str) -> NoReturn:
    raise S3Error(code, message)

"""What the head of a request claims of its body: how it is sent, and what has to hold of it.

``Claims`` are parsed once. The body is verified (``body``) by the very values that are sent on.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

import base64
import enum
import re
from dataclasses import dataclass
from typing import Final, NoReturn

from s3proxy.s3api.checksums import (
    HEADER_PREFIX,
    algorithm_of_header,
    checksum_header,
    parse_checksum,
    parse_content_md5,
)
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_NAMED: Final = "x-amz-sdk-checksum-algorithm"


class Payload(enum.Enum):
    """How a body is sent and covered by the signature."""

    UNSIGNED = "UNSIGNED-PAYLOAD"
    HASHED = "SHA-256"  # the header holds 64 hexadecimal digits
    STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def is_chunked(self) -> bool:
        """Whether the body is framed by aws-chunked."""
        return self.value.startswith("STREAMING-")

    @property
    def has_signed_chunks(self) -> bool:
        """Whether each chunk carries a signature."""
        return self is Payload.STREAMING or self is Payload.STREAMING_TRAILER

    @property
    def has_trailer(self) -> bool:
        """Whether header fields follow the last chunk."""
        return self.value.endswith("-TRAILER")


_BY_TEXT: Final = {payload.value: payload for payload in Payload if payload is not Payload.HASHED}


def known_payload(text: str) -> Payload | None:
    """Return what a value of ``x-amz-content-sha256`` says if it is written as every SDK writes it."""
    return _BY_TEXT.get(text) or (Payload.HASHED if _HEX.fullmatch(text) else None)


def parse_payload(text: str) -> Payload:
    """Return what a value of ``x-amz-content-sha256`` says.

    Raises:
        S3Error: InvalidArgument for an unknown value; NotImplemented for chunks signed with SigV4A.
    """
    known = known_payload(text) or known_payload(text.lower())
    if known is not None:
        return known
    if "ECDSA" in text:
        raise S3Error("NotImplemented", "SigV4A (AWS4-ECDSA-P256-SHA256) is not implemented; use AWS4-HMAC-SHA256.")
    code, msg = "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-* or a valid sha256 value."
    raise S3Error(code, msg, details={"ArgumentName": "x-amz-content-sha256", "ArgumentValue": text[:128]})


@dataclass(frozen=True, slots=True)
class Claims:
    """What a head claims of the content that it comes with.

    Attributes:
        md5: of the body, 16 bytes, or None.
        checksum: of a header, or None; of the body, or in CompleteMultipartUpload of the object.
        trailing: by which algorithm a checksum of the body follows it, or None.
    """

    md5: bytes | None
    checksum: Checksum | None
    trailing: ChecksumAlgorithm | None

    @classmethod
    def from_head(cls, head: RequestHead, payload: Payload | None = None) -> "Claims":
        """Read them.

        Args:
            head: of the request, or the fields of a form as one.
            payload: how the body is sent; None where no trailer can follow it.

        Raises:
            S3Error: InvalidRequest for several checksums, for an algorithm that is not known or not the one that was
                named, and for a malformed value; InvalidDigest for a malformed Content-MD5.
        """
        found = [
            parse_checksum(algorithm, head.header(name))
            for name in head.names()
            if name.startswith(HEADER_PREFIX) and (algorithm := algorithm_of_header(name)) is not None
        ]
        if len(found) > 1:
            _refuse("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
        checksum = found[0] if found else None
        trailing = None if payload is None else _announced_algorithm(head, payload)
        if head.has(_NAMED):
            named = _named_algorithm(head)
            given = trailing, checksum.algorithm if checksum is not None else None
            if given == (None, None):
                _refuse(
                    f"{_NAMED} specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
                )
            if named not in given:
                _refuse(f"Value for {_NAMED} header is invalid.")
        md5 = parse_content_md5(head.header("content-md5")) if head.has("content-md5") else None
        return cls(md5, checksum, trailing)

    @property
    def headers(self) -> dict[str, str]:
        """What headers claim, for whoever verifies it next."""
        told = {} if self.checksum is None else dict([checksum_header(self.checksum)])
        return told if self.md5 is None else told | {"content-md5": base64.b64encode(self.md5).decode()}


def require_known_algorithms(head: RequestHead) -> None:
    """Return if all algorithms that a request names are known, whether it has a body or not.

    Raises:
        S3Error: InvalidRequest.
    """
    for name in head.names():
        if name.startswith(HEADER_PREFIX):
            algorithm_of_header(name)
    if head.has(_NAMED):
        _named_algorithm(head)


def _named_algorithm(head: RequestHead) -> ChecksumAlgorithm:
    algorithm = ChecksumAlgorithm.__members__.get(head.header(_NAMED).upper())
    if algorithm is None:
        _refuse(f"Value for {_NAMED} header is invalid.")
    return algorithm


def _announced_algorithm(head: RequestHead, payload: Payload) -> ChecksumAlgorithm | None:
    """Return the algorithm of the checksum that follows a body."""
    text = head.header("x-amz-trailer")
    names = {name.strip().lower() for name in text.split(",") if name.strip()} if text else ()
    if not names:
        return None
    if not payload.has_trailer:
        _refuse("x-amz-trailer needs an x-amz-content-sha256 that ends in -TRAILER.")
    algorithms = [algorithm_of_header(name) for name in names]
    if None in algorithms:
        _refuse("The value specified in the x-amz-trailer header is not supported")
    if len(algorithms) > 1:
        _refuse("Expecting a single x-amz-checksum- header or trailer.")
    return algorithms[0]


def _refuse(message: str) -> NoReturn:
    raise S3Error("InvalidRequest", message)

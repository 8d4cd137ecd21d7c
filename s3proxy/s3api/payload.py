"""What a request says about its body in ``x-amz-content-sha256``.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
"""

import enum
import re
from typing import Final

from s3proxy.s3api.errors import S3Error

_HEX: Final = re.compile(r"[0-9a-f]{64}")


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
        return self in {Payload.STREAMING, Payload.STREAMING_TRAILER}

    @property
    def has_trailer(self) -> bool:
        """Whether header fields follow the last chunk."""
        return self.value.endswith("-TRAILER")


_BY_TEXT: Final = {payload.value: payload for payload in Payload if payload is not Payload.HASHED}


def parse_payload(text: str) -> Payload:
    """Return what a value of ``x-amz-content-sha256`` says.

    Raises:
        S3Error: InvalidArgument for an unknown value; NotImplemented for chunks signed with SigV4A.
    """
    if text in _BY_TEXT:
        return _BY_TEXT[text]
    if _HEX.fullmatch(text.lower()):
        return Payload.HASHED
    if "ECDSA" in text:
        raise S3Error("NotImplemented", "SigV4A (AWS4-ECDSA-P256-SHA256) is not implemented; use AWS4-HMAC-SHA256.")
    code, msg = "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-* or a valid sha256 value."
    raise S3Error(code, msg, details={"ArgumentName": "x-amz-content-sha256", "ArgumentValue": text[:128]})

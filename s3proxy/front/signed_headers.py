"""Which headers of a request are signed, and which must be. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html: "host" and every ``x-amz-*`` header.
"""

from collections.abc import Sequence
from typing import Final

from s3proxy.front.canonical import decode_text
from s3proxy.front.errors import S3Error
from s3proxy.front.head import RequestHead
from s3proxy.front.signature import AUTH_PARAMETERS

_AUTH_NAMES: Final = frozenset(name.lower() for name in AUTH_PARAMETERS)


def headers_to_sign(head: RequestHead, names: Sequence[str], *, payload_text: str) -> list[tuple[str, str]]:
    """Return the signed headers with their values; refuse ``x-amz-*`` headers that nobody signed.

    Otherwise whoever holds a presigned URL could add ``x-amz-copy-source``, and we would sign it to the store.
    """
    # The value in the canonical request is signed, whether the header is named or not.
    free = {"x-amz-content-sha256"} if head.header("x-amz-content-sha256") == payload_text else set()
    unsigned = [name for name in head.names() if _must_be_signed(name) and name not in names and name not in free]
    if "host" not in names:
        unsigned.append("host")
    if unsigned:
        code, msg = "AccessDenied", "There were headers present in the request which were not signed"
        raise S3Error(code, msg, details={"HeadersNotSigned": ", ".join(unsigned)})
    absent = [name for name in names if not head.has(name)]
    if absent:
        code, msg = "SignatureDoesNotMatch", f"Signed headers are missing from the request: {', '.join(absent)}"
        raise S3Error(code, msg)
    return [(name, head.header(name)) for name in names]


def _must_be_signed(name: str) -> bool:
    return name.startswith("x-amz-")


def hoisted_headers(head: RequestHead, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the ``x-amz-*`` headers that a presigner moved into the query, where they are signed as well."""
    hoisted = [
        (name, decode_text(value, plus_is_space=True))
        for name, value in ((decode_text(raw).lower(), value) for raw, value in pairs)
        if name.startswith("x-amz-") and name not in _AUTH_NAMES and not head.has(name)
    ]
    if any(character in value for _, value in hoisted for character in "\r\n\0"):
        code, msg = "InvalidArgument", "A header in the query holds control characters."
        raise S3Error(code, msg)
    return hoisted

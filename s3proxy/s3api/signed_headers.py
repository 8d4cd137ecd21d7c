"""Which headers of a request are signed, and which must be. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html: "host" and every ``x-amz-*`` header.
"""

import re
from collections.abc import Sequence
from typing import Final

from s3proxy.s3api.canonical import decode_text
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.names import refuse_argument
from s3proxy.s3api.scope import HEADER_NAME
from s3proxy.s3api.signature import AUTH_PARAMETERS

_AUTH_NAMES: Final = frozenset(name.lower() for name in AUTH_PARAMETERS)
_PREFIX: Final = "x-amz-"  # of the headers that must be signed
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, section 5.5


def headers_to_sign(head: RequestHead, names: Sequence[str], *, payload_text: str) -> list[tuple[str, str]]:
    """Return the signed headers with their values; refuse ``x-amz-*`` headers that nobody signed.

    Otherwise whoever holds a presigned URL could add ``x-amz-copy-source``, and we would sign it to the store.
    """
    # The value in the canonical request is signed, whether the header is named or not.
    free = {"x-amz-content-sha256"} if head.header("x-amz-content-sha256") == payload_text else set()
    unsigned = [name for name in head.names() if name.startswith(_PREFIX) and name not in names and name not in free]
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


def hoisted_headers(head: RequestHead, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the ``x-amz-*`` headers that a presigner moved into the query, where they are signed as well.

    Raises:
        S3Error: InvalidArgument for what cannot be a header (RFC 9110, section 5), and for a header that is there
            twice with different values.
    """
    hoisted: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = decode_text(raw_name, plus_is_space=True).lower()
        if not name.startswith(_PREFIX) or name in _AUTH_NAMES:
            continue
        value = decode_text(raw_value, plus_is_space=True).strip(" \t")
        require_field(name, value)
        there = hoisted.get(name, head.header(name) if head.has(name) else value)
        if there != value:
            refuse_argument("A header must not be given twice, in the query or beside it.", name, "")
        if not head.has(name):
            hoisted[name] = value
    return list(hoisted.items())


def require_field(name: str, value: str) -> None:
    """Return if a lower-case name and a value can be a header. The parser sees to it where they came as one.

    Raises:
        S3Error: InvalidArgument.
    """
    if HEADER_NAME.fullmatch(name) is None or _CONTROL.search(value):
        refuse_argument("What becomes a header must have a name and a value that a header can have.", name[:100], "")

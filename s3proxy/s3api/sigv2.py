"""Presigned URLs of Signature Version 2. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html, "Query string request authentication".
botocore still makes them in us-east-1 where nobody tells it otherwise, so boto3, aiobotocore and s3fs do; s3cmd makes
no others. Requests that are signed so in a header are refused: every client signs those with version 4.

Version 2 leaves the host and most query parameters out of what it signs. So the bucket is taken from where the request
names it, host included, and a parameter that is not signed is refused: anyone who holds the URL of an object could turn
it into another request with it.
"""

import base64
import hmac
import re
from datetime import datetime
from typing import Final, NoReturn

from s3proxy.s3api.canonical import BLANKS, canonical_paths, decode_text, split_query
from s3proxy.s3api.credentials import Credential, Credentials
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.scope import MAX_SKEW
from s3proxy.s3api.signature import MAX_EXPIRES_S, VERSION_2_PARAMETERS, refuse_signature
from strongroom.secret import Secret

_SIGNED: Final = frozenset(
    {
        "partNumber", "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "uploadId", "uploads", "versionId",
    }
)  # fmt: skip
# The name of the operation, for logs of SDKs; and what botocore repeats of headers, which count where they stand.
_WITHOUT_MEANING: Final = frozenset({"content-md5", "content-type", "x-id"})
_EXPIRES: Final = re.compile(r"[0-9]{1,11}")


def require_presigned(head: RequestHead, *, host_bucket: str, credentials: Credentials, now: datetime) -> Credential:
    """Return whose key signed a URL.

    Args:
        head: the request as received.
        host_bucket: the bucket that the host names, or "" when the path does.
        credentials: of the clients.
        now: our time, with a time zone.

    Raises:
        S3Error: AccessDenied, as it is malformed, expired, or good for more than a week; InvalidAccessKeyId;
            SignatureDoesNotMatch.
    """
    given, sub_resources = _parse(head)
    _require_in_time(int(given["Expires"]), now=now)
    credential = credentials.require(given["AWSAccessKeyId"])
    query = "&".join(f"{name}={value}" if value else name for name, value in sorted(sub_resources.items()))
    resources = (
        (f"/{host_bucket}{path}" if host_bucket else path) + (f"?{query}" if query else "")
        for path in canonical_paths(head)
    )
    signatures = (_sign(credential.secret_key, head, given["Expires"], resource) for resource in resources)
    claimed = given["Signature"].encode()
    if not any(hmac.compare_digest(signature, claimed) for signature in signatures):
        refuse_signature(credential)
    return credential


def _parse(head: RequestHead) -> tuple[dict[str, str], dict[str, str]]:
    given: dict[str, str] = {}
    sub_resources: dict[str, str] = {}
    for raw_name, raw_value in split_query(head.raw_query):
        name = decode_text(raw_name, plus_is_space=True)
        known = given if name in VERSION_2_PARAMETERS else sub_resources
        if name in known:
            _refuse(f"Query-string authentication has {name} more than once.")
        if name not in VERSION_2_PARAMETERS | _SIGNED | _WITHOUT_MEANING:
            _refuse(f"Signature Version 2 does not sign the parameter {name}; sign the URL with version 4.")
        if name not in _WITHOUT_MEANING:
            known[name] = decode_text(raw_value, plus_is_space=True)
        if "&" in known.get(name, ""):
            # Version 2 signs decoded values: ``a=b&c=d`` would be signed alike as one parameter and as two.
            _refuse(f"The parameter {name} must not hold an ampersand in Signature Version 2; sign with version 4.")
    if given.keys() != VERSION_2_PARAMETERS or not _EXPIRES.fullmatch(given["Expires"]):
        _refuse("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    return given, sub_resources


def _require_in_time(expires: int, *, now: datetime) -> None:
    left_s = expires - now.timestamp()
    if left_s < 0:
        _refuse("Request has expired")
    if left_s > MAX_EXPIRES_S + MAX_SKEW.total_seconds():
        _refuse(f"Expires must be at most {MAX_EXPIRES_S} seconds (a week) ahead")


def _sign(secret_key: Secret, head: RequestHead, expires: str, resource: str) -> bytes:
    names = sorted(name for name in head.names() if name.startswith("x-amz-"))
    # Only what HTTP takes for blanks: others are a part of what is used, of the source of a copy for one.
    headers = "".join(f"{name}:{head.header(name).strip(BLANKS)}\n" for name in names)
    standard = f"{head.header('content-md5')}\n{head.header('content-type')}\n{expires}\n"
    text = f"{head.method}\n{standard}{headers}{resource}".encode("utf-8", "surrogateescape")
    return base64.b64encode(hmac.digest(secret_key.reveal(), text, "sha1"))


def _refuse(message: str) -> NoReturn:
    code = "AccessDenied"
    raise S3Error(code, message)

"""What a request says about its signature, read from the Authorization header or from the query. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html; which headers must be signed:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html ("host" and every ``x-amz-*`` header).
No signature is verified here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from s3proxy.s3api.canonical import ALGORITHM, decode_text
from s3proxy.s3api.credentials import Credential
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.names import refuse_argument
from s3proxy.s3api.scope import (
    HEADER_MALFORMED,
    HEADER_NAME,
    QUERY_MALFORMED,
    SignedBy,
    parse_credential,
    parse_signature,
    parse_signed_headers,
)

MAX_EXPIRES_S: Final = 604_800  # seven days, S3: "Authenticating Requests: Using Query Parameters"
SIGNATURE_PARAMETER: Final = "X-Amz-Signature"
REQUIRED_PARAMETERS: Final = frozenset(
    {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", SIGNATURE_PARAMETER}
)
AUTH_PARAMETERS: Final = REQUIRED_PARAMETERS | {"X-Amz-Security-Token", "X-Amz-Content-Sha256"}
VERSION_2_PARAMETERS: Final = frozenset({"AWSAccessKeyId", "Signature", "Expires"})  # of presigned URLs, ``sigv2``
_EXPIRES: Final = re.compile(r"[0-9]{1,9}")
_FIELDS: Final = {"Credential", "SignedHeaders", "Signature"}
_AUTH_NAMES: Final = frozenset(name.lower() for name in AUTH_PARAMETERS)
_PREFIX: Final = "x-amz-"  # of the headers that must be signed
_MAX_TOLD_HEADERS: Final = 20  # of those that are not
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, section 5.5


def parse_authorization(text: str) -> SignedBy:
    """Read an Authorization header; the timestamp stands elsewhere and is left empty.

    Raises:
        S3Error: InvalidRequest for another mechanism (SigV2 in headers, SigV4A); AuthorizationHeaderMalformed.
    """
    method, _, rest = text.partition(" ")
    if method != ALGORITHM:
        raise S3Error("InvalidRequest", f"The authorization mechanism is not supported. Please use {ALGORITHM}.")
    fields = dict(_split_field(piece) for piece in rest.split(","))
    if fields.keys() != _FIELDS or rest.count(",") != len(_FIELDS) - 1:
        msg = "The authorization header is malformed; it must hold Credential, SignedHeaders and Signature once each."
        raise S3Error(HEADER_MALFORMED, msg)
    access_key_id, scope = parse_credential(fields["Credential"], code=HEADER_MALFORMED)
    return SignedBy(
        access_key_id,
        scope,
        "",
        parse_signature(fields["Signature"], code=HEADER_MALFORMED),
        parse_signed_headers(fields["SignedHeaders"], code=HEADER_MALFORMED),
    )


def _split_field(piece: str) -> tuple[str, str]:
    name, _, value = piece.strip(" ").partition("=")
    return name, value


@dataclass(frozen=True, slots=True)
class Presigned:
    """The parameters of a presigned URL.

    Attributes:
        signed: who signed what.
        expires_s: seconds from the timestamp on.
        payload_text: X-Amz-Content-Sha256, or "".
        session_token: X-Amz-Security-Token, or "".
    """

    signed: SignedBy
    expires_s: int
    payload_text: str
    session_token: str


def parse_presigned(pairs: Sequence[tuple[str, str]]) -> Presigned:
    """Read the parameters of a presigned URL from raw (name, value) pairs.

    Raises:
        S3Error: AuthorizationQueryParametersError, as one is missing, repeated or malformed.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in AUTH_PARAMETERS:
            if name in given:
                raise S3Error(QUERY_MALFORMED, f"Query-string authentication has {name} more than once.")
            given[name] = decode_text(value)
    missing = REQUIRED_PARAMETERS - given.keys()
    if missing:
        raise S3Error(QUERY_MALFORMED, f"Query-string authentication requires {', '.join(sorted(missing))}.")
    if given["X-Amz-Algorithm"] != ALGORITHM:
        raise S3Error(QUERY_MALFORMED, f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    expires = given["X-Amz-Expires"]
    if not (_EXPIRES.fullmatch(expires) and 1 <= int(expires) <= MAX_EXPIRES_S):
        raise S3Error(QUERY_MALFORMED, f"X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES_S} (a week)")
    access_key_id, scope = parse_credential(given["X-Amz-Credential"], code=QUERY_MALFORMED)
    signed = SignedBy(
        access_key_id,
        scope,
        given["X-Amz-Date"],
        parse_signature(given[SIGNATURE_PARAMETER], code=QUERY_MALFORMED),
        parse_signed_headers(given["X-Amz-SignedHeaders"], code=QUERY_MALFORMED),
    )
    return Presigned(signed, int(expires), given.get("X-Amz-Content-Sha256", ""), given.get("X-Amz-Security-Token", ""))


def refuse_signature(credential: Credential) -> NoReturn:
    """Refuse a signature that is not the one expected; what was expected is not told.

    Raises:
        S3Error: SignatureDoesNotMatch.
    """
    code = "SignatureDoesNotMatch"
    msg = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )
    raise S3Error(code, msg, details={"AWSAccessKeyId": credential.access_key_id})


def headers_to_sign(head: RequestHead, names: Sequence[str], *, payload_text: str) -> list[tuple[str, str]]:
    """Return the signed headers with their values; refuse ``x-amz-*`` headers that nobody signed.

    Otherwise anyone who holds a presigned URL could add ``x-amz-copy-source``, and we would sign it to the store.
    """
    # The value in the canonical request is signed, whether the header is named or not.
    free = {"x-amz-content-sha256"} if head.header("x-amz-content-sha256") == payload_text else set()
    unsigned = [name for name in head.names() if name.startswith(_PREFIX) and name not in names and name not in free]
    if "host" not in names:
        unsigned.append("host")
    if unsigned:
        code, msg = "AccessDenied", "There were headers present in the request which were not signed"
        raise S3Error(code, msg, details={"HeadersNotSigned": ", ".join(unsigned[:_MAX_TOLD_HEADERS])})
    absent = [name for name in names if not head.has(name)]
    if absent:
        raise S3Error("SignatureDoesNotMatch", f"Signed headers are missing from the request: {', '.join(absent)}")
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

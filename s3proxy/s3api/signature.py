"""What a request says about its signature, read from the Authorization header or from the query. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html. Nothing is verified here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from s3proxy.s3api.canonical import ALGORITHM, decode_text
from s3proxy.s3api.credentials import Credential
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.scope import (
    HEADER_MALFORMED,
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


def parse_authorization(text: str) -> SignedBy:
    """Read an Authorization header; the timestamp stands elsewhere and is left empty.

    Raises:
        S3Error: InvalidRequest for another mechanism (SigV2 in headers, SigV4A); AuthorizationHeaderMalformed.
    """
    method, _, rest = text.partition(" ")
    if method != ALGORITHM:
        code, msg = "InvalidRequest", f"The authorization mechanism is not supported. Please use {ALGORITHM}."
        raise S3Error(code, msg)
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
                msg = f"Query-string authentication has {name} more than once."
                raise S3Error(QUERY_MALFORMED, msg)
            given[name] = decode_text(value)
    missing = REQUIRED_PARAMETERS - given.keys()
    if missing:
        msg = f"Query-string authentication requires {', '.join(sorted(missing))}."
        raise S3Error(QUERY_MALFORMED, msg)
    if given["X-Amz-Algorithm"] != ALGORITHM:
        msg = f'X-Amz-Algorithm only supports "{ALGORITHM}"'
        raise S3Error(QUERY_MALFORMED, msg)
    expires = given["X-Amz-Expires"]
    if not (_EXPIRES.fullmatch(expires) and 1 <= int(expires) <= MAX_EXPIRES_S):
        msg = f"X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES_S} (a week)"
        raise S3Error(QUERY_MALFORMED, msg)
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

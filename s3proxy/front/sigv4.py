"""Verifying who signed a request: Signature Version 4 in the Authorization header or in the query. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

Every region is accepted unless regions are given: it is part of what is signed and decides nothing here. Session
tokens (STS), SigV2 and SigV4A are refused by name. Whoever sends none of this is anonymous. Bodies are verified in
``body``, as they come.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NoReturn

from s3proxy.front.canonical import (
    ALGORITHM,
    UNSIGNED_PAYLOAD,
    canonical_paths,
    canonical_queries,
    canonical_request,
    decode_text,
    split_query,
    string_to_sign,
)
from s3proxy.front.credentials import Credential, Credentials, Principal
from s3proxy.front.errors import S3Error
from s3proxy.front.head import RequestHead
from s3proxy.front.payload import Payload, parse_payload
from s3proxy.front.scope import (
    HEADER_MALFORMED,
    MAX_SKEW,
    QUERY_MALFORMED,
    SignedBy,
    date_of,
    parse_credential,
    parse_signature,
    parse_signed_headers,
    parse_timestamp,
    require_recent,
    require_same_day,
)
from s3proxy.front.signing_keys import Scope, SigningKeys, sign
from strongroom.secret import Secret

MAX_EXPIRES_S: Final = 604_800  # seven days, S3: "Authenticating Requests: Using Query Parameters"
AUTH_PARAMETERS: Final = frozenset(
    {
        "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
        "X-Amz-Security-Token", "X-Amz-Content-Sha256",
    }
)  # fmt: skip
_REQUIRED: Final = AUTH_PARAMETERS - {"X-Amz-Security-Token", "X-Amz-Content-Sha256"}
_AUTH_NAMES: Final = frozenset(name.lower() for name in AUTH_PARAMETERS)
_QUERY_SIGNATURE: Final = "X-Amz-Signature"
_EXPIRES: Final = re.compile(r"[0-9]{1,9}")
_FIELDS: Final = {"Credential", "SignedHeaders", "Signature"}


@dataclass(frozen=True, slots=True)
class ChunkSigning:
    """What the chunks of a body are signed with.

    Attributes:
        key: the signing key.
        timestamp: of the request.
        scope: of the request.
        seed: the signature of the request, which the first chunk's follows.
    """

    key: Secret
    timestamp: str
    scope: str
    seed: str


@dataclass(frozen=True)
class Verified:
    """A request whose sender is known.

    Attributes:
        principal: who it is.
        head: the request; of a presigned URL with the ``x-amz-*`` headers that were put into its query.
        payload: what it says about its body.
        payload_sha256: 64 hexadecimal digits for Payload.HASHED, else "".
        chunk_signing: for bodies with signed chunks.
    """

    principal: Principal
    head: RequestHead
    payload: Payload
    payload_sha256: str = ""
    chunk_signing: ChunkSigning | None = None


class Verifier:
    """Verifies signatures by a table of credentials."""

    def __init__(self, credentials: Credentials, *, keys: SigningKeys, regions: frozenset[str] = frozenset()) -> None:
        """Take the credentials in force; make another verifier when they change.

        Args:
            credentials: of the clients.
            keys: derived keys, which may outlive this verifier.
            regions: those to be accepted; empty for all.
        """
        self._credentials = credentials
        self._keys = keys
        self._regions = regions

    def verify(self, head: RequestHead, *, now: datetime) -> Verified:
        """Return who sent a request.

        Args:
            head: the request as received.
            now: our time, with a time zone.

        Raises:
            S3Error: the signature is malformed, out of time, of an unknown key or wrong; the code says which.
        """
        pairs = split_query(head.raw_query)
        in_query = any(name in AUTH_PARAMETERS for name, _ in pairs)
        if in_query and head.has("authorization"):
            code, msg = "InvalidArgument", "Only one auth mechanism allowed; use the query or the Authorization header."
            raise S3Error(code, msg)
        if in_query:
            return self._verify_query(head, pairs, now=now)
        if head.has("authorization"):
            return self._verify_header(head, now=now)
        _refuse_version_2(pairs)
        return self._admit_anonymous(head)

    def _verify_header(self, head: RequestHead, *, now: datetime) -> Verified:
        given = _parse_authorization(head.header("authorization"))
        timestamp = date_of(head)
        require_same_day(timestamp, given.scope, code=HEADER_MALFORMED)
        require_recent(parse_timestamp(timestamp, code="AccessDenied"), now=now)
        _refuse_session_token(head.header("x-amz-security-token"))
        if not head.has("x-amz-content-sha256"):
            code, msg = "MissingSecurityHeader", "Your request was missing a required header"
            raise S3Error(code, msg, details={"MissingHeaderName": "x-amz-content-sha256"})
        signed = SignedBy(given.access_key_id, given.scope, timestamp, given.signature, given.signed_headers)
        return self._verify_signature(head, signed, payload_text=head.header("x-amz-content-sha256"))

    def _verify_query(self, head: RequestHead, pairs: Sequence[tuple[str, str]], *, now: datetime) -> Verified:
        given = _parse_query(pairs)
        signed_at = parse_timestamp(given.timestamp, code=QUERY_MALFORMED)
        require_same_day(given.timestamp, given.scope, code=QUERY_MALFORMED)
        _refuse_session_token(given.session_token + head.header("x-amz-security-token"))
        code = "AccessDenied"
        if now > signed_at + timedelta(seconds=given.expires_s):
            msg = "Request has expired"
            expiry = (signed_at + timedelta(seconds=given.expires_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
            details = {"X-Amz-Expires": str(given.expires_s), "Expires": expiry}
            raise S3Error(code, msg, details=details)
        if now < signed_at - MAX_SKEW:
            msg = "Request is not yet valid"
            raise S3Error(code, msg)
        in_header = "x-amz-content-sha256" in given.signed.signed_headers
        payload_text = given.payload_text or (in_header and head.header("x-amz-content-sha256")) or UNSIGNED_PAYLOAD
        verified = self._verify_signature(head, given.signed, payload_text=payload_text)
        hoisted = _hoisted_headers(head, pairs)
        return replace(verified, head=head.with_headers(hoisted)) if hoisted else verified

    def _verify_signature(self, head: RequestHead, given: SignedBy, *, payload_text: str) -> Verified:
        payload = parse_payload(payload_text)
        headers = _headers_to_sign(head, given.signed_headers, payload_text=payload_text)
        if self._regions and given.scope.region not in self._regions:
            expected = min(self._regions)
            msg = f"The region '{given.scope.region}' is wrong; expecting '{expected}'"
            raise S3Error(HEADER_MALFORMED, msg, details={"Region": expected})
        credential = self._credentials.require(given.access_key_id)
        key = self._keys.key_for(credential, given.scope)
        scope = str(given.scope)
        for path in canonical_paths(head):
            for query in canonical_queries(head, leave_out=_QUERY_SIGNATURE):
                request = canonical_request(
                    method=head.method, path=path, query=query, headers=headers, payload=payload_text
                )
                text = string_to_sign(request, timestamp=given.timestamp, scope=scope)
                if hmac.compare_digest(sign(key, text), given.signature):
                    return Verified(
                        credential.principal,
                        head,
                        payload,
                        payload_text.lower() if payload is Payload.HASHED else "",
                        ChunkSigning(key, given.timestamp, scope, given.signature)
                        if payload.has_signed_chunks
                        else None,
                    )
        refuse_signature(credential)

    def _admit_anonymous(self, head: RequestHead) -> Verified:
        text = head.header("x-amz-content-sha256") or UNSIGNED_PAYLOAD
        payload = parse_payload(text)
        if payload.has_signed_chunks:
            code, msg = "AccessDenied", "A request without a signature cannot have signed chunks."
            raise S3Error(code, msg)
        _refuse_session_token(head.header("x-amz-security-token"))
        return Verified(self._credentials.anonymous, head, payload, text.lower() if payload is Payload.HASHED else "")


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


def _parse_authorization(text: str) -> SignedBy:
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
class _Presigned:
    signed: SignedBy
    expires_s: int
    payload_text: str
    session_token: str

    @property
    def timestamp(self) -> str:
        return self.signed.timestamp

    @property
    def scope(self) -> Scope:
        return self.signed.scope


def _parse_query(pairs: Sequence[tuple[str, str]]) -> _Presigned:
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in AUTH_PARAMETERS:
            if name in given:
                msg = f"Query-string authentication has {name} more than once."
                raise S3Error(QUERY_MALFORMED, msg)
            given[name] = decode_text(value)
    missing = _REQUIRED - given.keys()
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
        parse_signature(given[_QUERY_SIGNATURE], code=QUERY_MALFORMED),
        parse_signed_headers(given["X-Amz-SignedHeaders"], code=QUERY_MALFORMED),
    )
    return _Presigned(
        signed, int(expires), given.get("X-Amz-Content-Sha256", ""), given.get("X-Amz-Security-Token", "")
    )


def _headers_to_sign(head: RequestHead, names: Sequence[str], *, payload_text: str) -> list[tuple[str, str]]:
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


def _hoisted_headers(head: RequestHead, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
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


def _refuse_session_token(token: str) -> None:
    if token:
        code, msg = "InvalidToken", "The provided token is malformed or otherwise not valid; none are issued here."
        raise S3Error(code, msg)


def _refuse_version_2(pairs: Sequence[tuple[str, str]]) -> None:
    if any(name == "AWSAccessKeyId" for name, _ in pairs):
        code, msg = "InvalidRequest", f"The authorization mechanism is not supported. Please use {ALGORITHM}."
        raise S3Error(code, msg)

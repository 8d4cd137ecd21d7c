"""Verifying who signed a request: Signature Version 4 in the Authorization header or in the query. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

Every region is accepted unless regions are given: it is part of what is signed and decides nothing here. Presigned
URLs of version 2 are left to ``sigv2``. Session tokens (STS), SigV2 in a header and SigV4A are refused by name. Whoever
sends none of this is anonymous. Bodies are verified in ``body``, as they come.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from s3proxy.s3api.canonical import (
    UNSIGNED_PAYLOAD,
    canonical_paths,
    canonical_queries,
    canonical_request,
    decode_text,
    split_query,
    string_to_sign,
)
from s3proxy.s3api.claims import Claims, Payload, parse_payload
from s3proxy.s3api.credentials import Credentials, Principal
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.known_signers import KnownSigners, signature_in
from s3proxy.s3api.scope import (
    HEADER_MALFORMED,
    MAX_SKEW,
    QUERY_MALFORMED,
    SignedBy,
    date_of,
    parse_timestamp,
    require_recent,
    require_same_day,
)
from s3proxy.s3api.signature import (
    AUTH_PARAMETERS,
    SIGNATURE_PARAMETER,
    VERSION_2_PARAMETERS,
    headers_to_sign,
    hoisted_headers,
    parse_authorization,
    parse_presigned,
    refuse_signature,
)
from s3proxy.s3api.signing_keys import SigningKeys, sign
from s3proxy.s3api.sigv2 import require_presigned
from strongroom.secret import Secret


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

    @cached_property
    def claims(self) -> Claims:
        """What it claims of the content of its body.

        Raises:
            S3Error: as ``Claims.from_head``.
        """
        return Claims.from_head(self.head, self.payload)


class Verifier:
    """Verifies signatures by a table of credentials."""

    def __init__(self, credentials: Credentials, *, keys: SigningKeys, regions: frozenset[str] = frozenset()) -> None:
        """Take the credentials in force; make another verifier when they change, and keep this one while they do not.

        Args:
            credentials: of the clients.
            keys: derived keys, which may outlive this verifier.
            regions: those to be accepted; empty for all.
        """
        self.credentials = credentials
        self._keys = keys
        self._regions = regions
        self._known = KnownSigners()

    def verify_known(self, head: RequestHead, *, now_s: float) -> Verified | None:
        """Return who sent a request if that can be told at once, by what was verified before; see ``known_signers``.

        None says nothing of the request: ``verify`` decides.
        """
        found = self._known.verify(head, now_s=now_s)
        if found is None:
            return None
        signer, payload = found
        text, signing = head.header("x-amz-content-sha256"), None
        if payload.has_signed_chunks:
            seed = signature_in(head.header("authorization"))
            signing = ChunkSigning(signer.key, head.header("x-amz-date"), signer.scope, seed)
        return Verified(signer.credential.principal, head, payload, text if payload is Payload.HASHED else "", signing)

    def verify(self, head: RequestHead, *, now: datetime, host_bucket: str = "") -> Verified:
        """Return who sent a request.

        Args:
            head: the request as received.
            now: our time, with a time zone.
            host_bucket: the bucket that the host names, or "" when the path does; version 2 does not sign the host.

        Raises:
            S3Error: the signature is malformed, out of time, of an unknown key or wrong; the code says which.
        """
        known = self.verify_known(head, now_s=now.timestamp())
        if known is not None:
            return known
        if head.method == "OPTIONS":
            # A browser asks about a request to come. It sends no credentials of its own (Fetch, "CORS-preflight
            # fetch"), but the URL may be presigned, for the other method.
            return _admit(self.credentials.anonymous, head)
        pairs = split_query(head.raw_query)
        in_query = any(name in AUTH_PARAMETERS for name, _ in pairs)
        version_2 = any(decode_text(name) in VERSION_2_PARAMETERS for name, _ in pairs)
        if in_query + version_2 + head.has("authorization") > 1:
            code, msg = "InvalidArgument", "Only one auth mechanism allowed; use the query or the Authorization header."
            raise S3Error(code, msg)
        if in_query:
            return self._verify_query(head, pairs, now=now)
        if head.has("authorization"):
            return self._verify_header(head, now=now)
        if version_2:
            signer = require_presigned(head, host_bucket=host_bucket, credentials=self.credentials, now=now)
            return _admit(signer.principal, head)
        return _admit(self.credentials.anonymous, head)

    def _verify_header(self, head: RequestHead, *, now: datetime) -> Verified:
        authorization = head.header("authorization")
        given = parse_authorization(authorization)
        timestamp = date_of(head)
        require_same_day(timestamp, given.scope, code=HEADER_MALFORMED)
        require_recent(parse_timestamp(timestamp, code="AccessDenied"), now=now)
        _refuse_session_token(head.header("x-amz-security-token"))
        if not head.has("x-amz-content-sha256"):
            code, msg = "MissingSecurityHeader", "Your request was missing a required header"
            raise S3Error(code, msg, details={"MissingHeaderName": "x-amz-content-sha256"})
        signed = SignedBy(given.access_key_id, given.scope, timestamp, given.signature, given.signed_headers)
        verified = self._verify_signature(head, signed, payload_text=head.header("x-amz-content-sha256"))
        credential = self.credentials.require(given.access_key_id)
        self._known.keep(authorization, given, credential, self._keys.key_for(credential, given.scope))
        return verified

    def _verify_query(self, head: RequestHead, pairs: Sequence[tuple[str, str]], *, now: datetime) -> Verified:
        given = parse_presigned(pairs)
        signed_at = parse_timestamp(given.signed.timestamp, code=QUERY_MALFORMED)
        require_same_day(given.signed.timestamp, given.signed.scope, code=QUERY_MALFORMED)
        _refuse_session_token(given.session_token + head.header("x-amz-security-token"))
        code = "AccessDenied"
        if now - signed_at > timedelta(seconds=given.expires_s):  # a sum could be beyond all calendars
            msg = "Request has expired"
            expiry = (signed_at + timedelta(seconds=given.expires_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
            details = {"X-Amz-Expires": str(given.expires_s), "Expires": expiry}
            raise S3Error(code, msg, details=details)
        if signed_at - now > MAX_SKEW:
            raise S3Error(code, "Request is not yet valid")
        in_header = "x-amz-content-sha256" in given.signed.signed_headers
        payload_text = given.payload_text or (in_header and head.header("x-amz-content-sha256")) or UNSIGNED_PAYLOAD
        verified = self._verify_signature(head, given.signed, payload_text=payload_text)
        hoisted = hoisted_headers(head, pairs)
        return replace(verified, head=head.with_headers(hoisted)) if hoisted else verified

    def _verify_signature(self, head: RequestHead, given: SignedBy, *, payload_text: str) -> Verified:
        payload = parse_payload(payload_text)
        headers = headers_to_sign(head, given.signed_headers, payload_text=payload_text)
        if self._regions and given.scope.region not in self._regions:
            expected = min(self._regions)
            msg = f"The region '{given.scope.region}' is wrong; expecting '{expected}'"
            raise S3Error(HEADER_MALFORMED, msg, details={"Region": expected})
        credential = self.credentials.require(given.access_key_id)
        key = self._keys.key_for(credential, given.scope)
        scope = str(given.scope)
        requests = (
            canonical_request(method=head.method, path=path, query=query, headers=headers, payload=payload_text)
            for path in canonical_paths(head)
            for query in canonical_queries(head, leave_out=SIGNATURE_PARAMETER)
        )
        texts = (string_to_sign(request, timestamp=given.timestamp, scope=scope) for request in requests)
        if not any(hmac.compare_digest(sign(key, text), given.signature) for text in texts):
            refuse_signature(credential)
        return Verified(
            credential.principal,
            head,
            payload,
            payload_text.lower() if payload is Payload.HASHED else "",
            ChunkSigning(key, given.timestamp, scope, given.signature) if payload.has_signed_chunks else None,
        )


def _admit(principal: Principal, head: RequestHead) -> Verified:
    """Return a request that has no signature of version 4."""
    text = head.header("x-amz-content-sha256") or UNSIGNED_PAYLOAD
    payload = parse_payload(text)
    if payload.has_signed_chunks:
        raise S3Error("AccessDenied", "A request without a signature of version 4 cannot have signed chunks.")
    _refuse_session_token(head.header("x-amz-security-token"))
    return Verified(principal, head, payload, text.lower() if payload is Payload.HASHED else "")


def _refuse_session_token(token: str) -> None:
    if token:
        raise S3Error("InvalidToken", "The provided token is malformed or otherwise not valid; none are issued here.")

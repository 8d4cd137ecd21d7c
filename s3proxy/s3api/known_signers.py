"""The short way to verify a signature of version 4 in the Authorization header: by what was verified before. Pure.

All of that header but the signature itself is the same in most requests of a client: access key id, scope, names of the
signed headers. Once ``sigv4`` has verified one, that beginning is kept here with what it stands for: the credential,
and the key of its scope. A further request that begins so is read no more, only its canonical request is made and its
signature compared.

**It only ever says yes.** What it does not know exactly (a beginning, a query, a payload, a moment near the bounds of
the skew) and every signature that is not the expected one is left to ``sigv4``, which alone refuses, and which alone
knows the second form that a path or a query may be signed in. It says yes to nothing that ``sigv4`` would refuse: each
rule of ``_verify_header`` that can depend on more than the beginning is looked at again for each request. Only what was
verified is kept, so whoever has no key fills no memory and drives nothing out; and it is kept by a verifier, of which
there is another one when the credentials change.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from s3proxy.s3api.canonical import canonical_headers, canonical_queries, string_to_sign
from s3proxy.s3api.claims import Payload, known_payload
from s3proxy.s3api.credentials import Credential
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.scope import MAX_SKEW, SignedBy, parse_timestamp
from strongroom.keyed_hash import HmacSha256
from strongroom.secret import Secret
from strongroom.service.lru import Lru

_KEPT_CHARACTERS: Final = 1 << 18  # of beginnings; about 200 characters each
_SIGNATURE_CHARACTERS: Final = 64
_BEFORE_SIGNATURE: Final = "Signature="
# Parameters whose names are no part of any authentication, and need no decoding.
_OTHER_PARAMETERS: Final = re.compile(r"[a-z][A-Za-z0-9-]*(?:=[^&]*)?(?:&[a-z][A-Za-z0-9-]*(?:=[^&]*)?)*")
_SKEW_S: Final = MAX_SKEW.total_seconds() - 1  # what is nearer to the bound, sigv4 decides
_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True, eq=False)
class KnownSigner:
    """What the beginning of an Authorization header stands for.

    Attributes:
        credential: whose it is.
        key: the signing key of its scope.
        date: of its scope.
        scope: as it is signed.
        names: of the signed headers, in the order signed.
        hmac: by that key.
    """

    credential: Credential
    key: Secret
    date: str
    scope: str
    names: tuple[str, ...]
    hmac: HmacSha256


class KnownSigners:
    """What the beginnings of verified Authorization headers stand for; the least recently used go first."""

    def __init__(self) -> None:
        """Know none."""
        self._kept = Lru[str, KnownSigner](_KEPT_CHARACTERS)

    def keep(self, authorization: str, given: SignedBy, credential: Credential, key: Secret) -> None:
        """Keep what was read of an Authorization header, once its signature was verified."""
        beginning = authorization[:-_SIGNATURE_CHARACTERS]
        if beginning.endswith(_BEFORE_SIGNATURE) and authorization.endswith(given.signature):
            date, scope = given.scope.date, str(given.scope)
            signer = KnownSigner(credential, key, date, scope, given.signed_headers, HmacSha256(key.reveal()))
            self._kept.keep(beginning, signer, weight=len(beginning))

    def verify(self, head: RequestHead, *, now_s: float) -> tuple[KnownSigner, Payload] | None:
        """Return who signed a request, and how its body is sent, if that can be told at once.

        Args:
            head: the request as received.
            now_s: our time, in seconds of the epoch.
        """
        fields = head.by_name
        authorization = fields.get("authorization", "")
        signer = self._kept.get(authorization[:-_SIGNATURE_CHARACTERS])
        if signer is None or head.method == "OPTIONS" or "x-amz-security-token" in fields:
            return None
        timestamp, payload_text = fields.get("x-amz-date", ""), fields.get("x-amz-content-sha256", "")
        payload = known_payload(payload_text)
        if payload is None or timestamp[:8] != signer.date or not abs(_seconds_of(timestamp) - now_s) < _SKEW_S:
            return None
        query = head.raw_query
        if query:
            if _OTHER_PARAMETERS.fullmatch(query) is None:
                return None
            query = next(canonical_queries(head))
        lines = _signed_lines(fields, signer.names)
        if lines is None:
            return None
        names = ";".join(signer.names)
        request = f"{head.method}\n{head.raw_path}\n{query}\n{lines}\n{names}\n{payload_text}"
        text = string_to_sign(request.encode("utf-8", "surrogateescape"), timestamp=timestamp, scope=signer.scope)
        signature = signature_in(authorization).encode("utf-8", "surrogateescape")
        return (signer, payload) if hmac.compare_digest(signer.hmac.digest(text).hex().encode(), signature) else None


def signature_in(authorization: str) -> str:
    """Return the signature of a header that ends in it."""
    return authorization[-_SIGNATURE_CHARACTERS:]


def _signed_lines(fields: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Return the canonical headers; None if one is absent, or one that must be signed is not."""
    for name in fields:
        if name.startswith("x-amz-") and name not in names and name != "x-amz-content-sha256":
            return None
    try:
        return canonical_headers([(name, fields[name]) for name in names])
    except KeyError:
        return None


@lru_cache(maxsize=64)
def _seconds_of(timestamp: str) -> float:
    """Return a timestamp in seconds of the epoch; many requests share it."""
    try:
        return parse_timestamp(timestamp, code="").timestamp()
    except S3Error:
        return _NEVER

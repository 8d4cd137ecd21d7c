"""Signing requests to the store: Signature Version 4 in the Authorization header. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. Path and query are signed as they will
be sent, so the HTTP client must not change them; ``encode_path`` and ``encode_query`` of ``canonical`` write them in
their canonical form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from s3proxy.s3api.canonical import (
    ALGORITHM,
    UNSIGNED_PAYLOAD,
    canonical_request,
    string_to_sign,
)
from s3proxy.s3api.scope import DATE_FORMAT
from s3proxy.s3api.signing_keys import Scope, SigningKeys
from s3proxy.s3api.sigv4 import ChunkSigning
from strongroom.keyed_hash import HmacSha256
from strongroom.secret import Secret

# Servers and proxies on the way may add or change these; what is signed must arrive as it was.
_NOT_SIGNED: Final = frozenset({"accept-encoding", "connection", "expect", "transfer-encoding", "user-agent"})


@dataclass(frozen=True, eq=False)
class StoreCredential:
    """What the proxy signs to the store with; temporary credentials have a session token."""

    access_key_id: str
    secret_key: Secret
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class _Moment:
    """What all requests have in common that are signed in one second.

    Attributes:
        second: of the epoch.
        timestamp: as it is signed.
        scope: of the key.
        beginning: of the Authorization header, up to the names of the signed headers.
        key: of the scope.
    """

    second: int
    timestamp: str
    scope: str
    beginning: str
    key: HmacSha256


class Signer:
    """Signs for one store, by one credential.

    Every header that is sent is signed but those that something on the way may have to change. S3 demands only ``host``
    and ``x-amz-*``, but without TLS whoever is between here and the store could then take ``If-None-Match`` or
    ``If-Match`` out of a write, and let it replace what it was not to replace, or give an object another Content-Type.
    To sign such a header takes half a microsecond; a small read has none.
    """

    def __init__(self, credential: StoreCredential, region: str, keys: SigningKeys | None = None) -> None:
        """Take what is signed with.

        Args:
            credential: of the store.
            region: that the store expects.
            keys: derived signing keys, which may outlive this signer.
        """
        self.credential = credential
        self._region = region
        self._keys = keys or SigningKeys()
        self._moment: _Moment | None = None

    def sign(  # noqa: PLR0913 - a request has these parts
        self,
        method: str,
        *,
        host: str,
        raw_path: str,
        raw_query: str = "",
        headers: Mapping[str, str],
        now: datetime,
        payload_sha256: str = UNSIGNED_PAYLOAD,
    ) -> dict[str, str]:
        """Return the headers to be added to a request.

        Args:
            method: of the request.
            host: the Host header that will be sent.
            raw_path: percent-encoded, as it will be sent.
            raw_query: percent-encoded and sorted, as it will be sent.
            headers: all that will be sent besides.
            now: our time, with a time zone.
            payload_sha256: of the body in hexadecimal, or UNSIGNED_PAYLOAD.
        """
        second = int(now.timestamp())
        moment = self._moment
        if moment is None or moment.second != second:
            moment = self._moment = self._moment_of(second)
        timestamp = moment.timestamp
        added = {"x-amz-date": timestamp, "x-amz-content-sha256": payload_sha256}
        if self.credential.session_token is not None:
            added["x-amz-security-token"] = self.credential.session_token.reveal().decode()
        sent = {"host": host} | {name.lower(): value for name, value in (*headers.items(), *added.items())}
        signed = sorted([pair for pair in sent.items() if pair[0] not in _NOT_SIGNED])
        request = canonical_request(
            method=method, path=raw_path, query=raw_query, headers=signed, payload=payload_sha256
        )
        signature = moment.key.digest(string_to_sign(request, timestamp=timestamp, scope=moment.scope)).hex()
        names = ";".join([name for name, _ in signed])
        added["Authorization"] = f"{moment.beginning}{names}, Signature={signature}"
        return added

    def _moment_of(self, second: int) -> _Moment:
        timestamp = datetime.fromtimestamp(second, UTC).strftime(DATE_FORMAT)
        scope = Scope(timestamp[:8], self._region)
        beginning = f"{ALGORITHM} Credential={self.credential.access_key_id}/{scope}, SignedHeaders="
        key = HmacSha256(self._keys.key_for(self.credential, scope).reveal())
        return _Moment(second, timestamp, str(scope), beginning, key)

    def of_chunks(self, signed: Mapping[str, str]) -> ChunkSigning:
        """Return what signs the chunks behind a head, given what ``sign`` has added to it."""
        timestamp = signed["x-amz-date"]
        scope = Scope(timestamp[:8], self._region)
        seed = signed["Authorization"].rpartition("Signature=")[2]
        return ChunkSigning(self._keys.key_for(self.credential, scope), timestamp, str(scope), seed)

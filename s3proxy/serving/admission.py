"""Whether a request may be served: who sends it, what it asks for, and whether that may be. Nothing is spent here."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from s3proxy.exchange.access_record import AccessRecord, Decision
from s3proxy.s3api.access import require_access, require_visible
from s3proxy.s3api.credentials import Credentials
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import make_head
from s3proxy.s3api.operation_table import Operation
from s3proxy.s3api.operations import Call, classify, host_bucket
from s3proxy.s3api.rules import On, rule_of
from s3proxy.s3api.signing_keys import SigningKeys
from s3proxy.s3api.sigv4 import Verified, Verifier
from s3proxy.serving.access_log import AccessLog
from s3proxy.store.client import Store
from strongroom.service.following import Followed

FORMS: Final = frozenset({Operation.POST_OBJECT})
# Asked by whoever comes: an answer that other buckets do not get would tell strangers which one is the proxy's own. The
# uploader asks once it is known who signed the form; a preflight tells nothing of what a bucket holds.
_VISIBLE_ANYWAY: Final = FORMS | {Operation.CORS_PREFLIGHT}


@dataclass(kw_only=True, eq=False)
class Admission:
    """Admits requests.

    Attributes:
        offered: the operations that are served.
        domains: host names under which buckets are subdomains.
        hidden_bucket: the proxy's own.
        credentials: of the clients.
        store: knows what it can do.
        access_log: refuses where it has no room, and knows what must be on disk first.
    """

    offered: Collection[Operation]
    domains: tuple[str, ...]
    hidden_bucket: str
    credentials: Followed[Credentials]
    store: Store
    access_log: AccessLog

    def __post_init__(self) -> None:
        """Begin without keys."""
        self._keys = SigningKeys()
        self._verifier: Verifier | None = None

    @property
    def verifier(self) -> Verifier:
        """What verifies signatures by the credentials in force."""
        credentials, verifier = self.credentials.value, self._verifier
        if verifier is None or verifier.credentials is not credentials:
            verifier = self._verifier = Verifier(credentials, keys=self._keys)
        return verifier

    def admit(
        self, method: str, target: str, raw_headers: Iterable[tuple[bytes, bytes]], record: AccessRecord
    ) -> tuple[Verified, Call]:
        """Return what a request asks for if its sender is known and may do it; the record learns of it on the way.

        Args:
            method: as received.
            target: path and query as received.
            raw_headers: as received.
            record: of the request.

        Raises:
            S3Error: who sends it is not known, or may not, or it is not offered.
        """
        headers = [(n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in raw_headers]
        head = record.head = make_head(method, target, headers)
        self.access_log.require_room()
        verified = self.verifier.verify(head, now=datetime.now(UTC), host_bucket=host_bucket(head, self.domains))
        record.head = verified.head
        if not verified.principal.is_anonymous:
            record.requester = verified.principal.name
        call = record.asked = classify(verified.head, domains=self.domains)
        if call.operation not in FORMS:  # a form tells later who sends it
            record.requester = verified.principal.name
        record.is_durable = self.access_log.is_durable(record)
        record.decision = Decision.DENIED
        require_access(verified.principal, call)
        if call.operation not in _VISIBLE_ANYWAY:
            require_visible(call.bucket, hidden_bucket=self.hidden_bucket)
        is_later = rule_of(call.operation).on is On.LATER
        record.decision = Decision.UNDECIDED if is_later else Decision.ALLOWED
        if call.operation not in self.offered:
            raise S3Error("NotImplemented", f"{call.operation.value} is not implemented.")
        self.store.capabilities.require(call.operation, verified.head)
        return verified, call

"""The metrics of the bridge, in a registry of their own. No label holds anything that a caller can make up."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_REQUEST_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CALL_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)

WATCH = {
    "audit_write_seconds": '`outcome="failed"`; p99 of seconds: a slow disk delays every launch',
    "coalesced_reads": "nothing: reads saved when many pods start together",
    "openbao_call_seconds": "outcomes from 500 on, and words such as `timeout` and `unreachable`; p99 above a second",
    "openbao_token_ttl_seconds": "0: the bridge has no login, and can serve nobody",
    "policy_loaded_timestamp_seconds": "nothing: it tells which edit is in force",
    "policy_stale": "1: the policy file is broken, and the older policy is in force",
    "reloads": '`outcome="failed"`: the log says which file and why',
    "request_seconds": "the share of statuses from 500 on; p99 above `request_timeout_s`",
    "requests_in_flight": "near `max_requests`: more replicas are needed",
    "secrets": '`decision="denied"` that rises: a workload or a policy was changed, or somebody tries names',
    "tls_certificate_expiry_timestamp_seconds": "less than a week ahead: the certificate is not renewed",
}
"""What to be woken by, of each metric without its prefix; for docs/reference/metrics.md."""


class Metrics:
    """All metrics; the methods are the observers that the other modules are given."""

    def __init__(self) -> None:
        """Make a registry and the metrics in it."""
        self.registry = CollectorRegistry()
        self.in_flight = Gauge("strongroom_bridge_requests_in_flight", "Requests at work", registry=self.registry)
        self._requests = Histogram(
            "strongroom_bridge_request_seconds",
            "Requests by route and status, with their duration",
            ["route", "status"],
            buckets=_REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self._secrets = Counter(
            "strongroom_bridge_secrets", "Secrets by what became of them", ["decision"], registry=self.registry
        )
        self._calls = Histogram(
            "strongroom_bridge_openbao_call_seconds",
            "Calls of OpenBao by operation and outcome",
            ["operation", "outcome"],
            buckets=_CALL_BUCKETS_S,
            registry=self.registry,
        )
        self._coalesced = Counter(
            "strongroom_bridge_coalesced_reads", "Reads answered by a read already in flight", registry=self.registry
        )
        self._reloads = Counter(
            "strongroom_bridge_reloads", "Reloads of policy and TLS files", ["what", "outcome"], registry=self.registry
        )
        self.certificate_expires_at = Gauge(
            "strongroom_bridge_tls_certificate_expiry_timestamp_seconds",
            "End of the server certificate in use",
            registry=self.registry,
        )
        self.policy_loaded_at = Gauge(
            "strongroom_bridge_policy_loaded_timestamp_seconds",
            "When the policy in force was read",
            registry=self.registry,
        )
        self.policy_stale = Gauge(
            "strongroom_bridge_policy_stale",
            "1 while the policy file is broken and an older policy is in force",
            registry=self.registry,
        )
        self.token_ttl = Gauge(
            "strongroom_bridge_openbao_token_ttl_seconds",
            "Rest of the life of the OpenBao token; 0: none, +Inf: no end",
            registry=self.registry,
        )
        self._audit = Histogram(
            "strongroom_bridge_audit_write_seconds",
            "Writes of the audit log by outcome",
            ["outcome"],
            buckets=_CALL_BUCKETS_S,
            registry=self.registry,
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).observe(seconds)

    def secrets(self, decision: str, count: int) -> None:
        """Count secrets."""
        self._secrets.labels(decision).inc(count)

    def openbao_call(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call of OpenBao."""
        self._calls.labels(operation, outcome).observe(seconds)

    def coalesced(self) -> None:
        """Count a read that joined another."""
        self._coalesced.inc()

    def reload(self, what: str, succeeded: bool) -> None:  # noqa: FBT001 - an observer with one fact
        """Count a reload of ``policy`` or ``tls``."""
        self._reloads.labels(what, _outcome(succeeded)).inc()

    def audit_write(self, seconds: float, succeeded: bool) -> None:  # noqa: FBT001 - an observer with one fact
        """Count a write of the audit log."""
        self._audit.labels(_outcome(succeeded)).observe(seconds)

    def expose(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)


def _outcome(succeeded: bool) -> str:  # noqa: FBT001 - the whole of its meaning
    return "ok" if succeeded else "failed"

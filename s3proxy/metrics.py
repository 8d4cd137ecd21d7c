"""The metrics of the proxy, in a registry of their own. No label holds anything that a client can make up.

What every request counts is added up in plain numbers (``strongroom.service.tallies``), by the thread of the event
loop. Call ``write`` every second or so.
"""

from contextvars import ContextVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from strongroom.service.tallies import Tallies

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_STORE_IDS = 8  # a multipart object is read by one request to the store for each part


class StoreAnswers:
    """The answers of the store that one request has waited for.

    Attributes:
        seconds: until each began.
        request_ids: that the store gave the first of them.
    """

    __slots__ = ("request_ids", "seconds")

    def __init__(self) -> None:
        """Begin with none."""
        self.seconds = 0.0
        self.request_ids: list[str] = []


_answers_of_request: ContextVar[StoreAnswers | None] = ContextVar("answers_of_request", default=None)

WATCH = {
    "access_log_lost": "`full`: the access log misses requests; `unknown_sender`: strangers try in numbers",
    "access_log_write_seconds": 'any `outcome="error"`; p99 above 0.1 s, which durable requests wait for',
    "body_bytes": "nothing: it tells what is moved",
    "bucket_keys": 'many `result="miss"`: `unwrap_cache_keys` is too small for what is read',
    "bucket_keys_held": "0 while there is traffic: nothing could be read while OpenBao is away",
    "connections": "near `max_connections`",
    "general_path": '`reason="mistake"`: a fault of ours; other reasons only cost processor time',
    "keys_not_available": "any: objects whose key cannot be had, see the log's `key_not_available`",
    "kms_seconds": "outcomes other than 200: each is a key that cannot be had; p99 above a second",
    "memory_reserved_bytes": "near `memory_bytes` for long: requests wait for room",
    "openbao_token_ttl_seconds": "0, where there is a transit key: the proxy has no login",
    "own_seconds": "p99 that rises while the store's does not",
    "policies": "`state` other than `well` above 0: see the log's `policy_key_refused` and `policy_missing`",
    "refused_objects": "any: somebody changed, cut, swapped or planted an object",
    "request_seconds": "the share of statuses from 500 on",
    "requests_in_flight": "near `max_requests`: more processes or replicas are needed",
    "shed": "what rises: `memory` and `requests` are load, the others slow or unknown clients",
    "store_seconds": "outcomes from 500 on, `busy` and `unreachable`; p99 that rises",
    "tls_certificate_expiry_timestamp_seconds": "less than a week ahead, and not 0: the certificate is not renewed",
    "worker_restarts": "any: the log's `worker_ended` tells how it ended",
}
"""What to be woken by, of each metric without its prefix; for docs/reference/metrics.md."""


def worker_restarts(registry: CollectorRegistry) -> Counter:
    """Return the one metric that the parent of several processes has itself."""
    return Counter("strongroom_s3proxy_worker_restarts", "Workers that were begun again", registry=registry)


class Metrics:
    """All metrics; the methods are the observers that the other modules are given."""

    def __init__(self) -> None:
        """Make a registry and the metrics in it."""
        self.registry = CollectorRegistry()
        self.in_flight = Gauge(
            "strongroom_s3proxy_requests_in_flight",
            "Requests at work",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.memory = Gauge(
            "strongroom_s3proxy_memory_reserved_bytes",
            "What requests in flight may hold, out of memory_bytes",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._requests = Histogram(
            "strongroom_s3proxy_request_seconds",
            "Requests by operation and status (0: aborted), with their duration",
            ["operation", "status"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._own = Histogram(
            "strongroom_s3proxy_own_seconds",
            "Requests by operation: their duration without the waits for answers of the store to begin",
            ["operation"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._bytes = Counter(
            "strongroom_s3proxy_body_bytes", "Plaintext by operation and direction", ["operation", "direction"],
            registry=self.registry,
        )  # fmt: skip
        self._refused = Counter(
            "strongroom_s3proxy_refused_objects", "Stored objects refused, by rule", ["rule"], registry=self.registry
        )
        self._not_available = Counter(
            "strongroom_s3proxy_keys_not_available",
            "Requests whose bucket key could not be had until somebody brings it back, by cause",
            ["cause"],
            registry=self.registry,
        )
        self.policies = Gauge(
            "strongroom_s3proxy_policies",
            "Policies: well, refused (a key that cannot be used), missing (in the keyring and not in the policy file)",
            ["state"],
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self._shed = Counter(
            "strongroom_s3proxy_shed",
            "Connections and requests that were cut off or refused a place, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.connections = Gauge(
            "strongroom_s3proxy_connections",
            "Connections of clients, by whether the client is known",
            ["client"],
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._general_path = Counter(
            "strongroom_s3proxy_general_path",
            "Requests that could not be answered on the fast path, by reason",
            ["reason"],
            registry=self.registry,
        )
        self._store = Histogram(
            "strongroom_s3proxy_store_seconds",
            "Requests to the store until their answer begins, by outcome",
            ["outcome"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._keys = Counter(
            "strongroom_s3proxy_bucket_keys",
            "Bucket keys asked for: hit, miss, or kept (used while the KMS was unreachable)",
            ["result"],
            registry=self.registry,
        )
        self.keys_held = Gauge(
            "strongroom_s3proxy_bucket_keys_held",
            "Unwrapped bucket keys, in the process that has the fewest: what can be read while the KMS is unreachable",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self.token_ttl = Gauge(
            "strongroom_s3proxy_openbao_token_ttl_seconds",
            "How long the login at OpenBao still lives; 0 without one",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self.certificate_expires_at = Gauge(
            "strongroom_s3proxy_tls_certificate_expiry_timestamp_seconds",
            "End of the proxy's own certificate; 0 where it serves plain HTTP",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self._access_log = Histogram(
            "strongroom_s3proxy_access_log_write_seconds",
            "Writes of the access log, each of many records, by outcome",
            ["outcome"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._not_in_access_log = Counter(
            "strongroom_s3proxy_access_log_lost",
            "Requests that are not in the access log: full, or unknown_sender (refused, and more than are recorded)",
            ["reason"],
            registry=self.registry,
        )
        self._kms = Histogram(
            "strongroom_s3proxy_kms_seconds",
            "Calls of the KMS by operation and outcome",
            ["operation", "outcome"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._tallies = Tallies(bounds=_BUCKETS_S)

    @staticmethod
    def note_answers_in(answers: StoreAnswers) -> None:
        """Note the store's answers there, of the task that this is called in and those that it makes."""
        _answers_of_request.set(answers)

    def request(self, operation: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count a request, and of it the time that it did not wait for the answers of the store noted with it."""
        answers = _answers_of_request.get()
        self.answered(operation, status, seconds, received, sent, waited_s=answers.seconds if answers else 0.0)

    def answered(  # noqa: PLR0913 - what is counted of each
        self, operation: str, status: int, seconds: float, received: int, sent: int, *, waited_s: float
    ) -> None:
        """Count a request.

        Args:
            operation: its name.
            status: of the answer, 0 if none went out.
            seconds: that it took.
            received: bytes of plaintext.
            sent: bytes of the body of the answer.
            waited_s: for answers of the store to begin. Some may be waited for side by side, so the sum may be longer
                than the time that there was.
        """
        tallies = self._tallies
        tallies.durations(self._requests, operation, str(status)).observe(seconds)
        tallies.durations(self._own, operation).observe(max(0.0, seconds - waited_s))
        if received:
            tallies.count(self._bytes, operation, "in").add(received)
        if sent:
            tallies.count(self._bytes, operation, "out").add(sent)

    def refused(self, rule: int) -> None:
        """Count a stored object that broke a rule of the format."""
        self._refused.labels(str(rule)).inc()

    def key_not_available(self, cause: str) -> None:
        """Count a request whose bucket key could not be had."""
        self._not_available.labels(cause).inc()

    def access_log_write(self, seconds: float, succeeded: bool) -> None:  # noqa: FBT001 - as of an audit log
        """Count a write of the access log."""
        self._access_log.labels("success" if succeeded else "error").observe(seconds)

    def not_in_access_log(self, reason: str) -> None:
        """Count a request that the access log does not have."""
        self._not_in_access_log.labels(reason).inc()

    def shed(self, reason: str) -> None:
        """Count a connection or a request that was cut off, or that there was no place for."""
        self._shed.labels(reason).inc()

    def general_path(self, reason: str) -> None:
        """Count a request that was left to the general path, or handed over to it."""
        self._tallies.count(self._general_path, reason).add(1)

    def store(self, outcome: str, seconds: float, request_id: str) -> None:
        """Count a request to the store, with the id that the store gave it or ""."""
        answers = _answers_of_request.get()
        if answers is not None:
            answers.seconds += seconds
            if request_id and len(answers.request_ids) < _STORE_IDS:
                answers.request_ids.append(request_id)
        self._tallies.durations(self._store, outcome).observe(seconds)

    def bucket_key(self, result: str) -> None:
        """Count a bucket key that was asked for."""
        self._tallies.count(self._keys, result).add()

    def kms(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call of the KMS."""
        self._kms.labels(operation, outcome).observe(seconds)

    def write(self) -> None:
        """Write what requests have counted to where the metrics are read: the registry, or what processes share."""
        self._tallies.write()

    def expose(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        self.write()
        return generate_latest(self.registry)

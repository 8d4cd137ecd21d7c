"""The settings of the bridge. ``python -m bridge --help`` prints them."""

from dataclasses import dataclass
from pathlib import Path

from bridge.audit import AuditSettings
from bridge.service import Limits
from bridge.shares import Capacity
from strongroom.errors import ConfigError
from strongroom.openbao.session import OpenBaoSettings
from strongroom.service.server import ServerSettings
from strongroom.service.settings import REQUIRED, Guard, changed, group, number, seconds, setting
from strongroom.service.tls_reload import MutualTlsSettings

PREFIX = "STRONGROOM_BRIDGE_"
_ANSWERS_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class RequestSettings:
    """What one request may cost, and all of them together."""

    request_timeout_s: float = seconds(
        8.0,
        "wait for all reads of one request",
        "below the 10 s that a wrapper waits, so that it hears the reason",
        maximum=600,
    )
    max_body_bytes: int = setting(1 << 20, "largest request", "bytes", "8,000 references of 120 bytes", minimum=1024)
    max_bodies_bytes: int = setting(
        8 << 20,
        "requests in flight at once; beyond that callers are told to come back",
        "bytes",
        "bounds memory: a request in parsing takes up to 40 times its size; one identity gets three quarters",
        minimum=1024,
    )
    max_region_bytes: int = setting(
        8 << 20,
        "largest answer",
        "bytes",
        "the wrapper must lock it in memory; RLIMIT_MEMLOCK is 8 MiB by default since Linux 5.16",
        minimum=64,
        maximum=1 << 30,
    )
    max_files_bytes: int = setting(
        16 << 20,
        "all files of one answer",
        "bytes",
        "half of the largest request that OpenBao takes by default; they are not locked in memory",
        minimum=64,
        maximum=1 << 30,
    )
    max_answers_bytes: int = setting(
        0,
        "what was read for requests in flight, and their answers; others wait, and are told to come back",
        "bytes",
        "bounds memory; 0 is 256 MiB, or what two of the largest answers need if that is more",
        minimum=0,
    )
    max_requests: int = number(
        256,
        "requests in flight at once; more are told to come back",
        "bounds memory: one identity gets at most three quarters",
    )
    body_timeout_s: float = seconds(5.0, "wait for the whole of a request's body", "requests are small", maximum=600)
    retry_after_s: float = seconds(
        1.0,
        "pause asked of callers beyond max_requests",
        "requests last milliseconds",
        minimum=0,
        maximum=3600,
        behind="reload_interval_s",
    )

    def limits(self, *, reads_at_once: int) -> Limits:
        """Return those of one request."""
        return Limits(
            region_bytes=self.max_region_bytes,
            files_bytes=self.max_files_bytes,
            reading_s=self.request_timeout_s,
            reads_at_once=reads_at_once,
        )

    @property
    def capacity(self) -> Capacity:
        """What all requests together may take."""
        return Capacity(
            requests=self.max_requests,
            body_bytes=self.max_body_bytes,
            bodies_bytes=self.max_bodies_bytes,
            answer_bytes=self._most_read_bytes,
            answers_bytes=self.max_answers_bytes or max(_ANSWERS_BYTES, 2 * self._bytes_of_one_answer),
            room_s=self.request_timeout_s / 2,  # before the deadline of all reads, so that the caller hears the reason
            body_s=self.body_timeout_s,
            retry_after_s=self.retry_after_s,
        )

    @property
    def _most_read_bytes(self) -> int:
        """What may be read for one request; a file may be stored as base64, and that broken into lines."""
        return self.max_region_bytes + 2 * self.max_files_bytes

    @property
    def _bytes_of_one_answer(self) -> int:
        """What one request may hold: what was read, the values made of it, and the answer with them."""
        return self._most_read_bytes + 2 * (self.max_region_bytes + self.max_files_bytes)

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: what all requests have is less than one may need.
        """
        if self.max_answers_bytes and self.max_answers_bytes < self._bytes_of_one_answer:
            msg = f"max_answers_bytes={self.max_answers_bytes}: one answer may need {self._bytes_of_one_answer}"
            raise ConfigError(msg, hint="raise it, or lower max_region_bytes or max_files_bytes")
        if self.max_body_bytes > self.max_bodies_bytes:
            msg = f"max_body_bytes={self.max_body_bytes}: all requests together have {self.max_bodies_bytes}"
            raise ConfigError(msg, hint="raise max_bodies_bytes to several times it, or lower max_body_bytes")


@dataclass(frozen=True, kw_only=True)
class BridgeSettings:
    """All settings of one bridge; the rule of each says what it is, its unit and why the default."""

    server: ServerSettings = group(
        ServerSettings,
        listen=changed(":8443", meaning="where to serve HTTPS"),
        keepalive_timeout_s=changed(
            meaning="close a connection on which no request begins or is complete for this long",
            why="wrappers ask once",
            maximum=3600,
        ),
        drain_timeout_s=changed(why="below the 30 s that Kubernetes gives a pod", maximum=3600),
        reload_interval_s=changed(meaning="look for changes of policy, certificates and token files", maximum=3600),
        log_level=changed(why="one line per request"),
    )
    tls: MutualTlsSettings = group(MutualTlsSettings, whose="the bridge's")
    policy_file: Path = setting(REQUIRED, "who may read what", "TOML file", guard=Guard.WRITE)
    openbao: OpenBaoSettings = group(OpenBaoSettings, "openbao_", whose="the bridge's", holder="the bridge")
    requests: RequestSettings = group(RequestSettings)
    audit: AuditSettings = group(AuditSettings, "audit_", behind="request_timeout_s")
    handshake_timeout_s: float = seconds(
        5.0,
        "wait for a caller's TLS handshake, and for its goodbye",
        "a slow-loris holds a connection no longer",
        maximum=600,
        behind="max_requests",
    )
    connection_age_s: float = seconds(
        60.0,
        "close a connection after its answer when it is so old, and in any case when it is twice as old",
        "wrappers ask once; nobody outlives a certificate, or holds an answer, by keeping a connection busy",
        maximum=86_400,
        behind="keepalive_timeout_s",
    )

"""The settings of the bridge. ``python -m bridge --help`` prints them."""

# ruff: noqa: RUF009 - setting() is dataclasses.field() with a rule

import enum
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import ConfigError
from strongroom.service.listening import parse_listen
from strongroom.service.record_file import STDOUT
from strongroom.service.settings import REQUIRED, Rule, setting

PREFIX = "STRONGROOM_BRIDGE_"
_ANSWERS_BYTES = 256 << 20


class Durability(enum.Enum):
    """What must have happened to an audit record before an answer is sent."""

    FSYNC = "fsync"
    WRITE = "write"


class LogLevel(enum.Enum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class BridgeSettings:
    """All settings of one bridge; the rule of each field says what it is, its unit and why the default."""

    listen: str = setting(
        ":8443",
        Rule("where to serve HTTPS", unit="[HOST]:PORT", why="no HOST is every address; port 0 takes a free one"),
    )
    health_listen: str = setting(
        ":8080",
        Rule(
            "where to serve /metrics, /healthz and /readyz, plain HTTP",
            unit="[HOST]:PORT",
            why="the same port on every service of Strongroom",
        ),
    )
    tls_cert_file: Path = setting(REQUIRED, Rule("the bridge's certificate with its chain", unit="PEM file"))
    tls_key_file: Path = setting(REQUIRED, Rule("the private key of that certificate", unit="PEM file"))
    client_ca_file: str = setting(
        REQUIRED,
        Rule(
            "authorities that may sign the callers' certificates",
            unit="PEM file with one root; or TRUST_DOMAIN=FILE,... where each may only name its own trust domain",
        ),
    )
    policy_file: Path = setting(REQUIRED, Rule("who may read what", unit="TOML file"))
    openbao_address: str = setting(REQUIRED, Rule("the OpenBao server", unit="https://HOST[:PORT]"))
    openbao_ca_file: Path | None = setting(
        None,
        Rule("authorities of OpenBao's certificate", unit="PEM file", why="without it the system's authorities count"),
    )
    openbao_namespace: str = setting("", Rule("OpenBao namespace of all paths", why="the root namespace"))
    openbao_token_file: Path | None = setting(
        None, Rule("file with the bridge's OpenBao token, read again when it changes")
    )
    openbao_role_id_file: Path | None = setting(None, Rule("file with the role id of the bridge's AppRole"))
    openbao_secret_id_file: Path | None = setting(None, Rule("file with the secret id of the bridge's AppRole"))
    openbao_approle_mount: str = setting("approle", Rule("where AppRole is mounted", why="OpenBao's default"))
    openbao_connect_timeout_s: float = setting(
        2.0,
        Rule(
            "wait for a connection to OpenBao, and again for its TLS handshake",
            unit="seconds",
            why="a neighbour answers within milliseconds",
            minimum=0.01,
            maximum=600,
        ),
    )
    openbao_read_timeout_s: float = setting(
        5.0,
        Rule(
            "wait for an answer of OpenBao",
            unit="seconds",
            why="far above a healthy read, below request_timeout_s",
            minimum=0.01,
            maximum=600,
        ),
    )
    openbao_max_connections: int = setting(
        16,
        Rule(
            "threads and connections to OpenBao",
            unit="number",
            why="Python handles about a thousand reads a second; more threads do not help",
            minimum=1,
            maximum=1024,
        ),
    )
    request_timeout_s: float = setting(
        8.0,
        Rule(
            "wait for all reads of one request",
            unit="seconds",
            why="below the 10 s that a wrapper waits, so that it hears the reason",
            minimum=0.01,
            maximum=600,
        ),
    )
    audit_file: Path = setting(
        STDOUT, Rule("where audit records go", unit="file, or - for stdout", why="a container's stdout is collected")
    )
    audit_durability: Durability = setting(
        Durability.FSYNC,
        Rule(
            "what must have happened to a record before the answer",
            unit="fsync or write",
            why="fsync survives a power cut; on stdout it is write",
        ),
    )
    audit_timeout_s: float = setting(
        5.0,
        Rule(
            "wait for the audit record to be written",
            unit="seconds",
            why="a stuck disk must not hold callers",
            minimum=0.01,
            maximum=600,
        ),
    )
    max_body_bytes: int = setting(
        1 << 20, Rule("largest request", unit="bytes", why="8,000 references of 120 bytes", minimum=1024)
    )
    max_bodies_bytes: int = setting(
        8 << 20,
        Rule(
            "requests in flight at once; beyond that callers are told to come back",
            unit="bytes",
            why="bounds memory: a request in parsing takes up to 40 times its size; one identity gets three quarters",
            minimum=1024,
        ),
    )
    max_region_bytes: int = setting(
        8 << 20,
        Rule(
            "largest answer",
            unit="bytes",
            why="the wrapper must lock it in memory; RLIMIT_MEMLOCK is 8 MiB by default since Linux 5.16",
            minimum=64,
            maximum=1 << 30,
        ),
    )
    max_files_bytes: int = setting(
        16 << 20,
        Rule(
            "all files of one answer",
            unit="bytes",
            why="half of the largest request that OpenBao takes by default; they are not locked in memory",
            minimum=64,
            maximum=1 << 30,
        ),
    )
    max_answers_bytes: int = setting(
        0,
        Rule(
            "what was read for requests in flight, and their answers; others wait, and are told to come back",
            unit="bytes",
            why="bounds memory; 0 is 256 MiB, or what two of the largest answers need if that is more",
            minimum=0,
        ),
    )
    max_requests: int = setting(
        256,
        Rule(
            "requests in flight at once; more are told to come back",
            unit="number",
            why="bounds memory: one identity gets at most three quarters",
            minimum=1,
        ),
    )
    handshake_timeout_s: float = setting(
        5.0,
        Rule(
            "wait for a caller's TLS handshake, and for its goodbye",
            unit="seconds",
            why="a slow-loris holds a connection no longer",
            minimum=0.01,
            maximum=600,
        ),
    )
    body_timeout_s: float = setting(
        5.0,
        Rule(
            "wait for the whole of a request's body",
            unit="seconds",
            why="requests are small",
            minimum=0.01,
            maximum=600,
        ),
    )
    keepalive_timeout_s: float = setting(
        15.0,
        Rule(
            "close a connection on which no request begins or is complete for this long",
            unit="seconds",
            why="wrappers ask once",
            minimum=0.01,
            maximum=3600,
        ),
    )
    connection_age_s: float = setting(
        60.0,
        Rule(
            "close a connection after its answer when it is so old, and in any case when it is twice as old",
            unit="seconds",
            why="wrappers ask once; nobody outlives a certificate, or holds an answer, by keeping a connection busy",
            minimum=0.01,
            maximum=86_400,
        ),
    )
    drain_timeout_s: float = setting(
        20.0,
        Rule(
            "at SIGTERM, wait for requests in flight",
            unit="seconds",
            why="below the 30 s that Kubernetes gives a pod",
            minimum=0,
            maximum=3600,
        ),
    )
    reload_interval_s: float = setting(
        1.0,
        Rule(
            "look for changes of policy, certificates and token files",
            unit="seconds",
            why="a handful of stat calls",
            minimum=0.01,
            maximum=3600,
        ),
    )
    retry_after_s: float = setting(
        1.0,
        Rule(
            "pause asked of callers beyond max_requests",
            unit="seconds",
            why="requests last milliseconds",
            minimum=0,
            maximum=3600,
        ),
    )
    ready_fd: int = setting(
        -1,
        Rule(
            "inherited descriptor that gets the `listening` event as one JSON line and is closed",
            unit="descriptor",
            why="-1 is none",
            minimum=-1,
        ),
    )
    log_level: LogLevel = setting(
        LogLevel.INFO,
        Rule("how much to log to stderr", unit="debug, info, warning or error", why="one line per request"),
    )

    @property
    def most_read_bytes(self) -> int:
        """What may be read for one request; a file may be stored as base64, and that broken into lines."""
        return self.max_region_bytes + 2 * self.max_files_bytes

    @property
    def most_answers_bytes(self) -> int:
        """The bytes that are meant by ``max_answers_bytes``."""
        needed = self._bytes_of_one_answer
        return self.max_answers_bytes or max(_ANSWERS_BYTES, 2 * needed)

    @property
    def _bytes_of_one_answer(self) -> int:
        """What one request may hold: what was read, the values made of it, and the answer with them."""
        return self.most_read_bytes + 2 * (self.max_region_bytes + self.max_files_bytes)

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: there is not exactly one way to log in, what all requests have is less than one may need, or an
                address to listen on is malformed.
        """
        approle = (self.openbao_role_id_file, self.openbao_secret_id_file)
        if bool(self.openbao_token_file) == any(approle) or any(approle) != all(approle):
            msg = "openbao_token_file, openbao_role_id_file, openbao_secret_id_file: there must be one way to log in"
            raise ConfigError(msg, hint="set the token file, or both files of an AppRole")
        if self.max_answers_bytes and self.max_answers_bytes < self._bytes_of_one_answer:
            msg = f"max_answers_bytes={self.max_answers_bytes}: one answer may need {self._bytes_of_one_answer}"
            raise ConfigError(msg, hint="raise it, or lower max_region_bytes or max_files_bytes")
        if self.max_body_bytes > self.max_bodies_bytes:
            msg = f"max_body_bytes={self.max_body_bytes}: all requests together have {self.max_bodies_bytes}"
            raise ConfigError(msg, hint="raise max_bodies_bytes to several times it, or lower max_body_bytes")
        for name in ("listen", "health_listen"):
            parse_listen(getattr(self, name), name)

"""The settings of the proxy. ``python -m s3proxy --help`` prints them."""

# ruff: noqa: RUF009 - setting() is dataclasses.field() with a rule

import enum
from dataclasses import dataclass
from pathlib import Path

from s3proxy.keys.settings import KeySettings
from s3proxy.store.settings import StoreSettings
from strongroom.errors import ConfigError
from strongroom.service.listening import parse_listen
from strongroom.service.settings import REQUIRED, Rule, setting

PREFIX = "STRONGROOM_S3PROXY_"


class LogLevel(enum.Enum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class AccessLogWhenFull(enum.Enum):
    """What happens to requests whose record cannot be kept."""

    DROP = "drop"
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Where the proxy serves, in how many processes, and whom."""

    listen: str = setting(
        ":8190", Rule("where to serve S3", unit="[HOST]:PORT", why="no HOST is every address; port 0 takes a free one")
    )
    health_listen: str = setting(
        ":8080",
        Rule(
            "where to serve /metrics, /healthz and /readyz, plain HTTP",
            unit="[HOST]:PORT",
            why="the same port on every service of Strongroom",
        ),
    )
    tls_cert_file: Path | None = setting(
        None, Rule("the proxy's certificate with its chain", unit="PEM file", why="without it plain HTTP is served")
    )
    tls_key_file: Path | None = setting(None, Rule("the private key of that certificate", unit="PEM file"))
    processes: int = setting(
        1,
        Rule(
            "processes that serve on the one port",
            unit="number",
            why="one uses one processor core",
            minimum=1,
            maximum=256,
        ),
    )
    worker_timeout_s: float = setting(
        30.0,
        Rule(
            "end and replace one of several processes that does not answer its parent for this long",
            unit="seconds",
            why="a busy one answers within milliseconds",
            minimum=0.3,
        ),
    )
    worker_start_timeout_s: float = setting(
        60.0,
        Rule(
            "end and replace one of several processes that does not serve for this long after its start; give up if it"
            " is the first start",
            unit="seconds",
            why="what it asks OpenBao and the store at its start has deadlines of its own",
            minimum=0.3,
        ),
    )
    share_port: bool = setting(
        False,
        Rule("whether several processes listen on one port", unit="true or false", why="SO_REUSEPORT"),
    )
    domains: str = setting(
        "", Rule("host names under which buckets are subdomains", unit="NAME,NAME", why="path style always works")
    )
    credentials_file: Path | None = setting(
        None, Rule("access keys and rights of the clients", unit="TOML file", why="this or credentials_secret")
    )
    credentials_secret: str = setting(
        "",
        Rule(
            "the same in OpenBao: a secret whose member `credentials` is the text of such a file",
            unit="bao:MOUNT/PATH",
            why="read again every 30 s",
        ),
    )
    policy_file: Path = setting(
        REQUIRED, Rule("which buckets and prefixes are sealed under which key", unit="TOML file")
    )

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: an address is malformed, or settings that belong together are not all there.
        """
        for name in ("listen", "health_listen"):
            parse_listen(getattr(self, name), name)
        if bool(self.credentials_file) == bool(self.credentials_secret):
            msg = "credentials_file, credentials_secret: one of them must be set"
            raise ConfigError(msg, hint="they say who may do what, from a file or from OpenBao")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            msg = "tls_cert_file, tls_key_file: one is set without the other"
            raise ConfigError(msg, hint="set both, or neither for plain HTTP")


@dataclass(frozen=True, kw_only=True)
class ProxySettings(KeySettings, StoreSettings, ServingSettings):
    """All settings of one proxy; the rule of each field says what it is, its unit and why the default.

    Help texts list the last base first.
    """

    buffered_body_bytes: int = setting(
        1 << 20,
        Rule(
            "read bodies up to this size before they are sent on",
            unit="bytes",
            why="their digests then are in the metadata, and HEAD needs no second read",
            minimum=0,
            maximum=64 << 20,
        ),
    )
    max_requests: int = setting(
        512,
        Rule("requests in flight at once; more are told to slow down", unit="number", why="bounds memory", minimum=1),
    )
    max_unknown_requests: int = setting(
        64,
        Rule(
            "requests of unknown senders in flight besides: without a signature, and forms until they are verified",
            unit="number",
            why="they have an eighth of memory_bytes, too, and take nothing from others",
            minimum=1,
        ),
    )
    max_connections: int = setting(
        4096,
        Rule(
            "connections of clients at once, for each process; more wait in the kernel",
            unit="number",
            why="each is a descriptor, and some 20 KB or, with TLS, 300 KB",
            minimum=2,
        ),
    )
    max_unknown_connections: int = setting(
        256,
        Rule(
            "of these, connections on which nothing but silence, TLS or a part of a head has come of an unknown client;"
            " when there are more, the oldest of the address with most of them makes room; as many more may"
            " be open that were refused",
            unit="number",
            why="a crowd of new clients gets through in a moment",
            minimum=1,
        ),
    )
    head_timeout_s: float = setting(
        10.0,
        Rule(
            "wait for a first byte and TLS, and then for a whole head of a request of an unknown client",
            unit="seconds",
            why="known clients have keepalive_timeout_s",
            minimum=0.1,
        ),
    )
    memory_bytes: int = setting(
        512 << 20,
        Rule(
            "what requests may hold at once, for each process; more wait, then are told to slow down",
            unit="bytes",
            why="three times 1 MiB for a small body, 768 KiB for one that streams, whatever its size; a quarter is for"
            " what needs less than 1 MiB, an eighth for unknown senders",
            minimum=8 << 20,
        ),
    )
    body_idle_timeout_s: float = setting(
        60.0,
        Rule("end a request whose client moves no byte for this long", unit="seconds", why="as S3 does", minimum=0.1),
    )
    body_least_bytes_s: int = setting(
        1024,
        Rule(
            "end a request whose client sends its body, or takes its answer, more slowly than this",
            unit="bytes a second",
            why="each slow transfer holds a connection to the store; only waits for the client count; 0 is no limit",
            minimum=0,
        ),
    )
    body_rate_interval_s: float = setting(
        15.0,
        Rule("take the least rate over", unit="seconds", why="networks pause for seconds", minimum=0.1),
    )
    short_body_timeout_s: float = setting(
        20.0,
        Rule(
            "wait for a whole document, and for the fields of a form until its file begins",
            unit="seconds",
            why="4 MiB at most",
            minimum=0.1,
        ),
    )
    keepalive_timeout_s: float = setting(
        60.0, Rule("close a connection without requests after", unit="seconds", why="SDKs keep pools", minimum=0.1)
    )
    drain_timeout_s: float = setting(
        20.0,
        Rule("at SIGTERM, wait for requests in flight", unit="seconds", why="below the 30 s of Kubernetes", minimum=0),
    )
    reload_interval_s: float = setting(
        1.0, Rule("look for changes of files", unit="seconds", why="a handful of stat calls", minimum=0.01)
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
    access_log: Path | None = setting(
        None,
        Rule(
            "where the access log goes, a JSON line for each request; several processes write one file",
            unit="file, or - for stdout",
            why="without it none is kept",
        ),
    )
    access_log_when_full: AccessLogWhenFull = setting(
        AccessLogWhenFull.DROP,
        Rule(
            "whether requests are served that the access log has no room for, since its disk is full or too slow",
            unit="drop (and count them) or refuse",
            why='names of policies with audit = "durable" are refused in any case',
        ),
    )
    access_log_queue_bytes: int = setting(
        16 << 20,
        Rule(
            "records that wait to be written, for each process",
            unit="bytes",
            why="20,000 requests, or two of 1,000 deleted keys of the longest kind",
            minimum=1 << 16,
        ),
    )
    access_log_timeout_s: float = setting(
        5.0,
        Rule(
            "wait for a record that must be on disk before the answer",
            unit="seconds",
            why="a stuck disk must not hold clients",
            minimum=0.01,
            maximum=600,
        ),
    )
    access_log_unknown_per_s: float = setting(
        50.0,
        Rule(
            "record refused requests of unknown senders up to this rate, for each process; more are counted",
            unit="a second",
            why="strangers must not fill the disk; ten seconds' worth may come at once",
            minimum=0,
        ),
    )
    log_level: LogLevel = setting(
        LogLevel.INFO, Rule("how much to log to stderr", unit="debug, info, warning or error")
    )

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: an address is malformed, or settings that belong together are not all there.
        """
        ServingSettings.__post_init__(self)
        StoreSettings.__post_init__(self)
        KeySettings.__post_init__(self)
        if self.max_unknown_connections >= self.max_connections:
            msg = f"max_unknown_connections={self.max_unknown_connections}: must be below max_connections"
            raise ConfigError(msg, hint="the rest is for clients that are known")

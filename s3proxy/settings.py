"""The settings of the proxy. ``python -m s3proxy --help`` prints them."""

from dataclasses import dataclass
from pathlib import Path

from s3proxy.exchange.pace import Patience
from s3proxy.serving.access_log import AccessLogSettings
from s3proxy.serving.client_credentials import ClientSettings
from s3proxy.storage import StorageSettings
from strongroom.errors import ConfigError
from strongroom.service.following import KeptFiles
from strongroom.service.server import ServerSettings
from strongroom.service.settings import Guard, changed, group, number, seconds, setting
from strongroom.service.tls_reload import ReloadingServerContext

PREFIX = "STRONGROOM_S3PROXY_"


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """Whether TLS is served; settings behind ``tls_``."""

    cert_file: Path | None = setting(
        None,
        "the proxy's certificate with its chain",
        "PEM file",
        "without it plain HTTP is served",
        guard=Guard.WRITE,
    )
    key_file: Path | None = setting(None, "the private key of that certificate", "PEM file", guard=Guard.READ)

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: one is set without the other.
        """
        if bool(self.cert_file) != bool(self.key_file):
            msg = "tls_cert_file, tls_key_file: one is set without the other"
            raise ConfigError(msg, hint="set both, or neither for plain HTTP")

    def follow(self, kept: KeptFiles | None) -> ReloadingServerContext | None:
        """Return the context, None for plain HTTP; ``kept`` is what was in force in a process before this one."""
        if self.cert_file is None or self.key_file is None:
            return None
        return ReloadingServerContext(cert_file=self.cert_file, key_file=self.key_file, kept=kept)


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """All settings of one proxy; the rule of each says what it is, its unit and why the default."""

    server: ServerSettings = group(
        ServerSettings,
        listen=changed(":8190", meaning="where to serve S3"),
        keepalive_timeout_s=changed(60.0, why="SDKs keep pools", minimum=0.1),
    )
    tls: TlsSettings = group(TlsSettings, "tls_")
    processes: int = number(1, "processes that serve on the one port", "one uses one processor core", maximum=256)
    worker_timeout_s: float = seconds(
        30.0,
        "end and replace one of several processes that does not answer its parent for this long",
        "a busy one answers within milliseconds",
        minimum=0.3,
    )
    worker_start_timeout_s: float = seconds(
        60.0,
        "end and replace one of several processes that does not serve for this long after its start; give up if it"
        " is the first start",
        "what it asks OpenBao and the store at its start has deadlines of its own",
        minimum=0.3,
    )
    share_port: bool = setting(False, "whether several processes listen on one port", "true or false", "SO_REUSEPORT")
    domains: str = setting("", "host names under which buckets are subdomains", "NAME,NAME", "path style always works")
    clients: ClientSettings = group(ClientSettings)
    storage: StorageSettings = group(StorageSettings)
    buffered_body_bytes: int = setting(
        1 << 20,
        "read bodies up to this size before they are sent on",
        "bytes",
        "their digests then are in the metadata, and HEAD needs no second read",
        minimum=0,
        maximum=64 << 20,
    )
    fast_path: bool = setting(
        True,
        "whether objects of up to 64 KiB are got and put without a task for each request",
        "true or false",
        "it takes less processor time and answers the same, so switching it off is for finding a fault",
    )
    max_requests: int = number(512, "requests in flight at once; more are told to slow down", "bounds memory")
    max_unknown_requests: int = number(
        64,
        "requests of unknown senders in flight besides: without a signature, and forms until they are verified",
        "they have an eighth of memory_bytes, too, and take nothing from others",
    )
    max_connections: int = number(
        4096,
        "connections of clients at once, for each process; more wait in the kernel",
        "each is a descriptor, and some 20 KB or, with TLS, 300 KB",
        minimum=2,
    )
    max_unknown_connections: int = number(
        256,
        "of these, connections on which nothing but silence, TLS or a part of a head has come of an unknown client;"
        " when there are more, the oldest of the address with most of them makes room; as many more may"
        " be open that were refused",
        "a crowd of new clients gets through in a moment",
    )
    head_timeout_s: float = seconds(
        10.0,
        "wait for a first byte and TLS, and then for a whole head of a request of an unknown client",
        "known clients have keepalive_timeout_s",
        minimum=0.1,
    )
    memory_bytes: int = setting(
        512 << 20,
        "what requests may hold at once, for each process; more wait, then are told to slow down",
        "bytes",
        "three times 1 MiB for a small body, 768 KiB for one that streams, whatever its size; a quarter is for"
        " what needs less than 1 MiB, an eighth for unknown senders",
        minimum=8 << 20,
    )
    patience: Patience = group(Patience)
    access_log: AccessLogSettings = group(AccessLogSettings, behind="ready_fd")

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: there is no room for clients that are known.
        """
        if self.max_unknown_connections >= self.max_connections:
            msg = f"max_unknown_connections={self.max_unknown_connections}: must be below max_connections"
            raise ConfigError(msg, hint="the rest is for clients that are known")

"""The settings of the proxy. ``python -m s3proxy --help`` prints them."""

# ruff: noqa: RUF009 - setting() is dataclasses.field() with a rule

import enum
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from strongroom.errors import ConfigError
from strongroom.service.listening import parse_listen
from strongroom.service.settings import REQUIRED, Rule, setting

PREFIX = "STRONGROOM_S3PROXY_"
PROFILE_SCHEME = "profile:"


class StoreCredentialSource(enum.StrEnum):
    """Where the credentials for the store are; others have a scheme and a name."""

    FILE = "file"
    ENV = "env"


class Known(enum.Enum):
    """What is known of the store beforehand."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


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


class StorePayload(enum.Enum):
    """What requests to the store say about their bodies."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """All settings of one proxy; the rule of each field says what it is, its unit and why the default."""

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
            "end and replace one of several processes that does not answer its parent for so long",
            unit="seconds",
            why="a busy one answers within milliseconds",
            minimum=0.3,
        ),
    )
    worker_start_timeout_s: float = setting(
        60.0,
        Rule(
            "end and replace one of several processes that does not serve for so long after its start; give up if it is"
            " the first start",
            unit="seconds",
            why="what it asks OpenBao and the store at its start has deadlines of its own",
            minimum=0.3,
        ),
    )
    share_port: bool = setting(
        False,  # noqa: FBT003 - the default
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
    store_address: str = setting(REQUIRED, Rule("the S3 store", unit="https://HOST[:PORT] or http://HOST[:PORT]"))
    store_credentials: str = setting(
        StoreCredentialSource.FILE,
        Rule(
            "where the proxy's own credentials at the store are: store_credentials_file, the variables AWS_*, a profile"
            " of the AWS tools, or a secret in OpenBao with the same members",
            unit="file, env, profile:NAME or bao:MOUNT/PATH",
            why="clients never have them",
        ),
    )
    store_credentials_file: Path | None = setting(
        None, Rule("access_key_id and secret_access_key at the store, session_token if any", unit="TOML file")
    )
    store_region: str = setting("us-east-1", Rule("region to sign for", why="stores without regions take this one"))
    store_ca_file: Path | None = setting(
        None, Rule("authorities of the store's certificate", unit="PEM file", why="without it the system's count")
    )
    store_connections: int = setting(
        256, Rule("connections to the store at once", unit="number", why="one per stream", minimum=1)
    )
    store_connect_timeout_s: float = setting(
        3.0,
        Rule(
            "wait for a connection to the store", unit="seconds", why="a near one answers in milliseconds", minimum=0.01
        ),
    )
    store_idle_timeout_s: float = setting(
        60.0,
        Rule(
            "end a transfer on which the store moves no byte for so long", unit="seconds", why="as S3 does", minimum=0.1
        ),
    )
    store_payload: StorePayload = setting(
        StorePayload.UNSIGNED,
        Rule(
            "whether requests to the store are signed with a hash of their body",
            unit="unsigned or signed",
            why="S3 needs none over TLS; with signed, bodies above buffered_body_bytes are signed piece by piece",
        ),
    )
    store_part_counts: Known = setting(
        Known.AUTO,
        Rule(
            "whether ETags of multipart objects at the store end in their number of parts; without it multipart"
            " uploads are refused",
            unit="auto, yes or no",
            why="auto asks the store with a small upload",
        ),
    )
    store_equal_parts: bool = setting(
        False,  # noqa: FBT003 - the default
        Rule(
            "whether the store wants all parts of an upload but the last to be of one size; what it would not take is"
            " refused by name",
            unit="true or false",
            why="S3 does not",
        ),
    )
    store_conditional_writes: Known = setting(
        Known.AUTO,
        Rule(
            "whether the store obeys If-Match and If-None-Match on writes; without it such requests are refused",
            unit="auto, yes or no",
            why="auto asks the store with a small object",
        ),
    )
    store_checksums: Known = setting(
        Known.AUTO,
        Rule(
            "whether the store verifies CRC-64/NVME of what it is sent, of streams behind them; Object Lock of S3 wants"
            " that. Without it small bodies carry Content-MD5 and streams nothing",
            unit="auto, yes or no",
            why="auto asks the store with a wrong one and a small upload",
        ),
    )
    store_slash_content: Known = setting(
        Known.AUTO,
        Rule(
            "whether objects whose keys end in a slash keep their content at the store; without it such content is"
            " kept by the key with !!!!!!!! behind it, and such keys without content are read as empty",
            unit="auto, yes or no",
            why="auto asks the store with a small object",
        ),
    )
    store_keeps_names: Known = setting(
        Known.AUTO,
        Rule(
            "whether the store keeps names with two slashes, a backslash and the like as they are; those that it would"
            " change are refused",
            unit="auto, yes or no",
            why="auto asks the store with a small object of each kind",
        ),
    )
    system_bucket: str = setting(
        "strongroom-system",
        Rule(
            "bucket of the proxy's own objects: the keyring, and copies of small parts of unfinished uploads",
            unit="bucket name",
            why="no helper object stands among the clients' objects; clients do not see it",
        ),
    )
    kek_file: Path | None = setting(
        None, Rule('key file that wraps bucket keys of policies with kek = "file"', unit="file, base64 of 32 bytes")
    )
    openbao_address: str = setting(
        "", Rule("the OpenBao server of policies with a transit key", unit="https://HOST[:PORT]")
    )
    openbao_ca_file: Path | None = setting(
        None, Rule("authorities of OpenBao's certificate", unit="PEM file", why="without it the system's count")
    )
    openbao_namespace: str = setting("", Rule("OpenBao namespace of all paths", why="the root namespace"))
    openbao_transit_mount: str = setting("transit", Rule("where transit is mounted", why="OpenBao's default"))
    openbao_token_file: Path | None = setting(None, Rule("file with an OpenBao token, read again when it changes"))
    openbao_role_id_file: Path | None = setting(None, Rule("file with the role id of the proxy's AppRole"))
    openbao_secret_id_file: Path | None = setting(None, Rule("file with the secret id of the proxy's AppRole"))
    openbao_approle_mount: str = setting("approle", Rule("where AppRole is mounted", why="OpenBao's default"))
    openbao_timeout_s: float = setting(
        5.0,
        Rule("wait for an answer of OpenBao", unit="seconds", why="far above a healthy one", minimum=0.01, maximum=600),
    )
    bucket_key_ttl_s: float = setting(
        3600.0,
        Rule(
            "use a bucket key for new objects for so long", unit="seconds", why="one call of the KMS an hour", minimum=0
        ),
    )
    bucket_key_uses: int = setting(
        1 << 20,
        Rule("use a bucket key for so many new objects", unit="number", why="bounds what one key opens", minimum=1),
    )
    unwrap_cache_s: float = setting(
        900.0,
        Rule(
            "keep an unwrapped bucket key for reading; those in use are confirmed at half of it",
            unit="seconds",
            why="0 asks OpenBao for each read",
            minimum=0,
        ),
    )
    unwrap_grace_s: float = setting(
        3600.0,
        Rule(
            "use bucket keys for so much longer while OpenBao is unreachable; what it refuses is forgotten at once",
            unit="seconds",
            why="an hour to bring it back; revoking takes effect no later than this behind unwrap_cache_s",
            minimum=0,
        ),
    )
    unwrap_cache_keys: int = setting(
        10_000, Rule("keep so many unwrapped bucket keys", unit="number", why="a few megabytes", minimum=1)
    )
    buffered_body_bytes: int = setting(
        1 << 20,
        Rule(
            "read bodies up to this size before they are sent on",
            unit="bytes",
            why="their digests then stand in the metadata, and HEAD needs no second read",
            minimum=0,
            maximum=64 << 20,
        ),
    )
    max_requests: int = setting(
        512, Rule("requests at work at once; more are told to slow down", unit="number", why="bounds memory", minimum=1)
    )
    max_unknown_requests: int = setting(
        64,
        Rule(
            "requests at work of unknown senders, beside those: without a signature, and forms until they are verified",
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
        Rule("end a request whose client moves no byte for so long", unit="seconds", why="as S3 does", minimum=0.1),
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
        Rule("at SIGTERM, wait for requests at work", unit="seconds", why="below the 30 s of Kubernetes", minimum=0),
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
        for name in ("listen", "health_listen"):
            parse_listen(getattr(self, name), name)
        url = urlsplit(self.store_address)
        if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/") or url.query:
            msg = f"store_address={self.store_address}: must be http(s)://HOST[:PORT] without a path"
            raise ConfigError(msg, hint="buckets are asked for in path style below it")
        if bool(self.credentials_file) == bool(self.credentials_secret):
            msg = "credentials_file, credentials_secret: one of them must be set"
            raise ConfigError(msg, hint="they say who may do what, from a file or from OpenBao")
        if self.max_unknown_connections >= self.max_connections:
            msg = f"max_unknown_connections={self.max_unknown_connections}: must be below max_connections"
            raise ConfigError(msg, hint="the rest is for clients that are known")
        source = self.store_credentials
        named = source.startswith((PROFILE_SCHEME, "bao:"))
        if not named and source not in set(StoreCredentialSource):
            msg = f"store_credentials={source}: must be file, env, profile:NAME or bao:MOUNT/PATH"
            raise ConfigError(msg, hint="it says where the credentials are, and holds none")
        if bool(self.store_credentials_file) != (source == StoreCredentialSource.FILE):
            msg = "store_credentials_file: must be set if store_credentials is file, and only then"
            raise ConfigError(msg, hint="name a TOML file with access_key_id and secret_access_key")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            msg = "tls_cert_file, tls_key_file: one is set without the other"
            raise ConfigError(msg, hint="set both, or neither for plain HTTP")
        approle = (self.openbao_role_id_file, self.openbao_secret_id_file)
        if self.openbao_address and (bool(self.openbao_token_file) == any(approle) or any(approle) != all(approle)):
            msg = "openbao_token_file, openbao_role_id_file, openbao_secret_id_file: there must be one way to log in"
            raise ConfigError(msg, hint="set the token file, or both files of an AppRole")

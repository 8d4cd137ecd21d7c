"""The settings of the store: where it is, who the proxy is there, and what is known of it beforehand."""

# ruff: noqa: RUF009 - setting() is dataclasses.field() with a rule

import enum
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from strongroom.errors import ConfigError
from strongroom.service.settings import REQUIRED, Rule, setting

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


class StorePayload(enum.Enum):
    """What requests to the store say about their bodies."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """Those of ``ProxySettings`` that begin with ``store_``, and the proxy's own bucket."""

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
            "end a transfer on which the store moves no byte for this long",
            unit="seconds",
            why="as S3 does",
            minimum=0.1,
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
        False,
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

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: the address is malformed, or the credentials are not all there.
        """
        url = urlsplit(self.store_address)
        if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/") or url.query:
            msg = f"store_address={self.store_address}: must be http(s)://HOST[:PORT] without a path"
            raise ConfigError(msg, hint="buckets are asked for in path style below it")
        source = self.store_credentials
        named = source.startswith((PROFILE_SCHEME, "bao:"))
        if not named and source not in set(StoreCredentialSource):
            msg = f"store_credentials={source}: must be file, env, profile:NAME or bao:MOUNT/PATH"
            raise ConfigError(msg, hint="it says where the credentials are, and holds none")
        if bool(self.store_credentials_file) != (source == StoreCredentialSource.FILE):
            msg = "store_credentials_file: must be set if store_credentials is file, and only then"
            raise ConfigError(msg, hint="name a TOML file with access_key_id and secret_access_key")

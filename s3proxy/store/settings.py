"""The settings of the store: where it is, who the proxy is there, and what is known of it beforehand."""

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from strongroom.errors import ConfigError
from strongroom.service.settings import REQUIRED, Guard, number, seconds, setting

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


def _known(meaning: str, asked_with: str) -> Any:  # noqa: ANN401 - as setting()
    return setting(Known.AUTO, meaning, "auto, yes or no", f"auto asks the store with {asked_with}")


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """Those of the store, behind ``store_``."""

    address: str = setting(REQUIRED, "the S3 store", "https://HOST[:PORT] or http://HOST[:PORT]")
    credentials: str = setting(
        StoreCredentialSource.FILE,
        "where the proxy's own credentials at the store are: store_credentials_file, the variables AWS_*, a profile"
        " of the AWS tools, or a secret in OpenBao with the same members",
        "file, env, profile:NAME or bao:MOUNT/PATH",
        "clients never have them",
    )
    credentials_file: Path | None = setting(
        None,
        "access_key_id and secret_access_key at the store, session_token if any",
        "TOML file",
        guard=Guard.READ,
    )
    region: str = setting("us-east-1", "region to sign for", why="stores without regions take this one")
    ca_file: Path | None = setting(
        None,
        "authorities of the store's certificate",
        "PEM file",
        "without it the system's count",
        guard=Guard.WRITE,
    )
    connections: int = number(256, "connections to the store at once", "one per stream")
    connect_timeout_s: float = seconds(3.0, "wait for a connection to the store", "a near one answers in milliseconds")
    idle_timeout_s: float = seconds(
        60.0, "end a transfer on which the store moves no byte for this long", "as S3 does", minimum=0.1
    )
    payload: StorePayload = setting(
        StorePayload.UNSIGNED,
        "whether requests to the store are signed with a hash of their body",
        "unsigned or signed",
        "S3 needs none over TLS; with signed, bodies above buffered_body_bytes are signed piece by piece",
    )
    part_counts: Known = _known(
        "whether ETags of multipart objects at the store end in their number of parts; without it multipart"
        " uploads are refused",
        "a small upload",
    )
    equal_parts: bool = setting(
        False,
        "whether the store wants all parts of an upload but the last to be of one size; what it would not take is"
        " refused by name",
        "true or false",
        "S3 does not",
    )
    conditional_writes: Known = _known(
        "whether the store obeys If-Match and If-None-Match on writes; without it such requests are refused",
        "a small object",
    )
    checksums: Known = _known(
        "whether the store verifies CRC-64/NVME of what it is sent, of streams behind them; Object Lock of S3 wants"
        " that. Without it small bodies carry Content-MD5 and streams nothing",
        "a wrong one and a small upload",
    )
    slash_content: Known = _known(
        "whether objects whose keys end in a slash keep their content at the store; without it such content is"
        " kept by the key with !!!!!!!! behind it, and such keys without content are read as empty",
        "a small object",
    )
    keeps_names: Known = _known(
        "whether the store keeps names with two slashes, a backslash and the like as they are; those that it would"
        " change are refused",
        "a small object of each kind",
    )

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: the address is malformed, or the credentials are not all there.
        """
        url = urlsplit(self.address)
        if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/") or url.query:
            msg = f"store_address={self.address}: must be http(s)://HOST[:PORT] without a path"
            raise ConfigError(msg, hint="buckets are asked for in path style below it")
        source = self.credentials
        named = source.startswith((PROFILE_SCHEME, "bao:"))
        if not named and source not in set(StoreCredentialSource):
            msg = f"store_credentials={source}: must be file, env, profile:NAME or bao:MOUNT/PATH"
            raise ConfigError(msg, hint="it says where the credentials are, and holds none")
        if bool(self.credentials_file) != (source == StoreCredentialSource.FILE):
            msg = "store_credentials_file: must be set if store_credentials is file, and only then"
            raise ConfigError(msg, hint="name a TOML file with access_key_id and secret_access_key")

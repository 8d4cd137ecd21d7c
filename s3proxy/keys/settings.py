"""The settings of keys: where those that wrap are, the login at OpenBao, and how long bucket keys are used."""

# ruff: noqa: RUF009 - setting() is dataclasses.field() with a rule

from dataclasses import dataclass
from pathlib import Path

from s3proxy.keys.bucket_keys import KeyLimits
from strongroom.errors import ConfigError
from strongroom.openbao.connection import Endpoint, Observe
from strongroom.openbao.login import Credentials
from strongroom.openbao.session import Session
from strongroom.service.settings import Rule, setting

_CONNECTIONS = 8  # calls of transit take a millisecond, and those for the same bucket key are one


@dataclass(frozen=True, kw_only=True)
class KeySettings:
    """Those of ``ProxySettings`` about KEKs, OpenBao and bucket keys."""

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
            "use a bucket key for new objects for this long",
            unit="seconds",
            why="one call of the KMS an hour",
            minimum=0,
        ),
    )
    bucket_key_uses: int = setting(
        1 << 20,
        Rule("use a bucket key for this many new objects", unit="number", why="bounds what one key opens", minimum=1),
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
        10_000, Rule("keep this many unwrapped bucket keys", unit="number", why="a few megabytes", minimum=1)
    )

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: there is not one way to log in.
        """
        approle = (self.openbao_role_id_file, self.openbao_secret_id_file)
        if self.openbao_address and (bool(self.openbao_token_file) == any(approle) or any(approle) != all(approle)):
            msg = "openbao_token_file, openbao_role_id_file, openbao_secret_id_file: there must be one way to log in"
            raise ConfigError(msg, hint="set the token file, or both files of an AppRole")


def session_of(settings: KeySettings, *, observe: Observe, shared: Path | None = None) -> Session | None:
    """Return the login that the settings name, None if they name no OpenBao; nothing is sent yet.

    Args:
        settings: of the proxy.
        observe: told after each exchange the operation, the outcome and the seconds it took.
        shared: private directory of the processes of this proxy.

    Raises:
        ConfigError: a setting or a file that it names is wrong.
    """
    if not settings.openbao_address:
        return None
    endpoint = Endpoint(
        address=settings.openbao_address,
        ca_file=str(settings.openbao_ca_file or ""),
        namespace=settings.openbao_namespace,
        connect_timeout_s=settings.openbao_timeout_s,
        read_timeout_s=settings.openbao_timeout_s,
        max_connections=_CONNECTIONS,
    )
    credentials = Credentials(
        token_file=settings.openbao_token_file,
        role_id_file=settings.openbao_role_id_file,
        secret_id_file=settings.openbao_secret_id_file,
        approle_mount=settings.openbao_approle_mount,
    )
    return Session(endpoint, credentials, timeout_s=settings.openbao_timeout_s, observe=observe, shared=shared)


def limits_of(settings: KeySettings) -> KeyLimits:
    """Return how long and how often bucket keys are used."""
    return KeyLimits(
        seal_ttl_s=settings.bucket_key_ttl_s,
        seal_uses=settings.bucket_key_uses,
        open_ttl_s=settings.unwrap_cache_s,
        open_keys=settings.unwrap_cache_keys,
        grace_s=settings.unwrap_grace_s,
    )

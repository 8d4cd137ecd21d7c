"""The proxy's login at OpenBao, from its settings."""

from pathlib import Path

from s3proxy.settings import ProxySettings
from strongroom.openbao.connection import Endpoint, Observe
from strongroom.openbao.login import Credentials
from strongroom.openbao.session import Session

_CONNECTIONS = 8  # calls of transit take a millisecond, and those for the same bucket key are one


def session_of(settings: ProxySettings, *, observe: Observe, shared: Path | None = None) -> Session | None:
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

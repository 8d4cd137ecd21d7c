"""The key-encryption keys that the policies name, and the login behind those in OpenBao."""

from collections.abc import Iterable

from s3proxy.kek import FileKek, Kek, KekByForm
from s3proxy.kek_transit import TransitKek
from s3proxy.policies import KEK_FILE, TRANSIT_PREFIX, Policy
from s3proxy.settings import ProxySettings
from strongroom.errors import ConfigError
from strongroom.openbao.connection import Endpoint, Observe
from strongroom.openbao.login import Credentials
from strongroom.openbao.session import Session

_CONNECTIONS = 8  # calls of transit take a millisecond, and those for the same bucket key are one


class KekTable:
    """Makes each KEK once. ``tick`` looks after the login, ``close`` ends it."""

    def __init__(self, settings: ProxySettings, *, observe: Observe = lambda *_: None) -> None:
        """Take where key file and OpenBao are. Needs a running event loop if there is an OpenBao.

        Raises:
            ConfigError: the key file, or a file of the login, cannot be used.
        """
        self.session = (
            Session(_endpoint(settings), _credentials(settings), timeout_s=settings.openbao_timeout_s, observe=observe)
            if settings.openbao_address
            else None
        )
        self._file = FileKek(settings.kek_file) if settings.kek_file else None
        self._mount = settings.openbao_transit_mount
        self._transit: dict[str, Kek] = {}

    def of(self, policies: Iterable[Policy]) -> dict[str, Kek]:
        """Return the KEK of each policy, by its name.

        Raises:
            ConfigError: the settings do not say where a KEK is.
        """
        return {policy.name: self._find(policy) for policy in policies}

    def _find(self, policy: Policy) -> Kek:
        if policy.kek == KEK_FILE:
            if self._file is None:
                msg = f"policy {policy.name}: is sealed under a key file, and kek_file is not set"
                raise ConfigError(msg, hint="set kek_file, or give the policy a transit key")
            return self._file
        if self.session is None:
            msg = f"policy {policy.name}: is sealed under a transit key, and openbao_address is not set"
            raise ConfigError(msg, hint="set openbao_address and a way to log in, or use kek_file")
        key = policy.kek.removeprefix(TRANSIT_PREFIX)
        if key not in self._transit:
            transit = TransitKek(self.session, key, mount=self._mount)
            self._transit[key] = KekByForm(transit, self._file) if self._file else transit
        return self._transit[key]

    async def tick(self) -> None:
        """Look after the login. Never fails."""
        if self.session is not None:
            await self.session.tick()

    async def close(self) -> None:
        """Give the token back."""
        if self.session is not None:
            await self.session.close()


def _endpoint(settings: ProxySettings) -> Endpoint:
    return Endpoint(
        address=settings.openbao_address,
        ca_file=str(settings.openbao_ca_file or ""),
        namespace=settings.openbao_namespace,
        connect_timeout_s=settings.openbao_timeout_s,
        read_timeout_s=settings.openbao_timeout_s,
        max_connections=_CONNECTIONS,
    )


def _credentials(settings: ProxySettings) -> Credentials:
    return Credentials(
        token_file=settings.openbao_token_file,
        role_id_file=settings.openbao_role_id_file,
        secret_id_file=settings.openbao_secret_id_file,
        approle_mount=settings.openbao_approle_mount,
    )

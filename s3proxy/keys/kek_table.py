"""The key-encryption keys that the policies name."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from s3proxy.keys.kek import FileKek, Kek, KekByForm, require_own
from s3proxy.keys.kek_transit import TransitKek
from s3proxy.keys.policies import KEK_FILE, TRANSIT_PREFIX, Policy
from strongroom.errors import ConfigError
from strongroom.openbao.connection import Endpoint, Observe, Server
from strongroom.openbao.login import Credentials
from strongroom.openbao.session import Session
from strongroom.service.following import KeptFiles
from strongroom.service.settings import Guard, changed, group, seconds, setting

_KEY_FILE: Final = (
    "set kek_file to the file that it was; only a policy that nothing is sealed under may take another key"
)
_TRANSIT: Final = (
    "set openbao_address and a way to log in; only a policy that nothing is sealed under may take kek_file"
)


_CONNECTIONS: Final = 8  # calls of transit take a millisecond, and those for the same bucket key are one


@dataclass(frozen=True, kw_only=True)
class TransitSettings(Server):
    """The OpenBao that has transit keys, if any does, and the login there: settings behind ``openbao_``."""

    transit_mount: str = setting("transit", "where transit is mounted", why="OpenBao's default")
    login: Credentials = group(
        Credentials,
        whose="the proxy's",
        token_file=changed(meaning="file with an OpenBao token, read again when it changes"),
    )
    timeout_s: float = seconds(5.0, "wait for an answer of OpenBao", "far above a healthy one", maximum=600)

    def __post_init__(self) -> None:
        """Check that there is one way to log in.

        Raises:
            ConfigError: there is none, or more.
        """
        if self.address:
            self.login.require_one()

    def session(self, *, observe: Observe = lambda *_: None, shared: Path | None = None) -> Session | None:
        """Return the login, None if no OpenBao is named; see ``Session``."""
        if not self.address:
            return None
        endpoint = Endpoint(
            self.address, self.ca_file, self.namespace, self.timeout_s, self.timeout_s, max_connections=_CONNECTIONS
        )
        return Session(endpoint, self.login, timeout_s=self.timeout_s, observe=observe, shared=shared)


@dataclass(frozen=True, kw_only=True)
class KekSettings:
    """Where the keys are that wrap bucket keys."""

    kek_file: Path | None = setting(
        None,
        'key file that wraps bucket keys of policies with kek = "file"',
        "file, base64 of 32 bytes",
        guard=Guard.READ,
    )
    openbao: TransitSettings = group(
        TransitSettings,
        "openbao_",
        address=changed("", meaning="the OpenBao server of policies with a transit key"),
        ca_file=changed(why="without it the system's count"),
    )


class KekTable:
    """Makes each KEK once."""

    def __init__(self, settings: KekSettings, session: Session | None, *, kept: KeptFiles | None = None) -> None:
        """Take where the key file is, and the login at OpenBao if there is one.

        Raises:
            ConfigError: the key file cannot be used.
        """
        self._session = session
        if settings.kek_file:
            require_own(settings.kek_file)
        self._file = FileKek(settings.kek_file, kept=kept) if settings.kek_file else None
        self._mount = settings.openbao.transit_mount
        self._transit: dict[str, Kek] = {}

    def of(self, policies: Iterable[Policy]) -> dict[str, Kek]:
        """Return the KEK of each policy, by its name and by those that it had before.

        Raises:
            ConfigError: the settings do not say where a KEK is.
        """
        return {name: self._find(policy) for policy in policies for name in policy.names}

    def _find(self, policy: Policy) -> Kek:
        if policy.kek == KEK_FILE:
            if self._file is None:
                msg = f"policy {policy.name}: is sealed under a key file, and kek_file is not set"
                raise ConfigError(msg, hint=_KEY_FILE)
            return self._file
        if self._session is None:
            msg = f"policy {policy.name}: is sealed under a transit key, and openbao_address is not set"
            raise ConfigError(msg, hint=_TRANSIT)
        key = policy.kek.removeprefix(TRANSIT_PREFIX)
        if key not in self._transit:
            transit = TransitKek(self._session, key, mount=self._mount)
            self._transit[key] = KekByForm(transit, self._file) if self._file else transit
        return self._transit[key]

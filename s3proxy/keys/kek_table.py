"""The key-encryption keys that the policies name."""

from collections.abc import Iterable
from typing import Final

from s3proxy.keys.kek import FileKek, Kek, KekByForm, require_own
from s3proxy.keys.kek_transit import TransitKek
from s3proxy.keys.policies import KEK_FILE, TRANSIT_PREFIX, Policy
from s3proxy.keys.settings import KeySettings
from strongroom.errors import ConfigError
from strongroom.openbao.session import Session
from strongroom.service.following import KeptFiles

_KEY_FILE: Final = (
    "set kek_file to the file that it was; only a policy that nothing is sealed under may take another key"
)
_TRANSIT: Final = (
    "set openbao_address and a way to log in; only a policy that nothing is sealed under may take kek_file"
)


class KekTable:
    """Makes each KEK once."""

    def __init__(self, settings: KeySettings, session: Session | None, *, kept: KeptFiles | None = None) -> None:
        """Take where the key file is, and the login at OpenBao if there is one.

        Raises:
            ConfigError: the key file cannot be used.
        """
        self._session = session
        if settings.kek_file:
            require_own(settings.kek_file)
        self._file = FileKek(settings.kek_file, kept=kept) if settings.kek_file else None
        self._mount = settings.openbao_transit_mount
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

"""The credentials of the clients, from a file or from a secret in OpenBao; both hold the same TOML."""

from s3proxy.s3api.credentials import Credentials
from s3proxy.s3api.credentials_table import parse_credentials
from s3proxy.secret_documents import Members, SecretDocument, require_session
from s3proxy.serving.credentials_file import CredentialsFile
from s3proxy.settings import ProxySettings
from strongroom.errors import ConfigError
from strongroom.openbao.session import Session
from strongroom.service.kept_files import KeptFiles

MEMBER = "credentials"  # of the secret: what else would be a credentials file


class ClientCredentials:
    """The credentials in force. Call ``follow_file`` and ``follow_secret`` from time to time."""

    def __init__(self, settings: ProxySettings, session: Session | None, *, kept: KeptFiles | None = None) -> None:
        """Read the file, if they are in one.

        Args:
            settings: of the proxy.
            session: the login at OpenBao, None without one.
            kept: what was in force in the process that this one replaces.

        Raises:
            ConfigError: it is missing or broken, and there are no older credentials to keep.
        """
        self._file = CredentialsFile(settings.credentials_file, kept=kept) if settings.credentials_file else None
        self._secret: SecretDocument[Credentials] | None = None
        if self._file is None:
            login = require_session(session, "credentials_secret")
            self._secret = SecretDocument(login, settings.credentials_secret, _parse)

    @property
    def table(self) -> Credentials:
        """The newest that could be read.

        Raises:
            UnavailableError: they are in OpenBao and could not be read yet.
        """
        if self._secret is not None:
            return self._secret.value
        assert self._file is not None  # noqa: S101 - one of both
        return self._file.table

    @property
    def error(self) -> str:
        """Why the newest could not be used, or ""."""
        return (self._secret or self._file).error  # type: ignore[union-attr]  # one of both

    def follow_file(self) -> None:
        """Read the file again if it has changed. Never fails."""
        if self._file is not None:
            self._file.reload_if_changed()

    async def follow_secret(self) -> None:
        """Read the secret again if it is time. Never fails."""
        if self._secret is not None:
            await self._secret.refresh()


def _parse(members: Members) -> Credentials:
    text = members.get(MEMBER)
    if not isinstance(text, str):
        msg = f"the secret of credentials_secret has no text called {MEMBER}"
        raise ConfigError(msg, hint=f"store it with: bao kv put PATH {MEMBER}=@clients.toml")
    return parse_credentials(text, origin="credentials_secret", read_secret=_no_file)


def _no_file(name: str) -> bytes:
    msg = f"credentials_secret: secret_key_file = {name}: names a file"
    raise ConfigError(msg, hint="credentials in OpenBao hold their secret_key themselves")

"""The proxy's own credentials at the store: from a file, from a profile of the AWS tools, the environment, or OpenBao.

They are read again when they change; a broken edit leaves the old ones in use and says so.
"""

import configparser
import logging
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from s3proxy.s3api.signer import StoreCredential
from s3proxy.secret_documents import SCHEME, SecretDocument, require_session
from s3proxy.settings import PROFILE_SCHEME, ProxySettings, StoreCredentialSource
from strongroom.errors import ConfigError
from strongroom.openbao.session import Session
from strongroom.secret import Secret
from strongroom.service.filestamp import Changes, Stamp, stamp_of
from strongroom.service.kept_files import KeptFiles, Read
from strongroom.service.logs import log_event
from strongroom.service.members import TEXT, Member

_log = logging.getLogger(__name__)
STORE_CREDENTIAL: Final = (
    Member("access_key_id", TEXT, "the proxy's access key id at the store"),
    Member("secret_access_key", TEXT, "its secret key"),
    Member("session_token", TEXT, "the session token, where the credentials are temporary", default="none"),
)
"""The members of ``store_credentials_file``, and of a secret in its place."""
_MEMBERS: Final = tuple(member.name for member in STORE_CREDENTIAL)


class StoreCredentials:
    """The credentials in use. Call ``follow_file`` and ``follow_secret`` from time to time."""

    def __init__(self, settings: ProxySettings, session: Session | None, *, kept: KeptFiles | None = None) -> None:
        """Read them, unless they are in OpenBao.

        Args:
            settings: of the proxy.
            session: the login at OpenBao, None without one.
            kept: what was in force in the process that this one replaces.

        Raises:
            ConfigError: they are missing or broken, and there are no older ones to keep.
        """
        self._kept = kept or KeptFiles()
        self._source = settings.store_credentials
        self._path: Path | None = None
        self._secret: SecretDocument[StoreCredential] | None = None
        self._file_error = ""
        if self._source.startswith(SCHEME):
            login = require_session(session, "store_credentials")
            self._secret = SecretDocument(login, self._source, lambda members: _credential(members, self._source))
            return
        if self._source == StoreCredentialSource.FILE:
            self._path = settings.store_credentials_file
        elif self._source.startswith(PROFILE_SCHEME):
            self._path = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
        self._changes = Changes(self._stamp())
        self._read, self._file_error = self._kept.start(self._read_source)

    @property
    def current(self) -> StoreCredential:
        """The newest that could be read.

        Raises:
            UnavailableError: they are in OpenBao and could not be read yet.
        """
        return self._secret.value if self._secret else self._read

    @property
    def error(self) -> str:
        """Why the newest could not be used, or ""."""
        return self._secret.error if self._secret else self._file_error

    def follow_file(self) -> None:
        """Read the file again if it has changed. Never fails."""
        if self._path is None or not self._changes.are_due(self._stamp()):
            return
        try:
            self._read = self._kept.load(self._read_source)
        except ConfigError as error:
            self._file_error = error.message
            fields = {"reason": error.message, "hint": error.hint}
            log_event(_log, logging.ERROR, "store_credentials_reload_failed", fields)
        else:
            self._file_error = ""
            log_event(_log, logging.INFO, "store_credentials_reloaded")

    async def follow_secret(self) -> None:
        """Read the secret again if it is time. Never fails."""
        if self._secret is not None:
            await self._secret.refresh()

    def _stamp(self) -> Stamp:
        return stamp_of(self._path) if self._path else ()

    def _read_source(self, read: Read) -> StoreCredential:
        if self._path is None:
            variables = {name: os.environ.get(f"AWS_{name.upper()}", "") for name in _MEMBERS}
            return _credential({name: value for name, value in variables.items() if value}, "AWS_* variables")
        try:
            text = read(self._path).decode()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{self._path}: cannot be read ({getattr(error, 'strerror', 'it is not UTF-8')})"
            raise ConfigError(msg, hint="store_credentials says where the credentials for the store are") from None
        if self._source == StoreCredentialSource.FILE:
            return _credential(_toml(text), str(self._path))
        profile = self._source.removeprefix(PROFILE_SCHEME)
        return _credential(_profile(text, profile), f"{self._path}: profile {profile}")


def _toml(text: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}  # the error would quote the file


def _profile(text: str, profile: str) -> Mapping[str, object]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
        members = dict(parser[profile])
    except (configparser.Error, KeyError):
        return {}
    known = {f"aws_{name}": name for name in _MEMBERS}
    return {known[name]: value for name, value in members.items() if name in known}


def _credential(members: Mapping[str, object], place: str) -> StoreCredential:
    texts = {name: value for name, value in members.items() if isinstance(value, str) and value}
    if not set(_MEMBERS[:2]) <= set(texts) or not set(members) <= set(_MEMBERS):
        msg = f"{place}: must hold access_key_id and secret_access_key, and may hold session_token"
        raise ConfigError(msg, hint="nothing else is known; these are the proxy's own credentials at the store")
    token = Secret(texts["session_token"].encode()) if "session_token" in texts else None
    return StoreCredential(texts["access_key_id"], Secret(texts["secret_access_key"].encode()), token)

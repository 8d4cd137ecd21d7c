"""The proxy's own credentials at the store: from a file, from a profile of the AWS tools, the environment, or OpenBao.

They are read again when they change; a broken edit leaves the old ones in use and says so.
"""

import configparser
import logging
import os
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from s3proxy.s3api.signer import StoreCredential
from s3proxy.secret_documents import SCHEME, FollowedSecret
from s3proxy.store.settings import PROFILE_SCHEME, StoreCredentialSource, StoreSettings
from strongroom.errors import ConfigError
from strongroom.openbao.session import Session
from strongroom.secret import Secret
from strongroom.service.following import Followed, FollowedFile, KeptFiles, Read
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


def follow_store_credentials(
    settings: StoreSettings, session: Session | None, *, kept: KeptFiles | None = None
) -> Followed[StoreCredential]:
    """Return the credentials in use, which follow the file or the secret that they are in.

    Args:
        settings: of the store.
        session: the login at OpenBao, None without one.
        kept: what was in force in the process that this one replaces.

    Raises:
        ConfigError: they are missing or broken, and there are no older ones to keep.
    """
    source = settings.credentials
    if source.startswith(SCHEME):
        return FollowedSecret(
            session, source, lambda members: _credential(members, source), setting="store_credentials"
        )
    path: Path | None = None
    if source == StoreCredentialSource.FILE:
        path = settings.credentials_file
    elif source.startswith(PROFILE_SCHEME):
        path = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    return FollowedFile("store_credentials", partial(_read, path, source), on_new=_note, kept=kept)


def _note(_: StoreCredential) -> None:
    log_event(_log, logging.INFO, "store_credentials_reloaded")


def _read(path: Path | None, source: str, read: Read) -> StoreCredential:
    if path is None:
        variables = {name: os.environ.get(f"AWS_{name.upper()}", "") for name in _MEMBERS}
        return _credential({name: value for name, value in variables.items() if value}, "AWS_* variables")
    try:
        text = read(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({getattr(error, 'strerror', 'it is not UTF-8')})"
        raise ConfigError(msg, hint="store_credentials says where the credentials for the store are") from None
    if source == StoreCredentialSource.FILE:
        return _credential(_toml(text), str(path))
    profile = source.removeprefix(PROFILE_SCHEME)
    return _credential(_profile(text, profile), f"{path}: profile {profile}")


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

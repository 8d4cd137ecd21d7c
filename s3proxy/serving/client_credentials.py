"""The credentials of the clients, from a file or from a secret in OpenBao; both hold the same TOML.

``credentials_table`` says what that is. Files of secret keys are followed, too.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from s3proxy.s3api.credentials import Credentials
from s3proxy.s3api.credentials_table import parse_credentials
from s3proxy.secret_documents import FollowedSecret, Members
from strongroom.errors import ConfigError
from strongroom.openbao.session import Session
from strongroom.service.following import Followed, FollowedFile, KeptFiles, Read
from strongroom.service.logs import log_event
from strongroom.service.settings import Guard, setting

_log = logging.getLogger(__name__)
MEMBER = "credentials"  # of the secret: what else would be a credentials file


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Where the credentials are."""

    credentials_file: Path | None = setting(
        None, "access keys and rights of the clients", "TOML file", "this or credentials_secret", guard=Guard.READ
    )
    credentials_secret: str = setting(
        "",
        "the same in OpenBao: a secret whose member `credentials` is the text of such a file",
        "bao:MOUNT/PATH",
        "read again every 30 s",
    )

    def __post_init__(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: there is not one place.
        """
        if bool(self.credentials_file) == bool(self.credentials_secret):
            msg = "credentials_file, credentials_secret: one of them must be set"
            raise ConfigError(msg, hint="they say who may do what, from a file or from OpenBao")


def follow_credentials(
    settings: ClientSettings, session: Session | None, *, kept: KeptFiles | None = None
) -> Followed[Credentials]:
    """Return the credentials in force, which follow the file or the secret that they are in.

    Begins with what was ``kept``, of the process that this one replaces, where the file is broken.

    Raises:
        ConfigError: the file is missing or broken, and there are no older credentials to keep.
    """
    if settings.credentials_file:
        return follow_credentials_file(settings.credentials_file, kept=kept)
    return FollowedSecret(session, settings.credentials_secret, _parse, setting="credentials_secret")


def follow_credentials_file(
    path: Path, *, kept: KeptFiles | None = None, observe: Callable[[bool], None] = lambda _: None
) -> FollowedFile[Credentials]:
    """Return the credentials of a file; ``observe`` is told after each reload whether it succeeded.

    Raises:
        ConfigError: it is missing or broken, and there are no older credentials to keep.
    """
    return FollowedFile("credentials", partial(_read, path), on_new=_note, observe=observe, kept=kept)


def _note(credentials: Credentials) -> None:
    log_event(_log, logging.INFO, "credentials_reloaded", {"credentials": len(credentials.by_id)})


def _read(path: Path, read: Read) -> Credentials:
    def read_secret(name: str) -> bytes:
        return _read_file(path.parent / name, "secret key", read)

    content = _read_file(path, "credentials file", read)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8", hint="save it as a text file") from None
    return parse_credentials(text, origin=str(path), read_secret=read_secret)


def _read_file(path: Path, what: str, read: Read) -> bytes:
    try:
        return read(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: does not exist", hint=f"name an existing {what}") from None
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ConfigError(msg, hint="make it readable for the user of the proxy") from None


def _parse(members: Members) -> Credentials:
    text = members.get(MEMBER)
    if not isinstance(text, str):
        msg = f"the secret of credentials_secret has no text called {MEMBER}"
        raise ConfigError(msg, hint=f"store it with: bao kv put PATH {MEMBER}=@clients.toml")
    return parse_credentials(text, origin="credentials_secret", read_secret=_no_file)


def _no_file(name: str) -> bytes:
    msg = f"credentials_secret: secret_key_file = {name}: names a file"
    raise ConfigError(msg, hint="credentials in OpenBao hold their secret_key themselves")

"""A secret in OpenBao's key-value engine that is read again from time to time, for credentials that are kept there."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from strongroom.errors import ConfigError, StrongroomError, UnavailableError
from strongroom.launch.reference import parse_path_reference
from strongroom.openbao.session import Session
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
SCHEME: Final = "bao:"
_EVERY_S: Final = 30.0
_RETRY_S: Final = 1.0  # until it could be read for the first time

T = TypeVar("T")
Members = Mapping[str, object]


class SecretDocument(Generic[T]):
    """What the newest version of a secret stands for; call ``refresh`` every second or so.

    Attributes:
        error: why the newest version could not be used, or "".
    """

    def __init__(
        self,
        session: Session,
        reference: str,
        parse: Callable[[Members], T],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where the secret is; nothing is read yet.

        Args:
            session: the login.
            reference: ``bao:MOUNT/PATH``.
            parse: makes the value of the secret's members; raises ConfigError.
            clock: seconds.

        Raises:
            ConfigError: the reference is malformed.
        """
        self._session = session
        self._path, _ = parse_path_reference(reference)
        self._parse = parse
        self._clock = clock
        self._value: T | None = None
        self._members: Members = {}
        self._due = 0.0
        self.error = "was not read yet"

    @property
    def value(self) -> T:
        """The newest value that could be used.

        Raises:
            UnavailableError: there is none yet.
        """
        if self._value is None:
            msg = f"{SCHEME}{self._path}: {self.error}"
            raise UnavailableError(msg, hint="see the log of the proxy; it tries again every second")
        return self._value

    async def refresh(self) -> None:
        """Read the secret if it is time. Never fails: what was read before stays in force, and errors are logged."""
        now = self._clock()
        if now < self._due:
            return
        try:
            members = await self._session.read_secret(self._path)
            if members != self._members:
                self._value, self._members = self._parse(members), members
                log_event(_log, logging.INFO, "secret_loaded", {"path": self._path})
        except StrongroomError as error:
            if error.message != self.error:
                fields = {"path": self._path, "reason": error.message, "hint": error.hint}
                log_event(_log, logging.ERROR, "secret_not_loaded", fields)
            self.error = error.message
        else:
            self.error = ""
        self._due = now + (_EVERY_S if self._value is not None else _RETRY_S)


def require_session(session: Session | None, setting: str) -> Session:
    """Return the login that a secret is read with.

    Raises:
        ConfigError: none is configured.
    """
    if session is None:
        msg = f"{setting}: names a secret in OpenBao, and openbao_address is not set"
        raise ConfigError(msg, hint="set openbao_address and a way to log in")
    return session

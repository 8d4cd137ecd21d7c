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


class FollowedSecret(Generic[T]):
    """What the newest version of a secret stands for, as ``strongroom.service.following.Followed``.

    Attributes:
        error: why the newest version could not be used, or "".
    """

    def __init__(
        self,
        session: Session | None,
        reference: str,
        parse: Callable[[Members], T],
        *,
        setting: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where the secret is; nothing is read yet.

        Args:
            session: the login, None if there is none.
            reference: ``bao:MOUNT/PATH``.
            parse: makes the value of the secret's members; raises ConfigError.
            setting: that names the secret, for messages.
            clock: seconds.

        Raises:
            ConfigError: the reference is malformed, or there is no login to read it with.
        """
        if session is None:
            msg = f"{setting}: names a secret in OpenBao, and openbao_address is not set"
            raise ConfigError(msg, hint="set openbao_address and a way to log in")
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

    def poll(self) -> bool:
        """Do nothing: there is no file."""
        return False

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

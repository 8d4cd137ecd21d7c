"""Values that follow what they are made of: files that are edited, or what a server has.

A broken edit leaves the older value in use and says so, in ``error`` and in the log.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from strongroom.errors import ConfigError
from strongroom.service.filestamp import Changes, Stamp, stamp_of
from strongroom.service.kept_files import KeptFiles, Read
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Followed(Protocol[T_co]):
    """A value that follows what it is made of. Call ``poll`` and ``refresh`` every second or so; they never fail."""

    @property
    def value(self) -> T_co:
        """The newest that could be made.

        Raises:
            UnavailableError: there is none yet.
        """

    @property
    def error(self) -> str:
        """Why the newest could not be used, or ""."""

    def poll(self) -> bool:
        """Look at files; return whether there is a new value."""

    async def refresh(self) -> None:
        """Ask a server, if it is time."""


class FollowedFile(Generic[T]):
    """A value made of a file, and of those that it names: all that are read for it are followed.

    Attributes:
        value: the newest that could be made.
        error: why the newest files could not be used, or "".
        loaded_at: time of the value, seconds of the epoch.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Read], T],
        *,
        on_new: Callable[[T], None] = lambda _: None,
        observe: Callable[[bool], None] = lambda _: None,
        kept: KeptFiles | None = None,
    ) -> None:
        """Make the value for the first time.

        Args:
            name: of the value, with which the event ``NAME_reload_failed`` begins.
            make: makes the value of the files that it reads by the function that it is given.
            on_new: told each later value.
            observe: told after each reload whether it succeeded.
            kept: what was in force in the process that this one replaces.

        Raises:
            ConfigError: the files cannot be used, and there is no older value to keep.
        """
        self._name = name
        self._make = make
        self._on_new = on_new
        self._observe = observe
        self._kept = kept or KeptFiles()
        # From before the files were first read: an edit between two readings is seen.
        self._stamps: dict[Path, Stamp] = {}
        self.value, self.error = self._kept.start(self._make_noting)
        self._changes = Changes(tuple(self._stamps.values()))
        self.loaded_at = time.time()

    def poll(self, *, force: bool = False) -> bool:
        """Make the value again if its files have changed, or by force; return whether there is a new one."""
        due = self._changes.are_due(tuple(stamp_of(path) for path in self._stamps))
        if not due and not force:
            return False
        self._stamps = {}
        try:
            value = self._kept.load(self._make_noting)
        except ConfigError as error:
            self.error = error.message
            fields = {"reason": error.message, "hint": error.hint}
            log_event(_log, logging.ERROR, f"{self._name}_reload_failed", fields)
            self._observe(False)
            return False
        finally:
            self._changes = Changes(tuple(self._stamps.values()))
        self.value, self.error, self.loaded_at = value, "", time.time()
        self._on_new(value)
        self._observe(True)
        return True

    async def refresh(self) -> None:
        """Do nothing: no server is asked."""

    def _make_noting(self, read: Read) -> T:
        def read_noting(path: Path) -> bytes:
            if path not in self._stamps:
                self._stamps[path] = stamp_of(path)
            return read(path)

        try:
            return self._make(read_noting)
        except OSError as error:
            msg = f"{error.filename}: cannot be read ({error.strerror or type(error).__name__})"
            raise ConfigError(msg, hint="make it a file that the user of the service can read") from None

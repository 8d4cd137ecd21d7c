"""Values that follow what they are made of: files that are edited, or what a server has.

A broken edit leaves the older value in use and says so, in ``error`` and in the log. Files are looked at, without
inotify: some file systems send no events, containers swap links.

One of several processes reads its files when it starts. If an edit has broken them meanwhile, the others go on with
what they read before, and it must begin with the same: ``KeptFiles`` holds what files had in them when they were last
good, in memory only, since some are secret keys.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from strongroom.errors import ConfigError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
Read = Callable[[Path], bytes]
Stamp = tuple[tuple[int, int, int, int] | None, ...]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class KeptFiles:
    """Contents by path: of what is in force in this process, or was in the one that it replaces."""

    def __init__(
        self, contents: Mapping[str, bytes] | None = None, *, changed: Callable[[dict[str, bytes]], None] | None = None
    ) -> None:
        """Begin.

        Args:
            contents: what an earlier process had in force.
            changed: told contents that are new, and no others: another process may have read newer ones of those.
        """
        self._contents = dict(contents or {})
        self._changed = changed

    def load(self, make: Callable[[Read], T]) -> T:
        """Return what a function makes of files as they are, and keep what it has read.

        Raises:
            ConfigError: the function refuses them; what was kept before stays.
            OSError: a file cannot be read, and the function has not said so in its own words.
        """
        taken: dict[str, bytes] = {}

        def read(path: Path) -> bytes:
            taken[str(path)] = content = path.read_bytes()
            return content

        value = make(read)
        if self._contents.items() >= taken.items():
            return value
        self._contents |= taken
        if self._changed is not None:
            self._changed(taken)
        return value

    def start(self, make: Callable[[Read], T]) -> tuple[T, str]:
        """Return the same with "", or, where the files are refused, what was made of those kept, with the reason.

        Raises:
            ConfigError: nothing was kept.
        """
        try:
            return self.load(make), ""
        except ConfigError as error:
            if not self._contents:
                raise
            return make(self._kept), error.message

    def _kept(self, path: Path) -> bytes:
        try:
            return self._contents[str(path)]
        except KeyError:
            return path.read_bytes()


def stamp_of(*paths: str | os.PathLike[str]) -> Stamp:
    """Return a value that differs when any of the files was replaced, rewritten, removed or created.

    It follows symbolic links, as Kubernetes swaps a link to the directory of all files at once. Take the stamp before
    reading the files: a change in between is then seen at the next look.
    """
    return tuple(_stamp(path) for path in paths)


class Changes:
    """Notices that files have changed and that anyone who writes them has finished: two looks in a row see the same.

    So a file that is truncated and then written is not read while it is empty or cut.
    """

    def __init__(self, stamp: object) -> None:
        """Begin with files that were read when they had this stamp."""
        self._read = self._seen = stamp

    def are_due(self, stamp: object) -> bool:
        """Return whether files that have this stamp now are to be read again; then they count as read."""
        at_rest, self._seen = stamp == self._seen, stamp
        if stamp == self._read or not at_rest:
            return False
        self._read = stamp
        return True


def _stamp(path: str | os.PathLike[str]) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a path of any kind
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


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

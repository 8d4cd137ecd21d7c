"""A file that records go to, blocking, and the one thread that may touch it. Knows bytes, not records.

Several processes may append to one file: each holds a lock on it (fcntl(2), "Advisory record locking") while it writes,
so that records never mix, and what could not be written whole is taken away again without touching another's. Appends
and changes of the file are done one after the other in the order in which they were asked for, so nothing that is asked
for after a change reaches the older file.
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from strongroom.errors import ConfigError

STDOUT = Path("-")
_MODE = 0o600


class RecordFile:
    """An append-only file, or stdout, as it is open now. Not safe to use from several threads at once."""

    def __init__(self, path: Path, *, setting: str, owner: str, fsync: bool) -> None:
        """Open the file with mode 0600.

        Args:
            path: the file, or ``-`` for stdout.
            setting: that names the file, for messages.
            owner: the service whose user writes it, for messages.
            fsync: whether its name is to be durable; has no meaning for a pipe or terminal.

        Raises:
            ConfigError: it cannot be opened.
        """
        self._path = path
        self._setting = setting
        self._owner = owner
        self._wants_fsync = fsync
        self._fd, self._regular = self._open()

    def append(self, content: bytes, *, fsync: bool) -> None:
        """Write, and return when the kernel has it all, or when it is durable.

        Args:
            content: whole records.
            fsync: whether to force it to the disk; has no meaning for a pipe or terminal.

        Raises:
            OSError: it could not be written; nothing of it is left in the file, unless it is the disk that failed and
                another process has written behind it.
        """
        with self._locked():
            begin = os.fstat(self._fd).st_size if self._regular else 0
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(self._fd, view) :]
            except OSError:
                if self._regular:  # no half line may stand before the next record
                    os.ftruncate(self._fd, begin)
                raise
        if self._regular and fsync:
            try:
                os.fsync(self._fd)  # without the lock, so that processes share the disk's work
            except OSError:
                self._take_back(begin, len(content))
                raise

    def _take_back(self, begin: int, size: int) -> None:
        """Remove what was written last, unless another process has written behind it."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            if os.fstat(self._fd).st_size == begin + size:
                os.ftruncate(self._fd, begin)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def reopen(self) -> None:
        """Open the path anew, for the rotation of logs, and close the older file.

        Raises:
            ConfigError: it cannot be opened; the older file stays in use.
        """
        older = self._fd
        self._fd, self._regular = self._open()
        if older != self._fd:
            os.close(older)

    def close(self) -> None:
        """Close the file."""
        if self._fd != sys.stdout.fileno():
            os.close(self._fd)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the file that the path names, or of the one that was moved away and has no successor yet.

        Raises:
            OSError: there is none to write to; the record must not count as written.
        """
        while True:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            if not self._is_left_behind():
                break
            try:
                self.reopen()  # which gives the lock up
            except ConfigError as error:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)
                raise OSError(0, error.message) from error
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _is_left_behind(self) -> bool:
        """Return whether the file is no longer the one to write to: it was removed, or another has its name.

        One that was only moved is still written to. Whoever moved it is about to make its successor, with an owner and
        a mode of their choice, or to send the signal.
        """
        if not self._regular:
            return False
        ours = os.fstat(self._fd)
        if not ours.st_nlink:
            return True
        try:
            named = os.stat(self._path)  # noqa: PTH116 - for every write, with less around it
        except OSError:
            return False
        return (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino)

    def _open(self) -> tuple[int, bool]:
        if self._path == STDOUT:
            return sys.stdout.fileno(), False
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            msg = f"{self._setting}={self._path}: cannot be opened for appending ({error.strerror})"
            hint = f"name a file in a directory that the user of the {self._owner} may write to"
            raise ConfigError(msg, hint=hint) from None
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        if regular and self._wants_fsync:
            _sync_directory(self._path.absolute().parent)
        return fd, regular


class FileThread:
    """A thread that does one thing after the other, for a disk that may be stuck.

    Unlike those of ``ThreadPoolExecutor`` it keeps no process from ending: a disk that never answers would.
    """

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, work: Callable[[], None]) -> "asyncio.Future[None]":
        """Have something done after all that was submitted before; the future ends as the work does."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def job() -> None:
            failure: Exception | None = None
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it belongs to anyone who waits
                failure = error
            try:
                loop.call_soon_threadsafe(_settle, done, failure)
            except RuntimeError:
                return  # the loop has ended, and nobody waits

        self._jobs.put(job)
        return done

    def end(self) -> None:
        """Let the thread end after what was submitted."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _settle(done: "asyncio.Future[None]", failure: Exception | None) -> None:
    if done.cancelled():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)


def _sync_directory(directory: Path) -> None:
    """Make the name of a new file durable, too (fsync(2), notes)."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

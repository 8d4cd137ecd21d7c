"""The file that audit records go to, blocking, and the one thread that may touch it. Knows bytes, not records.

Appends and changes of the file are done one after the other in the order in which they were asked for, so nothing that
is asked for after a change reaches the older file.
"""

import asyncio
import os
import queue
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from strongroom.errors import ConfigError

_MODE = 0o600


class AuditFile:
    """An append-only file, or stdout, as it is open now. Not safe to use from several threads at once."""

    def __init__(self, path: Path, *, fsync: bool) -> None:
        """Open the file with mode 0600.

        Args:
            path: the file, or ``-`` for stdout.
            fsync: whether each write is forced to the disk; has no meaning for a pipe or terminal.

        Raises:
            ConfigError: it cannot be opened.
        """
        self._path = path
        self._wants_fsync = fsync
        self._fd, self._regular = self._open()

    def append(self, content: bytes) -> None:
        """Write, and return when it is durable.

        Raises:
            OSError: it could not be written; nothing of it is left in the file.
        """
        self._leave_a_removed_file()
        size = os.fstat(self._fd).st_size if self._regular else 0
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self._fd, view) :]
            if self._regular and self._wants_fsync:
                os.fsync(self._fd)
        except OSError:
            if self._regular:  # no half line may stand before the next record
                os.ftruncate(self._fd, size)
            raise

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

    def _leave_a_removed_file(self) -> None:
        """Open the path anew if the file has no name any more: what is written to it would be lost.

        Raises:
            OSError: that is not possible; the record must not count as written.
        """
        if not self._regular or os.fstat(self._fd).st_nlink:
            return
        try:
            self.reopen()
        except ConfigError as error:
            raise OSError(0, error.message) from error

    def _open(self) -> tuple[int, bool]:
        if str(self._path) == "-":
            return sys.stdout.fileno(), False
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            msg = f"audit_file={self._path}: cannot be opened for appending ({error.strerror})"
            raise ConfigError(msg, hint="name a file in a directory that the user of the bridge may write to") from None
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
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
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

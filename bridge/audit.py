"""The audit log: one JSON line for each secret that was read or denied, durable before the caller hears anything.

Records of requests that come while a write is under way go out together in the next one, so many launches at once share
one fsync. When a record cannot be written the request fails; nothing leaves the bridge unrecorded.
"""

import asyncio
import datetime as dt
import json
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bridge.offload import compute
from bridge.record import AuditRecord, Caller, encode_records
from strongroom.errors import ConfigError, UnavailableError
from strongroom.logs import log_event

_log = logging.getLogger(__name__)
_MODE = 0o600


class AuditLog:
    """An append-only file, or stdout. Belongs to one event loop.

    Attributes:
        error: why the last record could not be written, or "".
    """

    def __init__(
        self,
        path: Path,
        *,
        fsync: bool,
        timeout_s: float,
        observe: Callable[[float, bool], None] = lambda *_: None,
    ) -> None:
        """Open the file with mode 0600.

        Args:
            path: the file, or ``-`` for stdout.
            fsync: whether each write is forced to the disk; has no meaning for a pipe or terminal.
            timeout_s: how long a request waits for its record.
            observe: told after each write the seconds it took and whether it succeeded.

        Raises:
            ConfigError: it cannot be opened.
        """
        self._path = path
        self._wants_fsync = fsync
        self._timeout_s = timeout_s
        self._observe = observe
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._fd, self._regular = self._open()
        self.error = ""

    async def record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        """Write records and return when they are durable.

        Raises:
            UnavailableError: they could not be written, or not in time; the request must fail.
        """
        if records:
            now = time.time()
            await self._write(await compute(len(records), lambda: encode_records(caller, records, now=now)))

    async def probe(self) -> None:
        """After a failure, try to write a line that says so; clears ``error`` when it succeeds. Never fails."""
        if not self.error:
            return
        line = json.dumps({"time": dt.datetime.now(dt.UTC).isoformat(), "event": "audit_resumed", "after": self.error})
        try:
            await self._write(line.encode() + b"\n")
        except UnavailableError:
            return
        log_event(_log, logging.WARNING, "audit_resumed")

    async def reopen(self) -> None:
        """Open the path again, for log rotation; keep the old file if that fails. Never fails."""
        if self._writer is not None:
            await asyncio.wait([self._writer])
        try:
            fd, regular = self._open()
        except ConfigError as error:
            log_event(_log, logging.ERROR, "audit_reopen_failed", {"reason": error.message})
            return
        old, self._fd, self._regular = self._fd, fd, regular
        if old != fd:
            # After the write that may be under way: the one thread does one thing after the other.
            self._executor.submit(os.close, old)
        log_event(_log, logging.INFO, "audit_reopened", {"file": str(self._path)})

    async def close(self) -> None:
        """Wait for what is being written and close the file."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=self._timeout_s)
        self._executor.shutdown(wait=False)
        if self._fd != sys.stdout.fileno():
            os.close(self._fd)

    async def _write(self, lines: bytes) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(written)
        except TimeoutError:
            self.error = f"writing takes longer than {self._timeout_s:g} s"
            msg = "the audit record could not be written in time"
            raise UnavailableError(msg, hint="the disk of the bridge's audit log is stuck") from None
        except OSError as error:
            msg = f"the audit record could not be written ({error.strerror})"
            raise UnavailableError(msg, hint="the bridge answers nothing that it cannot record") from error

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            begin = time.monotonic()
            try:
                await asyncio.get_running_loop().run_in_executor(
                    self._executor, self._append, self._fd, b"".join(lines for lines, _ in batch)
                )
            except OSError as error:
                if not self.error:
                    log_event(_log, logging.ERROR, "audit_failed", {"reason": error.strerror, "file": str(self._path)})
                self.error = error.strerror or type(error).__name__
                failure: OSError | None = error
            else:
                failure, self.error = None, ""
            self._observe(time.monotonic() - begin, failure is None)
            for _, written in batch:
                if failure is None:
                    written.set_result(None)
                else:
                    written.set_exception(OSError(failure.errno, failure.strerror))
                    written.exception()  # a caller that went away does not ask

    def _append(self, fd: int, content: bytes) -> None:
        size = os.fstat(fd).st_size if self._regular else 0
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            if self._regular and self._wants_fsync:
                os.fsync(fd)
        except OSError:
            if self._regular:  # no half line may stand before the next record
                os.ftruncate(fd, size)
            raise

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


def _sync_directory(directory: Path) -> None:
    """Make the name of a new file durable, too (fsync(2), notes)."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

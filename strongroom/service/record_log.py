"""A log of records in a file: durable before somebody goes on, or soon.

Records that are waited for (``write``) and that come while a write is under way go out together in the next one, so
many requests at once share one fsync. Those that nobody waits for (``note``) go along with them, or on their own after
a moment; there is a bound for how many may wait, and they are kept while the disk is full. Rotation waits for the one
write that is under way, however many records wait behind it.
"""

import asyncio
import contextlib
import datetime as dt
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from strongroom.errors import ConfigError, UnavailableError
from strongroom.service.logs import log_event
from strongroom.service.record_file import FileThread, RecordFile

_log = logging.getLogger(__name__)
_SOON_S: Final = 0.1  # handing work to a thread takes some 0.1 ms: ten times a second, and not for each request
_SOON_BYTES: Final = 256 << 10  # then it is handed over at once
_PIECE_BYTES: Final = 1 << 20  # of what nobody waits for, in one write


@dataclass(frozen=True, kw_only=True)
class RecordLogNames:
    """What a log is called.

    Attributes:
        log: what its events in the log begin with, and its thread's name.
        setting: that names its file.
        owner: the service that it belongs to.
    """

    log: str
    setting: str
    owner: str


class RecordLog:
    """An append-only file, or stdout. Belongs to one event loop.

    Attributes:
        error: why the last records could not be written, or "".
        lost: records that there was no room for.
        noted_bytes: of records that nobody waits for, and that are not written yet.
    """

    def __init__(  # noqa: PLR0913 - what there is to it
        self,
        path: Path,
        *,
        names: RecordLogNames,
        fsync: bool,
        timeout_s: float,
        room_bytes: int = 0,
        observe: Callable[[float, bool], None] = lambda *_: None,
    ) -> None:
        """Open the file with mode 0600.

        Args:
            path: the file, or ``-`` for stdout.
            names: of the log.
            fsync: whether what is waited for is forced to the disk; has no meaning for a pipe or terminal.
            timeout_s: how long a request waits for its record.
            room_bytes: for records that nobody waits for.
            observe: told after each write the seconds it took and whether it succeeded.

        Raises:
            ConfigError: it cannot be opened.
        """
        self._path = path
        self._name = names.log
        self._owner = names.owner
        self._fsync = fsync
        self._timeout_s = timeout_s
        self._room_bytes = room_bytes
        self._observe = observe
        self._file = RecordFile(path, setting=names.setting, owner=names.owner, fsync=fsync)
        self._thread = FileThread(names.log)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._noted: list[bytes] = []
        self._writer: asyncio.Task[None] | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._due = False  # what nobody waits for
        self._ends = False
        self._untold = 0  # records that were lost since a line told so
        self.error = ""
        self.lost = 0
        self.noted_bytes = 0

    async def write(self, lines: bytes) -> None:
        """Write records and return when they are durable.

        Raises:
            UnavailableError: they could not be written, or not in time; the request must fail.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, written))
        self._begin()
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(written)
        except TimeoutError:
            # Nobody waits for it any longer; on a disk that stays stuck such records would fill the memory.
            self._waiting = [item for item in self._waiting if item[1] is not written]
            self.error = f"writing takes longer than {self._timeout_s:g} s"
            msg = "the audit record could not be written in time"
            raise UnavailableError(msg, hint=f"the disk of the {self._owner}'s audit log is stuck") from None
        except OSError as error:
            msg = f"the audit record could not be written ({error.strerror})"
            raise UnavailableError(msg, hint=f"the {self._owner} answers nothing that it cannot record") from error

    def note(self, line: bytes) -> bool:
        """Have a record written soon, and return whether there is room for it; if not, it is lost, and counted."""
        if self.noted_bytes + len(line) > self._room_bytes:
            self.lost += 1
            self._untold += 1
            return False
        self._noted.append(line)
        self.noted_bytes += len(line)
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_SOON_S, self._come_due)
        if self.noted_bytes > _SOON_BYTES and not self.error:
            self._begin()
        return True

    async def probe(self) -> None:
        """After a failure, try to write a line that says so; clears ``error`` when it succeeds. Never fails."""
        if not self.error:
            return
        line = json.dumps(
            {"time": dt.datetime.now(dt.UTC).isoformat(), "event": f"{self._name}_resumed", "after": self.error}
        )
        with contextlib.suppress(UnavailableError):
            await self.write(line.encode() + b"\n")

    async def reopen(self) -> None:
        """Open the path again, for log rotation; keep the old file if that fails. Never fails.

        It is the next thing that the file's thread does: what is written from now on goes to the new file, but for the
        write under way. Waits for the disk for as long as a request does; on a stuck one it is done later.
        """
        reopened = self._thread.submit(self._file.reopen)
        reopened.add_done_callback(self._note_reopened)
        await asyncio.wait([reopened], timeout=self._timeout_s)

    async def close(self) -> None:
        """Wait for what is being written, for as long as a request does, and close the file."""
        self._ends = True
        if self._noted:
            self._begin()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=self._timeout_s)
        if self._soon is not None:
            self._soon.cancel()
        if self._noted:
            fields: dict[str, str | int] = {"records": len(self._noted), "reason": self.error or "the disk is stuck"}
            log_event(_log, logging.ERROR, f"{self._name}_not_written", fields)
        self._thread.submit(self._file.close)
        self._thread.end()

    def _note_reopened(self, done: "asyncio.Future[None]") -> None:
        failure = done.exception()
        if failure is None:
            log_event(_log, logging.INFO, f"{self._name}_reopened", {"file": str(self._path)})
        else:
            reason = failure.message if isinstance(failure, ConfigError) else type(failure).__name__
            log_event(_log, logging.ERROR, f"{self._name}_reopen_failed", {"reason": reason})

    def _come_due(self) -> None:
        self._soon = None
        self._due = True
        self._begin()

    def _begin(self) -> None:
        """Have what is there written, unless that is under way."""
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        failure: OSError | None = None
        while self._waiting or self._is_due(failed=failure is not None):
            batch, self._waiting = self._waiting, []
            noted = self._take_noted()
            begin = time.monotonic()
            content = b"".join([*noted, *(lines for lines, _ in batch)])
            try:
                await self._thread.submit(partial(self._file.append, content, fsync=bool(batch) and self._fsync))
            except OSError as error:
                failure = error
                self._noted[:0] = noted
                if not self.error:
                    failed = {"reason": error.strerror, "file": str(self._path)}
                    log_event(_log, logging.ERROR, f"{self._name}_failed", failed)
                self.error = error.strerror or type(error).__name__
            else:
                if self.error:
                    log_event(_log, logging.WARNING, f"{self._name}_resumed")
                failure, self.error = None, ""
                self.noted_bytes -= sum(map(len, noted))
            self._observe(time.monotonic() - begin, failure is None)
            for _, written in batch:
                if failure is None:
                    written.set_result(None)
                else:
                    written.set_exception(OSError(failure.errno, failure.strerror))
                    written.exception()  # a caller that went away does not ask
        if self._noted and self._soon is None:  # they are kept, and tried again
            self._soon = asyncio.get_running_loop().call_later(_SOON_S, self._come_due)

    def _is_due(self, *, failed: bool) -> bool:
        """Return whether what nobody waits for is to be written now; what just failed is tried again after a moment."""
        due, self._due = self._due, False
        return bool(self._noted) and not failed and (due or self._ends or self.noted_bytes > _SOON_BYTES)

    def _take_noted(self) -> list[bytes]:
        """Take some of the records that nobody waits for, the oldest first, and what there is to say of lost ones."""
        taken, size = 0, 0
        while taken < len(self._noted) and size < _PIECE_BYTES:
            size += len(self._noted[taken])
            taken += 1
        noted, self._noted = self._noted[:taken], self._noted[taken:]
        if self._untold and not self._noted:
            told, self._untold = self._untold, 0
            moment = dt.datetime.now(dt.UTC).isoformat()
            line = json.dumps({"time": moment, "event": f"{self._name}_lost", "count": told}).encode() + b"\n"
            noted.append(line)
            self.noted_bytes += len(line)
        return noted

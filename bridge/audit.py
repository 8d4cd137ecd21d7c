"""The audit log: one JSON line for each secret that was read or denied, durable before the caller hears anything.

Records of requests that come while a write is under way go out together in the next one, so many launches at once share
one fsync. When a record cannot be written the request fails; nothing leaves the bridge unrecorded. Rotation waits for
the one write that is under way, however many records wait behind it.
"""

import asyncio
import datetime as dt
import json
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bridge.audit_file import AuditFile, FileThread
from bridge.offload import INLINE_ITEMS, compute, items_of
from bridge.record import AuditRecord, Caller, encode_records
from strongroom.errors import ConfigError, UnavailableError
from strongroom.logs import log_event

_log = logging.getLogger(__name__)


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
        self._timeout_s = timeout_s
        self._observe = observe
        self._file = AuditFile(path, fsync=fsync)
        self._thread = FileThread("audit")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self.error = ""

    async def record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        """Write records and return when they are durable.

        Raises:
            UnavailableError: they could not be written, or not in time; the request must fail.
        """
        if records:
            now = time.time()
            weight = items_of(len(records), sum(record.size for record in records[:INLINE_ITEMS]))
            await self._write(await compute(weight, lambda: encode_records(caller, records, now=now)))

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
        """Open the path again, for log rotation; keep the old file if that fails. Never fails.

        It is the next thing that the file's thread does: what is written from now on goes to the new file, but for the
        write under way. Waits for the disk for as long as a request does; on a stuck one it is done later.
        """
        reopened = self._thread.submit(self._file.reopen)
        reopened.add_done_callback(self._note_reopened)
        await asyncio.wait([reopened], timeout=self._timeout_s)

    async def close(self) -> None:
        """Wait for what is being written, for as long as a request does, and close the file."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=self._timeout_s)
        self._thread.submit(self._file.close)
        self._thread.end()

    def _note_reopened(self, done: "asyncio.Future[None]") -> None:
        failure = done.exception()
        if failure is None:
            log_event(_log, logging.INFO, "audit_reopened", {"file": str(self._path)})
        else:
            reason = failure.message if isinstance(failure, ConfigError) else type(failure).__name__
            log_event(_log, logging.ERROR, "audit_reopen_failed", {"reason": reason})

    async def _write(self, lines: bytes) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(written)
        except TimeoutError:
            # Nobody waits for it any more; on a disk that stays stuck such records would fill the memory.
            self._waiting = [item for item in self._waiting if item[1] is not written]
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
                await self._thread.submit(partial(self._file.append, b"".join(lines for lines, _ in batch)))
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

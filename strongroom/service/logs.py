"""Logs: one JSON object per line on stderr, an event name and plain fields, never a value.

Nothing that is not a plain text, number or truth value gets printed: a ``Secret``, bytes or any other object shows as
the name of its type. Messages of exceptions that are not ours are left out too, because a library may quote its input
in them; type and place remain. Records of other libraries show their template without its arguments.

Lines are written without ever waiting for who reads stderr: a pipe that nobody reads must not stop a server. What does
not fit is dropped and counted, and the count is told with the next line that fits. A pipe is opened anew to be not
blocking, because the flag would hold for all processes that share it; what is not a pipe is asked first.
"""

import contextlib
import datetime as dt
import enum
import json
import logging
import os
import select
import stat
import sys
import traceback
from collections.abc import Mapping
from typing import TextIO

from strongroom.errors import StrongroomError

LogValue = str | int | float | bool | None

_MAX_TEXT_CHARS = 2000  # a line stays readable, and a log collector does not cut it
_MAX_FRAMES = 12


class LogLevel(enum.StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def log_event(
    logger: logging.Logger,
    level: int,
    event: str,
    fields: Mapping[str, LogValue] | None = None,
    *,
    error: BaseException | None = None,
) -> None:
    """Write one event.

    Args:
        logger: of the module that reports.
        level: ``logging.INFO`` and so on.
        event: name in snake case; it is an interface that people search for.
        fields: names and plain values. Give no secret: what is in a string is printed.
        error: shown as type and place, with its message only if it is one of ours.
    """
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"strongroom_fields": dict(fields or {})}, exc_info=error)


def configure_logging(component: str, *, level: str = LogLevel.INFO, stream: TextIO | None = None) -> None:
    """Send all logging of this process through the JSON formatter.

    Args:
        component: name that is in each line.
        level: a ``LogLevel``.
        stream: where to write; by default stderr, without waiting for its reader.
    """
    handler = logging.StreamHandler(stream) if stream else StderrHandler()
    handler.setFormatter(JsonFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # other libraries
    logging.getLogger("strongroom").setLevel(level.upper())
    logging.getLogger(component).setLevel(level.upper())
    logging.raiseExceptions = False  # a failing handler would print its record, arguments included
    logging.captureWarnings(capture=True)
    # What no line shows need not be found out ("Optimization" in the documentation of logging).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - named there, too


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def __init__(self, component: str) -> None:
        """Take the name that is in each line."""
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "component": self._component,
        }
        fields = getattr(record, "strongroom_fields", None)
        if isinstance(fields, dict):
            line["event"] = record.msg
            line.update((name, plain(value)) for name, value in fields.items() if name not in line)
        else:
            line["event"] = "library_message"
            line["logger"] = record.name
            line["template"] = plain(record.msg)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe_error(record.exc_info[1])
        return json.dumps(line)


def plain(value: object) -> LogValue:
    """Return a value that may be printed: itself if it is plain, else the name of its type."""
    if value is None or type(value) in {bool, int, float}:
        return value  # type: ignore[return-value]  # just tested
    if type(value) is str:
        return value if len(value) <= _MAX_TEXT_CHARS else value[:_MAX_TEXT_CHARS] + "…"
    return f"<{type(value).__name__}>"


def describe_error(error: BaseException) -> dict[str, object]:
    """Return type and place of an exception, and its message if it is one of ours."""
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    shown: dict[str, object] = {
        "type": type(error).__name__,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, StrongroomError):
        shown["message"] = plain(error.message)
    if error.__cause__ is not None:
        shown["cause"] = type(error.__cause__).__name__
    return shown


class StderrHandler(logging.Handler):
    """Writes formatted records to a descriptor, whole lines or none."""

    def __init__(self, fd: int = 2) -> None:
        """Take where to write."""
        super().__init__()
        self._fd = fd if sys.stderr is not None else -1  # closed: another file may have its number by now
        self._rest = b""  # of a line of which a part was written
        self.dropped = 0
        with contextlib.suppress(OSError):  # closed, or of another user: then it is asked first
            if stat.S_ISFIFO(os.fstat(self._fd).st_mode):
                self._fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._room = select.poll()
        if self._fd >= 0:
            self._room.register(self._fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record if there is room."""
        try:
            line = self.format(record)
            if self.dropped:
                told = logging.LogRecord(record.name, logging.WARNING, "", 0, "log_lines_dropped", None, None)
                told.strongroom_fields = {"count": self.dropped}
                line = f"{self.format(told)}\n{line}"
            if self._rest:
                self._write(self._rest)
            if not self._rest and self._write(line.encode() + b"\n"):
                self.dropped = 0
            else:
                self.dropped += 1
        except Exception:  # noqa: BLE001 - as logging does
            self.handleError(record)

    def _write(self, data: bytes) -> bool:
        """Write, and keep what does not fit of a line that has begun; return whether any of it was taken."""
        taken = 0
        # What could not be opened anew waits when it is given more than there is room for. So much there always is.
        while taken < len(data) and self._room.poll(0):
            try:
                taken += os.write(self._fd, data[taken : taken + select.PIPE_BUF])
            except OSError:  # it became full, its reader has gone, or the disk is full
                break
        if taken:
            self._rest = data[taken:]
        return taken > 0

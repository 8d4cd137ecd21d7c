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
import math
import os
import select
import stat
import sys
import time
import traceback
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Final, TextIO

from strongroom.errors import StrongroomError

LogValue = str | int | float | bool | None

_MAX_TEXT_CHARS = 2000  # a line stays readable, and a log collector does not cut it
_MAX_FRAMES = 12
_OWN_FIELDS: Final = frozenset({"time", "level", "component", "event"})


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
    if not logger.isEnabledFor(level):
        return
    handler = _only_handler() if error is None else None
    if handler is None:
        logger.log(level, event, extra={"strongroom_fields": dict(fields or {})}, exc_info=error)
    else:
        handler.write_event(time.time(), level, event, fields or {})


_configured: "StderrHandler | None" = None


def _only_handler() -> "StderrHandler | None":
    """Return what alone gets the events of this process, as ``configure_logging`` left it; None if it does not."""
    handlers = logging.root.handlers
    return _configured if len(handlers) == 1 and handlers[0] is _configured else None


def configure_logging(component: str, *, level: str = LogLevel.INFO, stream: TextIO | None = None) -> None:
    """Send all logging of this process through the JSON formatter.

    Args:
        component: name that is in each line.
        level: a ``LogLevel``.
        stream: where to write; by default stderr, without waiting for its reader.
    """
    global _configured  # noqa: PLW0603 - as the root of all loggers is
    formatter = JsonFormatter(component)
    _configured = None if stream else StderrHandler(formatter)
    handler: logging.Handler = _configured or logging.StreamHandler(stream)
    handler.setFormatter(formatter)
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
        self._component = quoted(component)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        event, fields = record.msg, getattr(record, "strongroom_fields", None)
        if not isinstance(fields, dict):
            event, fields = "library_message", {"logger": record.name, "template": plain(record.msg)}
        if not (record.exc_info and record.exc_info[1]):
            return self.line(record.created, record.levelno, event, fields)
        line = self.line(record.created, record.levelno, event, {n: v for n, v in fields.items() if n != "error"})
        return f'{line[:-1]}, "error": {json.dumps(describe_error(record.exc_info[1]))}}}'

    def line(self, moment_s: float, level: int, event: str, fields: Mapping[str, object]) -> str:
        """Return the line of an event, without its end.

        Args:
            moment_s: of the event, in seconds of the epoch.
            level: ``logging.INFO`` and so on.
            event: its name.
            fields: more; none of them can pose as one that every line has.
        """
        told = [f", {quoted(name)}: {_shown(value)}" for name, value in fields.items() if name not in _OWN_FIELDS]
        head = f'{{"time": "{moment(moment_s)}", "level": "{logging.getLevelName(level).lower()}"'
        return f'{head}, "component": {self._component}, "event": {quoted(event)}{"".join(told)}}}'


def moment(seconds: float) -> str:
    """Return seconds of the epoch as a time of the day, with milliseconds."""
    second, millisecond = divmod(int(seconds * 1000), 1000)
    return f"{_second(second)}.{millisecond:03}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    """Return a second as a string; many lines share it, and making it takes as long as the rest of one."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()[:-6]


def _shown(value: object) -> str:
    """Return a value as JSON, if it may be printed."""
    kind = type(value)
    if kind is str and len(value) <= _MAX_TEXT_CHARS:  # type: ignore[arg-type]  # just tested
        return quoted(value)  # type: ignore[arg-type]
    if kind is int or (kind is float and math.isfinite(value)):  # type: ignore[arg-type]
        return repr(value)
    return json.dumps(plain(value))


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
    """Writes lines to a descriptor, whole ones or none."""

    def __init__(self, formatter: JsonFormatter, fd: int = 2) -> None:
        """Take what makes the lines, and where to write."""
        super().__init__()
        self._lines = formatter
        self._fd = fd if sys.stderr is not None else -1  # closed: another file may have its number by now
        self._rest = b""  # of a line of which a part was written
        self._never_waits = False
        self.dropped = 0
        with contextlib.suppress(OSError):  # closed, or of another user: then it is asked first
            kind = stat.S_IFMT(os.fstat(self._fd).st_mode)
            if kind == stat.S_IFIFO:
                self._fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._never_waits = kind in {stat.S_IFIFO, stat.S_IFREG}
        self._room = select.poll()
        if self._fd >= 0:
            self._room.register(self._fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record if there is room."""
        try:
            self._write_line(self.format(record))
        except Exception:  # noqa: BLE001 - as logging does
            self.handleError(record)

    def write_event(self, moment_s: float, level: int, event: str, fields: Mapping[str, object]) -> None:
        """Write an event if there is room, as ``emit`` would its record. Never fails."""
        self.acquire()
        try:
            self._write_line(self._lines.line(moment_s, level, event, fields))
        except Exception:  # noqa: BLE001 - as logging does
            return
        finally:
            self.release()

    def _write_line(self, line: str) -> None:
        if self.dropped:
            told = self._lines.line(time.time(), logging.WARNING, "log_lines_dropped", {"count": self.dropped})
            line = f"{told}\n{line}"
        if self._rest:
            self._write(self._rest)
        if not self._rest and self._write(line.encode() + b"\n"):
            self.dropped = 0
        else:
            self.dropped += 1

    def _write(self, data: bytes) -> bool:
        """Write, and keep what does not fit of a line that has begun; return whether any of it was taken."""
        taken = 0
        # What could not be opened anew waits when it is given more than there is room for. So much there always is.
        while taken < len(data) and (self._never_waits or self._room.poll(0)):
            try:
                taken += os.write(self._fd, data[taken : taken + select.PIPE_BUF])
            except OSError:  # it became full, its reader has gone, or the disk is full
                break
        if taken:
            self._rest = data[taken:]
        return taken > 0

"""Writing lines to stderr without ever waiting for its reader: a pipe that nobody reads must not stop a server.

What does not fit is dropped and counted, and the count is told with the next line that fits. A pipe is opened anew to
be not blocking, because the flag would hold for all processes that share it; what is not a pipe is asked first.
"""

import contextlib
import logging
import os
import select
import stat
import sys


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

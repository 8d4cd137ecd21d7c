"""A progress bar on a terminal, a line per step elsewhere."""

import shutil
import time
from typing import Final, TextIO

_BAR: Final = 24


class Progress:
    """Tells on a stream how far things are."""

    def __init__(self, stream: TextIO, suites: int) -> None:
        """Take the stream and the number of suites to come."""
        self._stream = stream
        self._terminal = stream.isatty()
        self._suites = suites
        self._done = -1
        self._last = ""
        self._begin = time.monotonic()

    def suite(self, name: str) -> None:
        """Say that a suite begins."""
        self._done += 1
        self._last = ""
        self.tell(name, 0.0)

    def tell(self, what: str, share: float) -> None:
        """Say what is measured now, and the share of its suite that is finished."""
        if self._terminal:
            total = min(1.0, (self._done + share) / self._suites)
            bar = ("█" * round(total * _BAR)).ljust(_BAR, "░")
            elapsed = int(time.monotonic() - self._begin)
            line = f"{bar} {total:4.0%} {elapsed // 60}:{elapsed % 60:02} {what}"
            self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
            self._stream.flush()
        elif what != self._last:
            self._stream.write(f"[{self._done + 1}/{self._suites}] {what}\n")
            self._stream.flush()
        self._last = what

    def end(self) -> None:
        """Leave the line as it was."""
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

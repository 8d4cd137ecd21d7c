"""One line on stderr that tells how far a long piece of work is; nothing where there is no terminal."""

import sys
import time
from typing import Self

_EVERY_S = 0.1
_WIDTH = 30


class Progress:
    """A bar, or a counter where the end is not known. A context manager: the line is gone when it is left."""

    def __init__(self, what: str, total: int = 0) -> None:
        """Take what is counted, and how many there are."""
        self._what = what
        self._total = total
        self._shown = sys.stderr.isatty()
        self._next = 0.0

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def show(self, done: int) -> None:
        """Show how many are done; at most ten times a second."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + _EVERY_S
        text = f"{done} {self._what}"
        if self._total:
            filled = min(done, self._total) * _WIDTH // self._total
            text = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {done} of {self._total} {self._what}"
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()

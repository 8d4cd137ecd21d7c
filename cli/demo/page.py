"""How the demo looks on a terminal: sections, a table, ticks; plain text where there is no terminal."""

import os
import sys
from collections.abc import Sequence

_CODES = {"bold": "1", "dim": "2", "green": "32", "red": "31"}


class Page:
    """Prints to stdout and remembers whether anything was not as claimed."""

    def __init__(self) -> None:
        """Use colours on a terminal that wants them (NO_COLOR, no-color.org)."""
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.claims = 0
        self.broken: list[str] = []

    def title(self, text: str) -> None:
        """Begin a section."""
        self.line()
        self.line(self._paint(text, "bold"))

    def line(self, text: str = "") -> None:
        """Print one line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print a line that is less important."""
        self.line("  " + self._paint(text, "dim"))

    def claim(self, text: str, *, holds: bool, otherwise: str = "") -> None:
        """Print a claim with a tick or a cross."""
        self.claims += 1
        if holds:
            self.line(f"  {self._paint('✓', 'green')} {text}")
        else:
            self.broken.append(text)
            self.line(f"  {self._paint('✗', 'red')} {text}" + (f": {otherwise}" if otherwise else ""))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table with columns as wide as they need to be."""
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        for index, row in enumerate([head, *rows]):
            text = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            self.line("  " + (self._paint(text, "dim") if index == 0 else text))

    def _paint(self, text: str, style: str) -> str:
        return f"\033[{_CODES[style]}m{text}\033[0m" if self._colours else text

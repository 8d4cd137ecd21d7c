"""What probes find, and how reports are laid out: aligned, with marks, in colour where a terminal shows it. Pure."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

_MARKS = {"ok": "✓", "note": "–", "problem": "✗", "known": "!"}  # noqa: RUF001 - a dash is meant
_PLAIN_MARKS = {"ok": "+", "note": "-", "problem": "X", "known": "!"}
_COLOURS = {"ok": "32", "note": "2", "problem": "1;31", "known": "33"}
_NARROWEST = 24  # columns that the last column gets in any case


class Status(Enum):
    """What a finding means for ``strongroom run``."""

    OK = "ok"
    NOTE = "note"  # worth knowing; launches work
    WARNING = "warning"  # launches work, and protect less than they could
    PROBLEM = "problem"  # launches fail, or are not protected as --require demands


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was probed.
        status: what it means.
        says: what was found.
        hint: what to change; nothing when there is nothing to do.
    """

    name: str
    status: Status
    says: str
    hint: str = ""

    def document(self) -> dict[str, str]:
        """Return it for JSON."""
        return {"name": self.name, "status": self.status.value, "says": self.says, "hint": self.hint}


@dataclass(frozen=True)
class Page:
    """How to lay out.

    Attributes:
        colour: whether escape sequences are understood.
        unicode: whether marks outside of ASCII are.
        width: columns; lines are not broken when it is 0.
    """

    colour: bool = False
    unicode: bool = True
    width: int = 0

    def mark(self, kind: str) -> str:
        """Return the mark for ``ok``, ``note``, ``problem`` or ``known``."""
        mark = (_MARKS if self.unicode else _PLAIN_MARKS)[kind]
        return self._painted(mark, _COLOURS[kind])

    def heading(self, text: str) -> str:
        """Return a heading."""
        return self._painted(text, "1")

    def hint(self, text: str) -> str:
        """Return something that is to be read second."""
        return self._painted(text, "2")

    def _painted(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def table(self, rows: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
        """Return lines with the mark of a kind and columns; the last column is broken to the width.

        Args:
            rows: a kind, or "" for no mark, and its cells; each row has as many cells as the first.
        """
        rows = list(rows)
        widths = [max(len(cells[column]) for _, cells in rows) for column in range(len(rows[0][1]) - 1)]
        indent = 2 + sum(width + 2 for width in widths)
        room = max(self.width - indent, _NARROWEST) if self.width else 0
        lines = []
        for kind, cells in rows:
            *fixed, last = cells
            left = "".join(f"{cell:<{width}}  " for cell, width in zip(fixed, widths, strict=True))
            pieces = textwrap.wrap(last, room) if room else [last]
            first, *others = pieces or [""]
            lines.append(f"{self.mark(kind) if kind else ' '} {left}{first}".rstrip())
            lines += [" " * indent + piece for piece in others]
        return lines

"""A model of a store: under each name what was acknowledged, and what may or may not have happened since."""

import random
import threading
import time
from dataclasses import dataclass, field

Content = bytes | None
"""Of a key; None: it is not there."""


class ViolationError(AssertionError):
    """The product did what it promises never to do."""


@dataclass
class Counts:
    """Operations of one client."""

    acknowledged: int = 0
    failed: int = 0


LATE_S = 60.0
"""A write that nobody has heard of again for this long is over, one way or the other.

A store carries out what it has in full, also when who sent it has given up: one that was stopped, or was just begun
again, has many such writes, and may carry them out after newer ones that it has acknowledged. SeaweedFS does so without
any proxy (PUTs with a timeout of one second while it is killed and begun again, or stopped for 2.5 s).
"""


class Model:
    """The names of one client, who alone writes to them and one operation after the other."""

    def __init__(self) -> None:
        self._possible: dict[str, set[Content]] = {}
        self._unheard: dict[str, list[tuple[float, Content]]] = {}

    def keys(self) -> list[str]:
        return sorted(self._possible)

    def possible(self, key: str) -> set[Content]:
        return self._possible.setdefault(key, {None})

    def begin(self, key: str, content: Content) -> None:
        """Note that a write is on its way: until it is acknowledged it may have happened, or not."""
        self._possible[key] = self.possible(key) | {content}
        self._unheard.setdefault(key, []).append((time.monotonic() + LATE_S, content))

    def acknowledge(self, key: str, *, once: bool) -> None:
        """Note that the write that was begun last has happened; and whether nothing else of it can be on its way."""
        _, content = self._unheard[key][-1]
        if once:
            self._unheard[key].pop()
        now = time.monotonic()
        self._unheard[key] = late = [(end, each) for end, each in self._unheard[key] if end > now]
        self._possible[key] = {content, *(each for _, each in late)}

    def require(self, key: str, found: Content, *, first: int = 0, last: int | None = None) -> None:
        """Raise if what was read, or a range of it, is not what may stand there."""
        allowed = {None if content is None else content[first:last] for content in self.possible(key)}
        if found not in allowed:
            sizes = sorted("absent" if content is None else str(len(content)) for content in allowed)
            got = "absent" if found is None else f"{len(found)} bytes"
            message = f"{key}: {got}, which nobody wrote; possible: {', '.join(sizes)}"
            raise ViolationError(message)


@dataclass
class Contest:
    """Names that several clients want to create; at most one of them may be told that it did."""

    winners: dict[str, list[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def won(self, key: str, content: bytes) -> None:
        with self._lock:
            self.winners.setdefault(key, []).append(content)

    def require(self, key: str, found: Content) -> None:
        """Raise if two have won, or the winner's content is gone."""
        winners = self.winners.get(key, [])
        if len(winners) > 1:
            message = f"{key}: {len(winners)} clients were told that they created it"
            raise ViolationError(message)
        if winners and found != winners[0]:
            message = f"{key}: what was created was replaced"
            raise ViolationError(message)


def content(dice: random.Random, size: int) -> bytes:
    """Return bytes that are unlike any others, with a mark that must not appear in the store."""
    return (MARK + dice.randbytes(size))[:size] if size > len(MARK) else dice.randbytes(size)


MARK = b"chaos-plaintext-mark"

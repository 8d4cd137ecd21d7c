"""A bounded mapping that evicts what was least recently used."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """A mapping that holds values up to a total weight; values that fit alone into no room are not kept at all."""

    def __init__(self, limit: int) -> None:
        """Start empty.

        Args:
            limit: what all values together may weigh.
        """
        self.limit = limit
        self._weight = 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        """Return whether there is a value, without using it."""
        return key in self._kept

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._kept)

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield all values without using them, the least recently used first."""
        return ((key, value) for key, (value, _) in self._kept.items())

    def peek(self, key: K) -> V | None:
        """Return a value without using it, or None."""
        found = self._kept.get(key)
        return found[0] if found else None

    def get(self, key: K) -> V | None:
        """Return a value, which becomes the most recently used, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def keep(self, key: K, value: V, *, weight: int = 1) -> None:
        """Store a value, replacing any other; evict the least recently used ones beyond the limit."""
        self.drop(key)
        self._kept[key] = value, weight
        self._weight += weight
        while self._weight > self.limit:
            self.drop(next(iter(self._kept)))

    def drop(self, key: K) -> None:
        """Forget a value, if there is one."""
        if key in self._kept:
            self._weight -= self._kept.pop(key)[1]

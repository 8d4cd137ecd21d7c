"""What was used lately, up to a limit."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that forgets what was not used for the longest time."""

    def __init__(self, limit: int) -> None:
        """Take how much all values together may weigh."""
        self._limit = limit
        self._weight = 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        """Say whether there is a value."""
        return key in self._kept

    def get(self, key: K) -> V | None:
        """Return a value, which counts as using it, or None."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def keep(self, key: K, value: V, *, weight: int = 1) -> None:
        """Keep a value in the place of another, and forget what then is too much."""
        self.drop(key)
        self._kept[key] = value, weight
        self._weight += weight
        while self._weight > self._limit:
            self.drop(next(iter(self._kept)))

    def drop(self, key: K) -> None:
        """Forget a value, if there is one."""
        if key in self._kept:
            self._weight -= self._kept.pop(key)[1]

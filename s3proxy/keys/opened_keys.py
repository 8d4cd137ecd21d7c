"""Bucket keys that the KMS has unwrapped, and for how long they may be used. Pure: the clock comes in as an argument.

A key is *fresh* for a time after the KMS has confirmed it, that is unwrapped it. Behind that it is *kept* for a grace,
to be used while the KMS is unreachable and for no other reason. Keys in use are due to be confirmed at half their time.
"""

from collections import OrderedDict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final

from strongroom.secret import Secret

CONFIRM_AT: Final = 0.5  # of the time that a key is fresh: the other half is what an outage finds at least
IN_USE_S: Final = 3600.0  # whatever was used in the last hour is confirmed ahead

KeyName = tuple[str, bytes]
"""Policy and id: what the wrapping of a bucket key is bound to, so the key behind it is one."""


@dataclass
class _Opened:
    secret: Secret
    wrapped: bytes
    confirmed: float
    used: float  # by a request of this process
    wanted: float  # by that, by another process, or by the start

    def is_wanted(self, now: float) -> bool:
        return now < max(self.used, self.wanted) + IN_USE_S


class OpenedKeys:
    """The unwrapped keys of one process."""

    def __init__(self, *, fresh_s: float, grace_s: float, most: int) -> None:
        """Take the times, and how many keys are kept; with no time none is."""
        self._fresh_s = fresh_s
        self._grace_s = grace_s if fresh_s else 0.0
        self._most = most if fresh_s else 0
        self._keys: OrderedDict[KeyName, _Opened] = OrderedDict()

    def keep(self, name: KeyName, secret: Secret, wrapped: bytes, *, now: float, used: bool = True) -> None:
        """Keep a key that the KMS has just unwrapped.

        Args:
            name: of it.
            secret: the key.
            wrapped: what it was unwrapped from, b"" for the record in the keyring.
            now: the time.
            used: whether for a request; one that is only confirmed is used no more than before.
        """
        before = self._keys.get(name)
        used_at = now if used else before.used if before else float("-inf")
        self._keys[name] = _Opened(secret, wrapped, now, used_at, before.wanted if before else now)
        if before is None or used:
            self._keys.move_to_end(name)
        while len(self._keys) > self._most:
            self._keys.popitem(last=False)

    def fresh(self, name: KeyName, now: float) -> Secret | None:
        """Return a key that was confirmed lately."""
        return self._within(name, now, self._fresh_s)

    def kept(self, name: KeyName, now: float) -> Secret | None:
        """Return a key that may be used while the KMS is unreachable."""
        return self._within(name, now, self._fresh_s + self._grace_s)

    def due(self, now: float) -> list[tuple[KeyName, bytes]]:
        """Return the keys in use that are to be confirmed, with what they were unwrapped from; the oldest first."""
        due = [
            (key.confirmed, name, key.wrapped)
            for name, key in self._keys.items()
            if now >= key.confirmed + CONFIRM_AT * self._fresh_s and key.is_wanted(now)
        ]
        return [(name, wrapped) for _, name, wrapped in sorted(due, key=lambda item: item[0])]

    def want(self, names: Iterable[KeyName], now: float) -> None:
        """Take keys that are here for in use, as another process uses them."""
        for name in names:
            if key := self._keys.get(name):
                key.wanted = now

    def in_use(self, now: float) -> list[tuple[KeyName, bytes]]:
        """Return the keys that requests of this process have used, with what they were unwrapped from."""
        return [(name, key.wrapped) for name, key in self._keys.items() if now < key.used + IN_USE_S]

    def __len__(self) -> int:
        """How many keys are here."""
        return len(self._keys)

    @property
    def room(self) -> int:
        """How many keys can come without another one going."""
        return max(0, self._most - len(self._keys))

    def left_s(self, now: float) -> float:
        """Return for how long the last of them may be used without the KMS, 0 if there is none."""
        confirmed = max((key.confirmed for key in self._keys.values()), default=float("-inf"))
        return max(0.0, confirmed + self._fresh_s + self._grace_s - now)

    def drop(self, name: KeyName) -> None:
        """Forget a key."""
        self._keys.pop(name, None)

    def forget(self, policies: Container[str]) -> None:
        """Forget the keys of some policies."""
        for name in [name for name in self._keys if name[0] in policies]:
            del self._keys[name]

    def __contains__(self, name: KeyName) -> bool:
        """Whether a key is there, however old."""
        return name in self._keys

    def _within(self, name: KeyName, now: float, seconds: float) -> Secret | None:
        key = self._keys.get(name)
        if key is None or now >= key.confirmed + seconds:
            return None
        key.used = now
        self._keys.move_to_end(name)
        return key.secret

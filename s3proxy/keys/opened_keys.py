"""Bucket keys that the KMS has unwrapped, and for how long they may be used. Pure: the clock comes in as an argument.

A key is *fresh* for a time after the KMS has confirmed it, that is unwrapped it. Behind that it is *kept* for a grace,
to be used while the KMS is unreachable and for no other reason. Keys in use are due to be confirmed at half their time.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final

from strongroom.secret import Secret
from strongroom.service.lru import Lru
from strongroom.service.settings import number, seconds

CONFIRM_AT: Final = 0.5  # of the time that a key is fresh: the other half is what an outage finds at least
IN_USE_S: Final = 3600.0  # whatever was used in the last hour is confirmed ahead

KeyName = tuple[str, bytes]
"""Policy and id: what the wrapping of a bucket key is bound to, so the key behind it is one."""


@dataclass(frozen=True, kw_only=True)
class KeyLimits:
    """How long and how often bucket keys are used; settings, but for the last."""

    bucket_key_ttl_s: float = seconds(
        3600.0, "use a bucket key for new objects for this long", "one call of the KMS an hour", minimum=0
    )
    bucket_key_uses: int = number(1 << 20, "use a bucket key for this many new objects", "bounds what one key opens")
    unwrap_cache_s: float = seconds(
        900.0,
        "keep an unwrapped bucket key for reading; those in use are confirmed at half of it",
        "0 asks OpenBao for each read",
        minimum=0,
    )
    unwrap_grace_s: float = seconds(
        3600.0,
        "use bucket keys for so much longer while OpenBao is unreachable; what it refuses is forgotten at once",
        "an hour to bring it back; revoking takes effect no later than this behind unwrap_cache_s",
        minimum=0,
    )
    unwrap_cache_keys: int = number(10_000, "keep this many unwrapped bucket keys", "a few megabytes")
    wait_s: float = 15.0  # of a request for a key, three answers of a slow KMS; the work goes on for who asks later


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

    def __init__(self, limits: KeyLimits) -> None:
        """Take the times, and how many keys are kept; with no time none is."""
        self._fresh_s = limits.unwrap_cache_s
        self._grace_s = limits.unwrap_grace_s if self._fresh_s else 0.0
        self._keys = Lru[KeyName, _Opened](limits.unwrap_cache_keys if self._fresh_s else 0)

    def keep(self, name: KeyName, secret: Secret, wrapped: bytes, *, now: float, used: bool = True) -> None:
        """Keep a key that the KMS has just unwrapped.

        Args:
            name: of it.
            secret: the key.
            wrapped: what it was unwrapped from, b"" for the record in the keyring.
            now: the time.
            used: whether for a request; one that is only confirmed is used no more than before.
        """
        key = self._keys.get(name) if used else self._keys.peek(name)
        if key is None:
            self._keys.keep(name, _Opened(secret, wrapped, now, now if used else float("-inf"), now))
            return
        key.secret, key.wrapped, key.confirmed = secret, wrapped, now
        if used:
            key.used = now

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
            if key := self._keys.peek(name):
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
        return self._keys.limit - len(self._keys)

    def left_s(self, now: float) -> float:
        """Return for how long the last of them may be used without the KMS, 0 if there is none."""
        confirmed = max((key.confirmed for _, key in self._keys.items()), default=float("-inf"))
        return max(0.0, confirmed + self._fresh_s + self._grace_s - now)

    def drop(self, name: KeyName) -> None:
        """Forget a key."""
        self._keys.drop(name)

    def forget(self, policies: Container[str]) -> None:
        """Forget the keys of some policies."""
        for name in [name for name, _ in self._keys.items() if name[0] in policies]:
            self._keys.drop(name)

    def __contains__(self, name: KeyName) -> bool:
        """Whether a key is there, however old."""
        return name in self._keys

    def _within(self, name: KeyName, now: float, seconds: float) -> Secret | None:
        key = self._keys.peek(name)
        if key is None or now >= key.confirmed + seconds:
            return None
        key.used = now
        self._keys.get(name)
        return key.secret

"""Having bucket keys unwrapped before they are asked for: what other processes use, and at the start the newest ones.

It is what can be read when the KMS goes away then. Keys of the start are wanted for an hour, as if they had been used,
so a proxy that was restarted just before is hardly worse off than one that was not.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.keyring import WITNESS_ID
from s3proxy.keys.shared_names import SharedNames, Told
from strongroom.errors import StrongroomError
from strongroom.sealed.keyring import KeyRecord

NEWEST: Final = 256  # ten days of a policy that one process writes to
EVERY_S: Final = 2.0


class Newest(Protocol):
    """What this module needs of ``s3proxy.keys.keyring.Keyring``."""

    def newest(self, count: int) -> AsyncIterator[KeyRecord]:
        """Give the records that were written last."""


class Warmer:
    """Looks after what one process has unwrapped ahead."""

    def __init__(
        self,
        keys: BucketKeys,
        keyring: Newest,
        *,
        shared: SharedNames | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the bucket keys.

        Args:
            keys: of this process.
            keyring: the records.
            shared: with the other processes, if there are any.
            clock: seconds.
        """
        self._keys = keys
        self._keyring = keyring
        self._shared = shared
        self._clock = clock
        self._begun = False
        self._due = float("-inf")

    async def follow(self) -> None:
        """Warm what is to be warmed; call it every second or so. Never fails."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + EVERY_S
        if self._shared is not None:
            self._shared.publish(Told(*self._keys.in_use()))
            for told in self._shared.others():
                await self._keys.warm(told.opened)
                self._keys.lend(told.seals)
        if not self._begun:
            self._begun = await self._begin()

    async def _begin(self) -> bool:
        """Unwrap the newest keys; return whether that is done."""
        found: dict[tuple[str, bytes], bytes] = {}
        try:
            async for record in self._keyring.newest(NEWEST):
                if record.key_id != WITNESS_ID:
                    found[record.policy, record.key_id] = record.wrapped.encode()
        except StrongroomError:
            return False
        return await self._keys.warm(found)

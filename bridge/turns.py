"""Whose read of OpenBao is next: as many are under way as there are threads, and identities take turns for the others.

Without that the reads of one identity, of which there may be thousands, would appear in a row before all others.
"""

import asyncio
import contextlib
from collections.abc import Iterator


class Turns:
    """The turns. Belong to one event loop."""

    def __init__(self, most: int) -> None:
        """Take how many reads there may be at once."""
        self._left = most
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}  # by identity; whose turn is next, first

    def take_now(self) -> bool:
        """Take a turn if there is one, which is so while nobody waits; return whether it was taken."""
        if not self._left:
            return False
        self._left -= 1
        return True

    async def take(self, identity: str, *, until: float) -> None:
        """Take a turn when it is this identity's.

        Args:
            identity: for which something is read.
            until: when to give up, of ``time.monotonic``, which is the clock of the loop.

        Raises:
            TimeoutError: it did not come in time.
        """
        if self.take_now():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(identity, {})[turn] = None
        try:
            async with asyncio.timeout_at(until):
                await turn
        except (TimeoutError, asyncio.CancelledError):
            if turn.done() and not turn.cancelled():  # it came at this very moment
                self.give_back()
            raise
        finally:
            self._leave(identity, turn)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Give a turn that was taken back at the end of the block."""
        try:
            yield
        finally:
            self.give_back()

    def give_back(self) -> None:
        """Let the next one have a turn."""
        while self._waiting:
            identity = next(iter(self._waiting))
            turn = next(iter(self._waiting[identity]))
            self._leave(identity, turn)
            if identity in self._waiting:  # its others wait until those of other identities had their turn
                self._waiting[identity] = self._waiting.pop(identity)
            if not turn.done():
                turn.set_result(None)
                return
        self._left += 1

    def _leave(self, identity: str, turn: "asyncio.Future[None]") -> None:
        own = self._waiting.get(identity, {})
        own.pop(turn, None)
        if not own:
            self._waiting.pop(identity, None)

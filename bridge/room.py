"""The memory that readings and answers take, all requests together; a request for which there is none waits a while.

What a request will read is not known before. So each read takes a deposit, and what it brought is counted when it is
there: beyond the most there can be no more than the reads under way bring.
"""

import asyncio
from collections.abc import Callable

from bridge.shares import BusyError, Capacity, Shares
from strongroom.errors import UndeliverableError

Refusal = Callable[[], BusyError | None]  # what is in the way now, if anything is


class Rooms:
    """What all requests hold."""

    def __init__(self, capacity: Capacity) -> None:
        """Begin with nothing."""
        self.capacity = capacity
        self.shares = Shares(capacity.answers_bytes, "bytes of answers", retry_after_s=capacity.retry_after_s)
        self._waiting: dict[str, dict[asyncio.Future[None], Refusal]] = {}  # by identity; the longest first

    async def wait(self, identity: str, refusal: Refusal, *, until: float) -> None:
        """Return when there may be nothing in the way of an identity any more.

        Raises:
            BusyError: there still is, at that time of the event loop.
        """
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(identity, {})
        waiting[let_in] = refusal
        try:
            async with asyncio.timeout_at(until):
                await let_in
        except TimeoutError:
            reason = refusal()
            if reason is not None:
                raise reason from None
        finally:
            del waiting[let_in]
            if not waiting and self._waiting.get(identity) is waiting:
                del self._waiting[identity]

    def wake(self) -> None:
        """Let in those for whom there is room now, after something was given back."""
        for waiting in self._waiting.values():
            for let_in, refusal in waiting.items():
                if let_in.done():
                    continue
                if refusal() is not None:
                    break  # nor for the others of this identity
                let_in.set_result(None)


class Room:
    """What one request holds, until it is closed."""

    def __init__(self, rooms: Rooms, identity: str, is_first: Callable[[], bool]) -> None:
        """Begin with nothing.

        Args:
            rooms: of all requests.
            identity: of the caller.
            is_first: returns whether this is the only request of the caller.
        """
        self._rooms = rooms
        self._identity = identity
        self._is_first = is_first
        self._held = 0
        self._is_open = True

    async def take(self, size: int) -> None:
        """Hold so many bytes more; wait for them if need be.

        Raises:
            BusyError: others hold them, for too long.
            UndeliverableError: this request holds more than any answer can need.
        """
        most = self._rooms.capacity.answer_bytes
        if self._held > most:
            msg = f"what is asked for has more than {most} bytes"
            raise UndeliverableError(
                msg, hint="ask for less, or raise max_region_bytes or max_files_bytes of the bridge"
            )
        until = asyncio.get_running_loop().time() + self._rooms.capacity.room_s
        while self._refusal(size) is not None:  # again, because who was let in beside us may have been faster
            await self._rooms.wait(self._identity, lambda: self._refusal(size), until=until)
        self.add(size)

    def add(self, size: int) -> None:
        """Hold what is there already, or give so much back, if it is negative."""
        if self._is_open:
            self._held += size
            self._rooms.shares.add(self._identity, size)
            if size < 0:
                self._rooms.wake()

    def close(self) -> None:
        """Give all of it back."""
        self.add(-self._held)
        self._is_open = False

    def keep(self, size: int) -> None:
        """Hold so much and no more."""
        self.add(size - self._held)

    def _refusal(self, size: int) -> BusyError | None:
        return self._rooms.shares.refusal(self._identity, size, is_first=self._is_first())

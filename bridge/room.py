"""The memory that readings and answers take, all requests together; a request for which there is none waits a while.

What a request will read is not known before. So each read takes a deposit, and what it brought is kept only if there is
room for it: there is never more than what is counted, and what the reads under way bring.

A request holds what it has read while it waits for more. Where all that hold something wait, none would ever give
anything back: the newest gives way, so that the others come to their end.
"""

import asyncio
from collections.abc import Callable

from bridge.shares import BusyError, Capacity, Shares
from strongroom.errors import UndeliverableError


class _Wait:
    """One wait of a request for some bytes."""

    __slots__ = ("let_in", "room", "size")

    def __init__(self, room: "Room", size: int) -> None:
        self.room = room
        self.size = size
        self.let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Rooms:
    """What all requests hold."""

    def __init__(self, capacity: Capacity) -> None:
        """Begin with nothing."""
        self.capacity = capacity
        self.shares = Shares(capacity.answers_bytes, "bytes of answers", retry_after_s=capacity.retry_after_s)
        self._waiting: dict[str, dict[_Wait, None]] = {}  # by identity; the longest first
        self._holders: dict[Room, None] = {}  # who hold something, the oldest first

    def has_waiting(self, identity: str) -> bool:
        """Return whether requests of an identity wait."""
        return identity in self._waiting

    async def wait(self, room: "Room", size: int) -> None:
        """Return when a request holds this many bytes more.

        Raises:
            BusyError: others hold them for too long, or it has to give way.
        """
        wait = _Wait(room, size)
        self._waiting.setdefault(room.identity, {})[wait] = None
        room.waits[wait] = None
        self.wake()
        try:
            async with asyncio.timeout(self.capacity.room_s):
                await wait.let_in
        except TimeoutError:
            if wait.let_in.cancelled():
                reason = room.refusal(size) or self._standstill()
                room.give_way(reason)
                raise reason from None
            wait.let_in.result()  # it was let in, or sent away, at this very moment
        finally:
            self._leave(wait)

    def note(self, room: "Room") -> None:
        """Note that what a request holds has changed."""
        if room.held:
            self._holders.setdefault(room)
        else:
            self._holders.pop(room, None)

    def wake(self) -> None:
        """Let in those for whom there is room now, after something was given back."""
        moving = {room.identity for room in self._holders if room.moves}  # once: crowds wake often
        for identity in list(self._waiting):
            for wait in list(self._waiting[identity]):
                if wait.let_in.done():
                    continue  # its caller has gone at this moment
                if wait.room.allows(wait.size):  # why not is said to those alone who are sent away
                    self._leave(wait)
                    wait.room.add(wait.size)
                    wait.let_in.set_result(None)
                    if wait.room.moves:
                        moving.add(identity)
                elif identity in moving:
                    break  # what the longest waits for comes; no other one of this identity is to take it away
        for identity in list(self._waiting):
            if identity not in moving:
                self._end_standstill(identity, moving)

    def send_away(self, wait: _Wait, reason: BusyError) -> None:
        """End a wait of a request that gives way."""
        self._leave(wait)
        if not wait.let_in.done():
            wait.let_in.set_exception(reason)
            wait.let_in.exception()  # who has gone at this moment does not ask

    def _standstill(self) -> BusyError:
        msg = "the bridge is at work on large requests that wait for each other's memory, and this one had to give way"
        return BusyError(msg, hint="come back later", retry_after_s=self.capacity.retry_after_s)

    def _end_standstill(self, identity: str, moving: set[str]) -> None:
        """Have the newest request give way where those of an identity wait for what they themselves hold.

        Args:
            identity: whose requests all wait.
            moving: identities with a request that will give back what it holds without any more; the newest joins them.
        """
        longest = next(iter(self._waiting[identity]))
        if self.shares.has(longest.size):
            holders = [room for room in self._holders if room.identity == identity]
        elif moving:  # it may be others who hold it
            return
        else:
            holders = list(self._holders)
        if len(holders) > 1:
            holders[-1].give_way(self._standstill())
            moving.add(holders[-1].identity)

    def _leave(self, wait: _Wait) -> None:
        wait.room.waits.pop(wait, None)
        of_identity = self._waiting.get(wait.room.identity, {})
        if wait in of_identity:
            del of_identity[wait]
            if not of_identity:
                del self._waiting[wait.room.identity]


class Room:
    """What one request holds, until it is closed.

    Attributes:
        identity: of the caller.
        held: bytes.
        waits: for more.
    """

    def __init__(self, rooms: Rooms, identity: str, is_first: Callable[[], bool]) -> None:
        """Begin with nothing.

        Args:
            rooms: of all requests.
            identity: of the caller.
            is_first: returns whether this is the only request of the caller.
        """
        self.identity = identity
        self.held = 0
        self.waits: dict[_Wait, None] = {}
        self._rooms = rooms
        self._is_first = is_first
        self._is_open = True
        self._gives_way: BusyError | None = None

    @property
    def moves(self) -> bool:
        """Whether it will give back what it holds without getting any more."""
        return self._gives_way is not None or not self.waits

    async def take(self, size: int) -> None:
        """Hold this many bytes more; wait for them if need be.

        Raises:
            BusyError: others hold them, for too long.
            UndeliverableError: this request holds more than any answer can need.
        """
        most = self._rooms.capacity.answer_bytes
        if self.held > most:
            msg = f"what is asked for has more than {most} bytes"
            raise UndeliverableError(
                msg, hint="ask for less, or raise max_region_bytes or max_files_bytes of the bridge"
            )
        if self._gives_way is not None:
            raise self._gives_way
        # Who holds nothing yet stands behind those that do: many small requests are not to keep a large one waiting.
        stands_behind = not self.held and self._rooms.has_waiting(self.identity)
        if stands_behind or not self.take_now(size):
            await self._rooms.wait(self, size)

    def take_now(self, size: int) -> bool:
        """Hold this many bytes more if there is room for them, or give some back; return whether that is done."""
        if size > 0 and not self.allows(size):
            return False
        self.add(size)
        return True

    def add(self, size: int) -> None:
        """Hold what is there already, or give so much back, if it is negative."""
        if self._is_open:
            self.held += size
            self._rooms.shares.add(self.identity, size)
            self._rooms.note(self)
            if size < 0:
                self._rooms.wake()

    def close(self) -> None:
        """Give all of it back; anyone who waits looks again, since another one may be the first of its caller now."""
        self.add(-self.held)
        self._is_open = False
        self._rooms.wake()

    def keep(self, size: int) -> None:
        """Hold so much and no more."""
        self.add(size - self.held)

    def give_way(self, reason: BusyError) -> None:
        """Wait no longer, and take no more: this request cannot be served now, and others need what it holds."""
        self._gives_way = reason
        for wait in list(self.waits):
            self._rooms.send_away(wait, reason)

    def allows(self, size: int) -> bool:
        """Return whether it may hold so much more now."""
        return self._rooms.shares.allows(self.identity, size, is_first=self._is_first())

    def refusal(self, size: int) -> BusyError | None:
        """Return why it may not hold so much more now, or None if it may."""
        return self._rooms.shares.refusal(self.identity, size, is_first=self._is_first())

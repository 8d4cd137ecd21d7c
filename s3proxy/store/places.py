"""Places for exchanges with the store, some of which are kept for short ones.

An exchange that may last holds its place for as long as a client sends or takes; short ones hold theirs for as long as
the store needs. Lasting ones get at most three of four places, so that lists, heads and small objects go on however
many clients are slow. Every wait for a place has an end.
"""

import asyncio
import contextlib
from collections import deque
from typing import Final

from strongroom.errors import UnavailableError

WAIT_S: Final = 5.0  # SDKs come again after SlowDown; a place in line that lasts longer helps nobody
_LASTING_SHARE: Final = 0.75


class StoreBusyError(UnavailableError):
    """All connections to the store are in use."""


class _Line:
    """This many places, and who waits for one; the first to ask is the first to get."""

    def __init__(self, count: int, what: str) -> None:
        self.count = count
        self.taken = 0
        self._what = what
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def has_room(self) -> bool:
        return self.taken < self.count and not self._waiting

    def take_now(self) -> bool:
        if not self.has_room:
            return False
        self.taken += 1
        return True

    async def take(self) -> None:
        if self.take_now():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(WAIT_S):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give_back()  # it came, and nobody was there any longer
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self.busy() from None
            raise

    def give_back(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)  # and the place with it
                return
        self.taken -= 1

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def busy(self) -> StoreBusyError:
        msg = f"all {self.count} connections to the store{self._what} are in use"
        hint = "raise store_connections, or let fewer clients transfer at once"
        return StoreBusyError(msg, hint=hint, retry_after_s=WAIT_S)


class StorePlaces:
    """The places of one pool."""

    def __init__(self, count: int) -> None:
        """Take how many there are."""
        lasting = max(1, int(count * _LASTING_SHARE))
        self._all = _Line(count, "")
        self._lasting = _Line(lasting, " that transfers may have")
        self._most_outlasting = max(1, (count - lasting) // 2)  # that hold a place while they wait for a lasting one

    @property
    def count(self) -> int:
        """How many places there are."""
        return self._all.count

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._all.taken

    @property
    def has_room(self) -> bool:
        """Whether nobody would wait for a place for a short exchange."""
        return self._all.has_room

    def take_now(self) -> "Place | None":
        """Take a place for a short exchange, None if that would have to wait."""
        return Place(self, lasting=False) if self._all.take_now() else None

    async def take(self, *, lasting: bool) -> "Place":
        """Take a place.

        Args:
            lasting: whether it is known to be for an exchange that may last.

        Raises:
            StoreBusyError: there was none in time.
        """
        if lasting:
            await self._lasting.take()
        try:
            await self._all.take()
        except BaseException:
            if lasting:
                self._lasting.give_back()
            raise
        return Place(self, lasting=lasting)

    async def outlast(self) -> None:
        """Take a lasting place for an exchange that turns out to need one, and has one of all places already.

        Raises:
            StoreBusyError: there was none in time, or too many wait for one.
        """
        if self._lasting.waiting >= self._most_outlasting:
            raise self._lasting.busy()
        await self._lasting.take()

    def give_back(self, *, lasting: bool) -> None:
        """Give a place back."""
        self._all.give_back()
        if lasting:
            self._lasting.give_back()


class Place:
    """A place that is taken."""

    __slots__ = ("_is_lasting", "_places")

    def __init__(self, places: StorePlaces, *, lasting: bool) -> None:
        """Take where it is to be given back."""
        self._places = places
        self._is_lasting = lasting

    async def outlast(self) -> None:
        """Make it one for an exchange that may last.

        Raises:
            StoreBusyError: there are too many of these.
        """
        if not self._is_lasting:
            await self._places.outlast()
            self._is_lasting = True

    def give_back(self) -> None:
        """Give it back, once."""
        self._places.give_back(lasting=self._is_lasting)

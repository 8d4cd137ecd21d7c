"""Places and memory for requests: those of unknown senders have a small share of their own.

Who sends a request is unknown until its signature was verified; of a form that is when its fields have come. What is
sent without a signature stays unknown. None of them takes a place or memory from a sender that is known, and of these
none takes all places. What needs little memory has a part of it that bodies cannot take.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Final

from s3proxy.exchange.memory import STREAM_BYTES, MemoryBudget
from s3proxy.s3api.errors import S3Error

_SHARE_OF_ONE: Final = 0.75  # of all places: others must get in beside it
_UNKNOWN_SHARE: Final = 0.125  # of memory
_SHORT_SHARE: Final = 0.25  # of memory
_SHORT_BYTES: Final = STREAM_BYTES + (192 << 10)  # a body of 64 KiB
_SHORT_GROWN_BYTES: Final = 2 << 20  # what turns out to need more, but little: a list of a thousand ordinary names
FIELDS_BYTES: Final = 512 << 10  # of a form: what was read ahead, and its fields three times


class Places:
    """What the requests of one process may take at once."""

    def __init__(
        self, *, requests: int, unknown_requests: int, memory_bytes: int, count: Callable[[str], None] = lambda _: None
    ) -> None:
        """Take the limits, and what is told why a request got no place."""
        self._requests = requests
        self._unknown_requests = unknown_requests
        self._count = count
        self._known: Counter[str] = Counter()  # by principal
        self._known_count = 0
        self._unknown_count = 0
        unknown, short = int(memory_bytes * _UNKNOWN_SHARE), int(memory_bytes * _SHORT_SHARE)
        self._unknown_memory = MemoryBudget(unknown)
        self._short_memory = MemoryBudget(short)
        self._memory = MemoryBudget(memory_bytes - unknown - short)

    @property
    def taken_bytes(self) -> int:
        """The memory that is taken."""
        return sum(one.taken_bytes for one in (self._unknown_memory, self._short_memory, self._memory))

    async def take(self, principal: str, wanted_bytes: int) -> "Place":
        """Take a place and memory for a sender that is known.

        Raises:
            S3Error: SlowDown, as there is none.
        """
        if not self._has_place(principal):
            raise self._full(reason="requests", hint="raise max_requests, or let fewer clients at it")
        self._enter(principal)
        return await self._filled(Place(self, principal, self._budget(wanted_bytes)), wanted_bytes)

    def take_now(self, principal: str, wanted_bytes: int) -> "Place | None":
        """Do what ``take`` does if nothing has to be waited for, else nothing."""
        budget = self._budget(wanted_bytes)
        if not (self._has_place(principal) and budget.has_room(wanted_bytes)):
            return None
        self._enter(principal)
        place = Place(self, principal, budget)
        place.held_bytes = budget.hold(wanted_bytes)
        return place

    def _has_place(self, principal: str) -> bool:
        most_of_one = math.ceil(self._requests * _SHARE_OF_ONE)
        return self._known_count < self._requests and self._known[principal] < most_of_one

    def _enter(self, principal: str) -> None:
        self._known_count += 1
        self._known[principal] += 1

    def _budget(self, wanted_bytes: int) -> MemoryBudget:
        """Return what the memory of a known sender's request is of."""
        is_squeezed = wanted_bytes <= _SHORT_BYTES and not self._memory.has_room(wanted_bytes)
        return self._short_memory if is_squeezed else self._memory

    async def take_unknown(self, wanted_bytes: int) -> "Place":
        """Take a place and memory for a sender that is not known.

        Raises:
            S3Error: SlowDown, as there is none.
        """
        if self._unknown_count >= self._unknown_requests:
            raise self._full(
                reason="unknown_requests", hint="too many requests without a signature, or forms whose fields come"
            )
        self._unknown_count += 1
        return await self._filled(Place(self, None, self._unknown_memory), wanted_bytes)

    async def hold_anew(self, place: "Place", wanted_bytes: int) -> None:
        """Change the memory of an unknown sender's place, which goes on to be one.

        Raises:
            S3Error: SlowDown, as there is none; the place is still to be given back.
        """
        # Given back first: a place that waits while it holds some could wait for itself.
        self._unknown_memory.release(place.held_bytes)
        place.held_bytes = 0
        try:
            place.held_bytes = await self._unknown_memory.acquire(wanted_bytes)
        except S3Error:
            self._count("memory")
            raise

    async def hold_more(self, place: "Place", wanted_bytes: int) -> None:
        """Have a place hold at least so much; what turns out to be large leaves the memory that is kept for others.

        Raises:
            S3Error: SlowDown, as there is none; the place keeps what it has.
        """
        budget = place.budget
        try:
            if budget is self._short_memory and wanted_bytes > _SHORT_GROWN_BYTES:
                place.held_bytes, before = await self._memory.acquire(wanted_bytes), place.held_bytes
                place.budget = self._memory
                budget.release(before)
            elif (more := min(wanted_bytes, budget.limit_bytes) - place.held_bytes) > 0:
                place.held_bytes += await budget.grow(more)
        except S3Error:
            self._count("memory")
            raise

    def leave(self, principal: str | None) -> None:
        """Give a place back."""
        if principal is None:
            self._unknown_count -= 1
            return
        self._known_count -= 1
        self._known[principal] -= 1
        if not self._known[principal]:
            del self._known[principal]

    async def _filled(self, place: "Place", wanted_bytes: int) -> "Place":
        try:
            place.held_bytes = await place.budget.acquire(wanted_bytes)
        except BaseException as error:
            self.leave(place.principal)
            if isinstance(error, S3Error):
                self._count("memory")
            raise
        return place

    def _full(self, *, reason: str, hint: str) -> S3Error:
        self._count(reason)
        return S3Error("SlowDown", "Please reduce your request rate.", hint=hint, retry_after_s=1.0)


class Place:
    """A place, and memory.

    Attributes:
        principal: whose; None for somebody unknown.
        budget: that the memory is of.
        held_bytes: of it.
    """

    __slots__ = ("_places", "budget", "held_bytes", "principal")

    def __init__(self, places: Places, principal: str | None, budget: MemoryBudget) -> None:
        """Begin without memory."""
        self._places = places
        self.principal = principal
        self.budget = budget
        self.held_bytes = 0

    def give_back(self) -> None:
        """Give all of it back."""
        self.budget.release(self.held_bytes)
        self._places.leave(self.principal)

    async def cover(self, wanted_bytes: int) -> None:
        """Hold at least so much from now on, as what is served turns out to need more.

        Raises:
            S3Error: SlowDown, as there is none.
        """
        await self._places.hold_more(self, wanted_bytes)

    async def go_on(self, principal: str | None, wanted_bytes: int) -> None:
        """Take what the rest of a request needs, now that its sender was looked at.

        Args:
            principal: who gets a place of its own for the one of an unknown sender; None for one that stays unknown.
            wanted_bytes: from now on.

        Raises:
            S3Error: SlowDown, as there is none.
        """
        if principal is None:
            await self._places.hold_anew(self, wanted_bytes)
            return
        theirs = await self._places.take(principal, wanted_bytes)
        self.give_back()
        self.principal, self.budget, self.held_bytes = principal, theirs.budget, theirs.held_bytes

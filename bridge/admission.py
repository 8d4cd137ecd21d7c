"""What callers may take of the bridge: places, bytes, and time for their bodies. Who wants more is refused at once.

No identity gets all of it: the others would wait for whatever one of them does. A body that has not arrived has no
place yet, so those who send slowly only stand in each other's way.
"""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

from strongroom.errors import StrongroomError, UnavailableError

_SHARE_OF_ONE = 0.75  # of all places and bytes: a rollout is one identity, and others must get in beside it
_ARRIVING_SHARE = 0.25  # bodies on their way, for each place
_ARRIVING_SHARE_OF_ONE = 0.0625
_PATIENCE_S = 0.25  # a body that is no older does not yield: it may be in the socket already


class BusyError(UnavailableError):
    """More is asked of the bridge than it takes at once."""


class SlowBodyError(StrongroomError):
    """The body of a request did not come in time."""


@dataclass(frozen=True)
class Capacity:
    """What all requests together may take.

    Attributes:
        requests: at work at once.
        bodies_bytes: of their bodies.
        body_s: seconds for one body to arrive.
        retry_after_s: the pause asked of callers for whom there is no room.
    """

    requests: int
    bodies_bytes: int
    body_s: float
    retry_after_s: float


class Places:
    """The requests at work and the bytes of their bodies."""

    def __init__(self, capacity: Capacity) -> None:
        """Begin with none."""
        self._capacity = capacity
        self._requests: Counter[str] = Counter()  # by identity, and "" for all
        self._bytes: Counter[str] = Counter()

    @contextlib.contextmanager
    def take(self, identity: str, size: int) -> Iterator[None]:
        """Hold a place and some bytes for an identity.

        Raises:
            BusyError: there is no room, or the identity has its share.
        """
        self._require(self._requests, identity, 1, self._capacity.requests, "requests")
        self._require(self._bytes, identity, size, self._capacity.bodies_bytes, "bytes of requests")
        self._add(identity, 1, size)
        try:
            yield
        finally:
            self._add(identity, -1, -size)

    def _require(self, taken: Counter[str], identity: str, wanted: int, most: int, what: str) -> None:
        share = math.ceil(most * _SHARE_OF_ONE)
        pause_s = self._capacity.retry_after_s
        if taken[""] + wanted > most:
            msg = f"the bridge is at work on {taken['']} {what}, and takes {most}"
            raise BusyError(msg, hint="come back later", retry_after_s=pause_s)
        if taken[identity] + wanted > share:
            msg = f"the bridge is at work on {taken[identity]} {what} of this identity, and takes {share}"
            raise BusyError(msg, hint="come back later; the rest is kept for others", retry_after_s=pause_s)

    def _add(self, identity: str, requests: int, size: int) -> None:
        for key in ("", identity):
            self._requests[key] += requests
            self._bytes[key] += size
        if not self._requests[identity]:
            del self._requests[identity], self._bytes[identity]


@dataclass(eq=False)
class _Arrival:
    identity: str
    began: float
    timeout: asyncio.Timeout
    yielded: bool = False


class Arrivals:
    """The bodies on their way; when there are too many, the one that has taken longest yields to the newest."""

    def __init__(self, capacity: Capacity) -> None:
        """Begin with none."""
        self._capacity = capacity
        self._most = max(1, int(capacity.requests * _ARRIVING_SHARE))
        self._most_of_one = max(1, int(capacity.requests * _ARRIVING_SHARE_OF_ONE))
        self._arriving: dict[_Arrival, None] = {}  # the oldest first
        self._of: Counter[str] = Counter()

    async def wait_for(self, identity: str, body: Awaitable[bytes]) -> bytes:
        """Return a body once it is complete.

        Raises:
            SlowBodyError: it takes too long.
            BusyError: it was slow, and had to yield to others.
        """
        now = asyncio.get_running_loop().time()
        self._make_room(identity, now)
        timeout = asyncio.timeout_at(now + self._capacity.body_s)
        arrival = _Arrival(identity, now, timeout)
        try:
            async with timeout:
                self._arriving[arrival] = None
                self._of[identity] += 1
                return await body
        except TimeoutError:
            if arrival.yielded:
                msg = "the body came slowly, and the bridge had to make room for others"
                raise BusyError(msg, retry_after_s=self._capacity.retry_after_s) from None
            msg = f"the body did not come within {self._capacity.body_s:g} s"
            raise SlowBodyError(msg) from None
        finally:
            self._leave(arrival)

    def _make_room(self, identity: str, now: float) -> None:
        if self._of[identity] >= self._most_of_one:
            oldest = next(arrival for arrival in self._arriving if arrival.identity == identity)
        elif len(self._arriving) >= self._most:
            oldest = next(iter(self._arriving))
        else:
            return
        if now - oldest.began > _PATIENCE_S:
            oldest.yielded = True
            self._leave(oldest)
            oldest.timeout.reschedule(now)

    def _leave(self, arrival: _Arrival) -> None:
        if arrival in self._arriving:
            del self._arriving[arrival]
            self._of[arrival.identity] -= 1
            if not self._of[arrival.identity]:
                del self._of[arrival.identity]

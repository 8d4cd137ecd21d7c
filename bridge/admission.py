"""What callers may take of the bridge, and send to it. Who wants more than its share is refused at once.

Bodies on their way are bounded in number, and each in time. They have no place among the requests
in flight yet, so those who send slowly only stand in each other's way. One that is complete when its head is read, as
most are, is not waited for and does not count.

Before a parser makes objects of a body, it is found out what that may cost: two bytes of JSON can become an object of
64. What bounds it is the form of the requests themselves (``strongroom/launch/bundle.py``): five levels, and no list or
object in less than fifteen bytes.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from bridge.room import Room, Rooms
from bridge.shares import BusyError, Capacity, Shares
from strongroom.errors import ConfigError, StrongroomError
from strongroom.launch.bundle import BundleRequest, decode_request
from strongroom.service.edges import SlowBodyError

_SHARE = 0.25  # of the places for requests
_SHARE_OF_ONE = 0.0625
_PATIENCE_S = 0.25  # a body that is no older does not yield: it may be in the socket already

MAX_DEPTH = 5  # request, entries, entry, parts, reference
_SLACK = 100  # empty lists and objects here and there
_BYTES_PER_CONTAINER = 12  # {"path":"a/b"} has 14, and a comma

# Both are linear, because they match wherever they are tried: a text that never ends takes all the rest.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.?[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_INNERMOST = re.compile(rb"[\[{][^\[\]{}]*+[\]}]")
_SMALL_BYTES = 8 << 10  # of whatever form, a body becomes some 200 KiB at most; most are smaller


@dataclass(eq=False)
class _Arrival:
    identity: str
    timeout: asyncio.Timeout
    admitted: "asyncio.Future[None]"
    began: float = 0.0
    yielded: bool = False

    def end_at(self, when: float) -> None:
        if not self.timeout.expired():
            self.timeout.reschedule(when)


class Arrivals:
    """The bodies that come; where there are too many, the one that has taken longest yields to the newest.

    While none has had its time newcomers wait, the newest first, and identities in turn: who begins many bodies only
    keeps its own waiting.
    """

    def __init__(self, capacity: Capacity) -> None:
        """Begin with none."""
        self._capacity = capacity
        self._most = max(1, int(capacity.requests * _SHARE))
        self._most_of_one = max(1, int(capacity.requests * _SHARE_OF_ONE))
        self._arriving: dict[_Arrival, None] = {}  # the oldest first
        self._of: Counter[str] = Counter()
        self._waiting: dict[str, dict[_Arrival, None]] = {}  # by identity; whose turn is next, first
        self._turn: asyncio.TimerHandle | None = None  # when the oldest has had its time

    async def wait_for(self, identity: str, body: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return a body once it is complete; it is read when there is room for it.

        Raises:
            SlowBodyError: it takes too long.
            BusyError: it was slow, and had to yield to others, or others are in its way.
        """
        loop = asyncio.get_running_loop()
        timeout = asyncio.timeout_at(loop.time() + self._capacity.body_s)
        arrival = _Arrival(identity, timeout, loop.create_future())
        try:
            async with timeout:
                self._waiting.setdefault(identity, {})[arrival] = None
                self._admit()
                await arrival.admitted
                return await body()
        except TimeoutError:
            raise self._reason(arrival) from None
        finally:
            self._leave(arrival)
            self._admit()

    def _reason(self, arrival: _Arrival) -> StrongroomError:
        """Return why a body was not waited for any longer."""
        if arrival.yielded:
            msg = "the body came slowly, and the bridge had to make room for others"
            return BusyError(msg, hint="come back later", retry_after_s=self._capacity.retry_after_s)
        if not arrival.began:
            msg = f"the bridge waits for {len(self._arriving)} other bodies of requests, and takes no more at once"
            return BusyError(msg, hint="come back later", retry_after_s=self._capacity.retry_after_s)
        msg = f"the body did not come within {self._capacity.body_s:g} s"
        return SlowBodyError(msg, hint="the network between caller and bridge is slow, or body_timeout_s too short")

    def _admit(self) -> None:
        """Let in whom there is room for, or can be made."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        again_at: list[float] = []
        for identity in list(self._waiting):
            while identity in self._waiting:
                oldest = self._in_the_way(identity)
                if oldest is not None and now - oldest.began < _PATIENCE_S:
                    again_at.append(oldest.began + _PATIENCE_S)
                    break
                if oldest is not None:
                    oldest.yielded = True
                    self._leave(oldest)
                    oldest.end_at(now)
                self._enter(next(reversed(self._waiting[identity])), now)
        if again_at:
            self._turn = loop.call_at(min(again_at), self._admit)

    def _in_the_way(self, identity: str) -> _Arrival | None:
        """Return what has to yield before another body of an identity may come, or None."""
        if self._of[identity] >= self._most_of_one:
            return next(arrival for arrival in self._arriving if arrival.identity == identity)
        return next(iter(self._arriving)) if len(self._arriving) >= self._most else None

    def _enter(self, arrival: _Arrival, now: float) -> None:
        self._leave(arrival)
        if arrival.admitted.done():  # its caller has gone at this moment
            return
        if arrival.identity in self._waiting:  # its others wait until those of other identities had their turn
            self._waiting[arrival.identity] = self._waiting.pop(arrival.identity)
        arrival.began = now
        arrival.end_at(now + self._capacity.body_s)
        self._arriving[arrival] = None
        self._of[arrival.identity] += 1
        arrival.admitted.set_result(None)

    def _leave(self, arrival: _Arrival) -> None:
        own = self._waiting.get(arrival.identity, {})
        if arrival in self._arriving:
            del self._arriving[arrival]
            self._of[arrival.identity] -= 1
            if not self._of[arrival.identity]:
                del self._of[arrival.identity]
        elif arrival in own:
            del own[arrival]
            if not own:
                del self._waiting[arrival.identity]


class Places:
    """The requests in flight, the bytes of their bodies, and the room for their answers.

    Attributes:
        capacity: of all of them.
        arrivals: the bodies that come.
    """

    def __init__(self, capacity: Capacity) -> None:
        """Begin with none."""
        self.capacity = capacity
        self.arrivals = Arrivals(capacity)
        pause_s = capacity.retry_after_s
        self._requests = Shares(capacity.requests, "requests", retry_after_s=pause_s)
        self._bytes = Shares(capacity.bodies_bytes, "bytes of requests", retry_after_s=pause_s)
        self._rooms = Rooms(capacity)

    @contextlib.contextmanager
    def take(self, identity: str, size: int) -> Iterator[Room]:
        """Hold a place and some bytes for an identity; gives the room for what is read and answered.

        Raises:
            BusyError: there is no room, or the identity has its share.
        """
        is_first = not self._requests.of(identity)
        self._requests.require(identity, 1, is_first=is_first)
        self._bytes.require(identity, size, is_first=is_first)
        self._requests.add(identity, 1)
        self._bytes.add(identity, size)
        room = Room(self._rooms, identity, lambda: self._requests.of(identity) == 1)
        try:
            yield room
        finally:
            self._requests.add(identity, -1)
            self._bytes.add(identity, -size)
            room.close()  # the last: who waits for room may be the only one of its identity from now on


def decode_body(body: bytes) -> BundleRequest:
    """Return what a body asks for.

    Raises:
        ConfigError: it breaks a rule of the format.
    """
    if len(body) > _SMALL_BYTES:
        require_modest(body)
    return decode_request(body)


def require_modest(body: bytes) -> None:
    """Return if a body can be parsed at a cost in proportion to its size.

    Raises:
        ConfigError: it has more lists and objects than a request can have, or they are too deep.
    """
    bare = _TEXT.sub(b"", body)
    containers = bare.count(b"[") + bare.count(b"{")
    if containers > _SLACK + len(body) // _BYTES_PER_CONTAINER:
        msg = f"the request has {containers} lists and objects in {len(body)} bytes, more than any request has"
        raise ConfigError(msg, hint="send what `strongroom run` sends")
    for _ in range(MAX_DEPTH):
        bare = _INNERMOST.sub(b"", bare)
    if b"[" in bare or b"{" in bare:
        msg = f"the request is not JSON, or is nested deeper than {MAX_DEPTH} levels"
        raise ConfigError(msg, hint="send what `strongroom run` sends")

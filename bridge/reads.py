"""Reading secrets: all that one request needs, and one read in flight for all who want the same keys of a version.

A request reads within its deadline and its room in memory. Of all requests together as many reads are under way as
there are connections. Where there are more, identities take turns, and share no read that has to wait: or else the
reads of one, which may be thousands, would come before all others.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from bridge.resolve import Place
from bridge.room import Room
from strongroom import errors
from strongroom.openbao.connection import LATE_HINT
from strongroom.openbao.kv import Reading
from strongroom.service.single_flight import SingleFlight

_DEPOSIT_BYTES = 16 << 10  # more than most secrets have
_Wanted = tuple[str, int, frozenset[str] | None]  # path, version, and the keys that are wanted, or None for all
_ALL = ""  # instead of an identity: of a read that has not to wait


class SecretSource(Protocol):
    """Where secrets are read."""

    async def read(self, path: str, version: int, keys: frozenset[str] | None = None, *, identity: str = "") -> Reading:
        """Read some keys of one path, None for all, of a version, 0 for the newest, for an identity.

        Raises:
            NotFoundError: there is no such mount, path or version.
            DeniedError: the source's own rules do not let the bridge read it.
            UndeliverableError: the path is not a key-value secret.
            UnavailableError: the source cannot be reached or is too slow.
        """


async def read_all(
    secrets: SecretSource,
    reads: Mapping[Place, frozenset[str] | None],
    room: Room,
    *,
    at_once: int,
    within_s: float,
) -> dict[Place, Reading | errors.StrongroomError]:
    """Read all places and their keys; what is not there by the deadline counts as unavailable."""
    if not reads:
        return {}
    found: dict[Place, Reading | errors.StrongroomError] = {}
    late = errors.UnavailableError(
        f"reading {len(reads)} paths from OpenBao took longer than {within_s:g} s",
        hint="OpenBao is slow or overloaded, or this is too much for one request",
    )
    if len(reads) == 1:  # as most requests: no task is needed to read one place
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for place, keys in reads.items():
                    found[place] = await _read(secrets, place, keys, room)
        return dict.fromkeys(reads, late) | found
    left = iter(reads.items())

    async def read_some() -> None:
        for place, keys in left:
            found[place] = await _read(secrets, place, keys, room)

    tasks = [asyncio.create_task(read_some()) for _ in range(min(len(reads), at_once))]
    try:
        done, _ = await asyncio.wait(tasks, timeout=within_s)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
    return dict.fromkeys(reads, late) | found


async def _read(
    secrets: SecretSource, place: Place, keys: frozenset[str] | None, room: Room
) -> Reading | errors.StrongroomError:
    held = 0
    try:
        await room.take(_DEPOSIT_BYTES)
        held = _DEPOSIT_BYTES
        reading = await secrets.read(place.path, place.version, keys, identity=room.identity)
        more = reading.size_bytes - held
        if room.take_now(more):
            return reading
        del reading  # nothing is kept that is not counted; it is read again when there is room for it
        await room.take(more)
        held += more
        reading = await secrets.read(place.path, place.version, keys, identity=room.identity)
    except (errors.NotFoundError, errors.DeniedError, errors.UndeliverableError, errors.PeerError) as error:
        room.add(-held)
        return error
    room.add(reading.size_bytes - held)  # it may be another one by now
    return reading


class Read(Protocol):
    """What this module needs of ``strongroom.openbao.session.Session``."""

    async def __call__(self, path: str, version: int, keys: frozenset[str] | None, *, within_s: float) -> Reading:
        """Read some keys of one path, None for all."""


class CoalescingReader:
    """Reads secrets for many callers; the ``SecretSource`` of the service."""

    def __init__(
        self, read: Read, *, at_once: int, timeout_s: float, on_shared: Callable[[], None] = lambda: None
    ) -> None:
        """Take the parts.

        Args:
            read: reads one path.
            at_once: how many reads there may be under way.
            timeout_s: how long a caller waits for one read, the wait for its turn included.
            on_shared: told when a caller joins a read of another one.
        """
        self._read = read
        self._timeout_s = timeout_s
        self._turns = Turns(at_once)
        late = f"OpenBao did not answer within {timeout_s:g} s", LATE_HINT
        self.in_flight = SingleFlight(timeout_s, late, on_shared=on_shared)  # by whose turn a read needs, and place

    async def read(self, path: str, version: int, keys: frozenset[str] | None = None, *, identity: str = "") -> Reading:
        """Read some keys of a path; see ``SecretSource``."""
        place = (path, version, keys)
        joined = next((name for name in ((_ALL, place), (identity, place)) if name in self.in_flight), None)
        begins = joined is None and self._turns.take_now()
        deadline = time.monotonic() + self._timeout_s
        return await self.in_flight.share(
            joined or (_ALL if begins else identity, place),
            lambda: self._read_in_turn(place, identity, begins=begins, deadline=deadline),
        )

    async def _read_in_turn(self, place: _Wanted, identity: str, *, begins: bool, deadline: float) -> Reading:
        """Read when it is the turn of this identity; when that comes too late, nobody waits for it any longer.

        Args:
            place: to read.
            identity: for which.
            begins: whether the turn is taken already.
            deadline: of ``time.monotonic``, which is the clock of the loop.

        Raises:
            TimeoutError: the turn came too late.
        """
        if not begins:
            await self._turns.take(identity, until=deadline)
        with self._turns.held():
            return await self._read(*place, within_s=deadline - time.monotonic())


class Turns:
    """Whose read is next: as many are under way as may be. Belong to one event loop."""

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

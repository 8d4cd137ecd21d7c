"""Places, bytes and bodies on their way, as identities share them; in units, because crowds are many connections."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.admission import Arrivals, Places
from bridge.shares import BusyError
from strongroom.service.edges import SlowBodyError
from tests.bridge.rooms import capacity


def test_two_identities_that_take_all_they_get_leave_places_for_many_others() -> None:
    places = Places(capacity())
    with contextlib.ExitStack() as taken:
        for identity in ("one", "two"):
            with contextlib.suppress(BusyError):
                while True:
                    taken.enter_context(places.take(identity, 100))
        for number in range(30):
            taken.enter_context(places.take(f"other{number}", 1 << 16))


@given(st.integers(1, 300), st.lists(st.tuples(st.integers(0, 20), st.integers(1, 1 << 20)), max_size=400))
def test_whoever_has_nothing_gets_in_while_anything_is_kept(requests: int, takes: list[tuple[int, int]]) -> None:
    """However the places were taken: only other newcomers, one place each, can come to what is kept."""
    places = Places(capacity(requests=requests))
    taken: Counter[int] = Counter()
    with contextlib.ExitStack() as stack:
        for identity, size in takes:
            with contextlib.suppress(BusyError):
                stack.enter_context(places.take(str(identity), size))
                taken[identity] += 1
        assert taken.total() <= requests
        if len(taken) < requests / 8:
            stack.enter_context(places.take("newcomer", 1))


def test_what_was_taken_comes_back() -> None:
    places = Places(capacity(requests=8))
    for _ in range(3):
        with contextlib.ExitStack() as stack:
            for _ in range(6):
                stack.enter_context(places.take("one", 1 << 20))
            with pytest.raises(BusyError, match="of this identity, and takes 6"):
                stack.enter_context(places.take("one", 1))


class Bodies:
    """Bodies that arrive when the test says so; counts how many are read at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.complete = asyncio.Event()

    async def read(self) -> bytes:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.complete.wait()
        finally:
            self.now -= 1
        return b"body"


@contextlib.contextmanager
def clock_stopped() -> Iterator[None]:
    """Stop the clock of the running loop: on a busy machine the first had their time before the last has begun."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    loop.time = lambda: now  # type: ignore[method-assign]
    try:
        yield
    finally:
        del loop.time


def test_of_bodies_that_begin_together_only_so_many_are_read_at_once_and_none_is_lost() -> None:
    async def run() -> None:
        arrivals, bodies = Arrivals(capacity()), Bodies()
        bodies.complete.set()  # each is complete soon: a rollout
        tasks = [asyncio.create_task(arrivals.wait_for(str(number % 20), bodies.read)) for number in range(900)]
        assert await asyncio.gather(*tasks) == [b"body"] * 900

        bodies = Bodies()
        tasks = [asyncio.create_task(arrivals.wait_for(str(number % 20), bodies.read)) for number in range(900)]
        with clock_stopped():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert bodies.now == 64
        bodies.complete.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert bodies.most == 64
        assert {type(answer) for answer in answers} <= {bytes, BusyError}

    asyncio.run(run())


def test_bodies_of_one_identity_wait_for_each_other_and_not_for_those_of_others() -> None:
    async def run() -> None:
        arrivals, slow, quick = Arrivals(capacity()), Bodies(), Bodies()
        flood = [asyncio.create_task(arrivals.wait_for("flood", slow.read)) for _ in range(500)]
        with clock_stopped():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert slow.now == 16
        quick.complete.set()
        assert await arrivals.wait_for("other", quick.read) == b"body"
        assert await arrivals.wait_for("flood", quick.read) == b"body"  # the newest of the flood is its next
        assert slow.most <= 16
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        assert slow.now == 0
        assert await arrivals.wait_for("flood", quick.read) == b"body"

    asyncio.run(run())


def test_a_body_has_its_own_time_and_waiting_for_others_has_too() -> None:
    async def run() -> None:
        arrivals, slow = Arrivals(capacity(requests=16, body_s=0.05)), Bodies()
        answers = await asyncio.gather(*(arrivals.wait_for("one", slow.read) for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers].count(SlowBodyError) >= 1
        assert {type(answer) for answer in answers} <= {SlowBodyError, BusyError}
        slow.complete.set()
        assert await arrivals.wait_for("one", slow.read) == b"body"

    asyncio.run(run())

"""Who reads very much keeps its own reads waiting, and not those of others."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from bridge.reads import CoalescingReader, Turns
from strongroom.errors import UnavailableError
from strongroom.openbao.kv import Reading
from tests.bridge.test_reads import until

THREADS = 4
CROWD, OTHER = "spiffe://example.org/ns/shop/sa/crowd", "spiffe://example.org/ns/shop/sa/other"


class StepByStep:
    """Answers one read for each time that it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Semaphore(0)
        self.begun: list[str] = []
        self.ended: list[str] = []

    def release(self, count: int) -> None:
        for _ in range(count):
            self.let.release()

    async def read(self, path: str, version: int, keys: frozenset[str] | None, *, within_s: float) -> Reading:  # noqa: ARG002
        self.begun.append(path)
        await self.let.acquire()
        self.ended.append(path)
        return Reading(1, {"k": "v"})


def run(openbao: StepByStep, test: Callable[[CoalescingReader], Awaitable[None]], *, timeout_s: float = 20.0) -> None:
    async def inner() -> None:
        reader = CoalescingReader(openbao.read, at_once=THREADS, timeout_s=timeout_s)
        try:
            await test(reader)
        finally:
            openbao.release(1000)
            await until(lambda: not reader.in_flight)

    asyncio.run(inner())


def reads(reader: CoalescingReader, identity: str, *paths: str) -> list["asyncio.Task[object]"]:
    return [asyncio.create_task(reader.read(path, 0, identity=identity)) for path in paths]


def test_the_reads_of_one_identity_do_not_stand_in_a_row_before_those_of_others() -> None:
    openbao = StepByStep()

    async def test(reader: CoalescingReader) -> None:
        crowd = reads(reader, CROWD, *(f"kv/mine/{number}" for number in range(500)))
        await until(lambda: len(openbao.begun) == THREADS)
        (other,) = reads(reader, OTHER, "kv/shop/db")
        await asyncio.sleep(0)
        openbao.release(2 * THREADS + 2)
        await other
        openbao.release(len(crowd))
        await asyncio.gather(*crowd)

    run(openbao, test)
    assert openbao.begun.index("kv/shop/db") <= 2 * THREADS
    assert len(openbao.ended) == 501


def test_a_read_that_another_identity_has_to_wait_for_is_not_waited_for() -> None:
    openbao = StepByStep()

    async def test(reader: CoalescingReader) -> None:
        crowd = reads(reader, CROWD, *(f"kv/mine/{number}" for number in range(100)), "kv/common")
        await until(lambda: len(openbao.begun) == THREADS)
        (other,) = reads(reader, OTHER, "kv/common")
        await asyncio.sleep(0)
        openbao.release(2 * THREADS + 2)
        await other
        openbao.release(len(crowd))
        await asyncio.gather(*crowd)

    run(openbao, test)
    assert openbao.begun.index("kv/common") <= 2 * THREADS


def test_a_read_whose_turn_comes_too_late_is_not_done() -> None:
    openbao = StepByStep()

    async def test(reader: CoalescingReader) -> None:
        late = reads(reader, CROWD, *(f"kv/mine/{number}" for number in range(3 * THREADS)))
        outcomes = await asyncio.gather(*late, return_exceptions=True)
        assert all(isinstance(outcome, UnavailableError) for outcome in outcomes)
        openbao.release(1000)
        await until(lambda: not reader.in_flight)

    run(openbao, test, timeout_s=0.2)
    assert len(openbao.begun) == THREADS


def test_each_turn_is_given_back_whatever_becomes_of_who_waits() -> None:
    async def work() -> None:
        turns = Turns(2)

        async def hold(identity: str, until: float) -> None:
            await turns.take(identity, until=until)
            with turns.held():
                await asyncio.sleep(0)

        soon, loop = time.monotonic() + 30, asyncio.get_running_loop()
        for _ in range(50):
            waiting = [loop.create_task(hold(str(number % 3), loop.time() + number % 2 * 30)) for number in range(20)]
            for number, task in enumerate(waiting):
                if number % 5 == 0:
                    task.cancel()
                await asyncio.sleep(0)
            await asyncio.gather(*waiting, return_exceptions=True)
            assert time.monotonic() < soon
        assert (turns.take_now(), turns.take_now(), turns.take_now()) == (True, True, False)
        with pytest.raises(TimeoutError):
            await turns.take("", until=loop.time())
        turns.give_back()
        await turns.take("", until=loop.time() + 30)

    asyncio.run(work())

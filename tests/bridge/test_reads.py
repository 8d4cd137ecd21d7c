"""One read in flight per path and version, whoever waits and whoever leaves."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bridge.reads import CoalescingReader
from strongroom.errors import NotFoundError, UnavailableError
from strongroom.openbao.kv import Reading


class HeldOpenBao:
    """Answers reads when it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.let = asyncio.Event()
        self.reads: list[str] = []
        self.error = error

    async def read(self, path: str, version: int, keys: frozenset[str] | None, *, within_s: float) -> Reading:  # noqa: ARG002
        self.reads.append(path)
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return Reading(1, {"k": "v"})


def run(
    openbao: HeldOpenBao, test: Callable[[CoalescingReader], Awaitable[None]], *, timeout_s: float = 5.0
) -> list[None]:
    shared: list[None] = []

    async def inner() -> None:
        reader = CoalescingReader(openbao.read, at_once=4, timeout_s=timeout_s, on_shared=lambda: shared.append(None))
        try:
            await test(reader)
        finally:
            openbao.let.set()
        assert not reader.in_flight

    asyncio.run(inner())
    return shared


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.001)


def test_50_callers_of_one_path_share_one_read() -> None:
    openbao = HeldOpenBao()

    async def test(reader: CoalescingReader) -> None:
        callers = [asyncio.create_task(reader.read("kv/a", 0)) for _ in range(50)]
        await until(lambda: len(openbao.reads) == 1)
        openbao.let.set()
        assert await asyncio.gather(*callers) == [Reading(1, {"k": "v"})] * 50

    assert len(run(openbao, test)) == 49
    assert openbao.reads == ["kv/a"]


def test_other_paths_and_versions_are_read_on_their_own() -> None:
    openbao = HeldOpenBao()
    openbao.let.set()

    async def test(reader: CoalescingReader) -> None:
        await asyncio.gather(reader.read("kv/a", 0), reader.read("kv/a", 1), reader.read("kv/b", 0))

    assert not run(openbao, test)
    assert sorted(openbao.reads) == ["kv/a", "kv/a", "kv/b"]


def test_nothing_is_kept_once_a_read_has_ended() -> None:
    openbao = HeldOpenBao()
    openbao.let.set()

    async def test(reader: CoalescingReader) -> None:
        await reader.read("kv/a", 0)
        await reader.read("kv/a", 0)

    run(openbao, test)
    assert len(openbao.reads) == 2


def test_the_first_caller_may_go_away_without_taking_the_read_along() -> None:
    openbao = HeldOpenBao()

    async def test(reader: CoalescingReader) -> None:
        first = asyncio.create_task(reader.read("kv/a", 0))
        await until(lambda: len(openbao.reads) == 1)
        second = asyncio.create_task(reader.read("kv/a", 0))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        openbao.let.set()
        assert (await second).data == {"k": "v"}

    run(openbao, test)
    assert len(openbao.reads) == 1


def test_a_caller_waits_no_longer_than_its_deadline() -> None:
    openbao = HeldOpenBao()

    async def test(reader: CoalescingReader) -> None:
        with pytest.raises(UnavailableError, match=r"did not answer within 0\.05 s"):
            await reader.read("kv/a", 0)
        openbao.let.set()
        await until(lambda: not reader.in_flight)

    run(openbao, test, timeout_s=0.05)


def test_all_callers_hear_why_a_shared_read_failed() -> None:
    openbao = HeldOpenBao(NotFoundError("there is no secret at kv/a"))

    async def test(reader: CoalescingReader) -> None:
        callers = [asyncio.create_task(reader.read("kv/a", 0)) for _ in range(3)]
        await until(lambda: len(openbao.reads) == 1)
        openbao.let.set()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(outcome, NotFoundError) for outcome in outcomes)

    run(openbao, test)

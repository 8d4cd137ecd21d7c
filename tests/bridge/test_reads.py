"""One read in flight per path and version, whoever waits and whoever leaves."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from bridge.reads import CoalescingReader
from strongroom.errors import DeniedError, NotFoundError, UnavailableError
from strongroom.openbao.connection import Answer, Call
from strongroom.openbao.kv import Reading
from strongroom.openbao.pool import Pool
from strongroom.openbao.secrets import SecretStore
from strongroom.secret import Secret


class HeldOpenBao:
    """Answers reads of a version 2 engine when it is let."""

    def __init__(self, *, status: int = 200) -> None:
        self.let = threading.Event()
        self.reads: list[str] = []
        self.tokens: list[bytes] = []
        self.status = status
        self.dead_tokens: set[bytes] = set()

    def exchange(self, call: Call) -> Answer:
        if call.path.startswith("sys/internal"):
            return Answer(200, {"data": {"path": "kv/", "type": "kv", "options": {"version": "2"}}})
        assert call.token is not None
        self.reads.append(call.path)
        self.tokens.append(call.token.reveal())
        assert self.let.wait(20)
        if call.token.reveal() in self.dead_tokens:
            return Answer(403, {"errors": ["permission denied"]})
        if self.status != 200:
            return Answer(self.status, {"errors": []})
        return Answer(200, {"data": {"data": {"k": "v"}, "metadata": {"version": "1"}}})


class OneToken:
    def __init__(self) -> None:
        self.current = b"t1"
        self.replaced: list[bytes] = []

    async def token(self) -> Secret:
        return Secret(self.current)

    async def replace(self, refused: Secret) -> Secret | None:
        self.replaced.append(refused.reveal())
        if self.current == refused.reveal() == b"t1":
            return None
        return Secret(self.current)


def run(
    openbao: HeldOpenBao,
    test: Callable[[CoalescingReader], Awaitable[None]],
    *,
    tokens: OneToken | None = None,
    timeout_s: float = 5.0,
) -> list[None]:
    shared: list[None] = []

    async def inner() -> None:
        pool = Pool(4)
        reader = CoalescingReader(
            SecretStore(openbao), tokens or OneToken(), pool, timeout_s=timeout_s, on_shared=lambda: shared.append(None)
        )
        try:
            await test(reader)
        finally:
            openbao.let.set()
            pool.close()
        assert not reader.in_flight

    asyncio.run(inner())
    return shared


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.001)


def test_50_callers_of_one_path_share_one_read() -> None:
    openbao = HeldOpenBao()

    async def test(reader: CoalescingReader) -> None:
        callers = [asyncio.create_task(reader.read("kv/a", 0)) for _ in range(50)]
        await until(lambda: len(openbao.reads) == 1)
        openbao.let.set()
        assert await asyncio.gather(*callers) == [Reading(1, {"k": "v"})] * 50

    assert len(run(openbao, test)) == 49
    assert openbao.reads == ["kv/data/a"]


def test_other_paths_and_versions_are_read_on_their_own() -> None:
    openbao = HeldOpenBao()
    openbao.let.set()

    async def test(reader: CoalescingReader) -> None:
        await asyncio.gather(reader.read("kv/a", 0), reader.read("kv/a", 1), reader.read("kv/b", 0))

    assert not run(openbao, test)
    assert sorted(openbao.reads) == ["kv/data/a", "kv/data/a", "kv/data/b"]


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
    openbao = HeldOpenBao(status=404)

    async def test(reader: CoalescingReader) -> None:
        callers = [asyncio.create_task(reader.read("kv/a", 0)) for _ in range(3)]
        await until(lambda: len(openbao.reads) == 1)
        openbao.let.set()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(outcome, NotFoundError) for outcome in outcomes)

    run(openbao, test)


def test_a_dead_token_is_replaced_and_the_read_done_once_more() -> None:
    openbao, tokens = HeldOpenBao(), OneToken()
    openbao.dead_tokens = {b"t1"}

    async def test(reader: CoalescingReader) -> None:
        caller = asyncio.create_task(reader.read("kv/a", 0))
        await until(lambda: len(openbao.reads) == 1)
        tokens.current = b"t2"
        openbao.let.set()
        assert (await caller).data == {"k": "v"}

    run(openbao, test, tokens=tokens)
    assert openbao.tokens == [b"t1", b"t2"]


def test_a_refusal_that_is_meant_is_not_tried_again() -> None:
    openbao, tokens = HeldOpenBao(), OneToken()
    openbao.dead_tokens = {b"t1"}
    openbao.let.set()

    async def test(reader: CoalescingReader) -> None:
        with pytest.raises(DeniedError):
            await reader.read("kv/a", 0)

    run(openbao, test, tokens=tokens)
    assert openbao.tokens == [b"t1"]
    assert tokens.replaced == [b"t1"]

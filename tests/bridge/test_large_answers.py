"""Large answers of OpenBao: one at a time, an end to each, and small ones beside them."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from strongroom.errors import UnavailableError, UndeliverableError
from strongroom.openbao.client import OpenBao
from strongroom.openbao.connection import Call, Endpoint, Route

MIB = 1 << 20
Keep = Callable[[dict[str, object]], Mapping[str, object]]


class Sizes(BaseHTTPRequestHandler):
    """Answers ``/v1/N`` with N bytes in all, the last of them when the test lets it."""

    protocol_version = "HTTP/1.1"
    let = threading.Event()
    begun = threading.Semaphore(0)

    def do_GET(self) -> None:
        size = int(self.path.rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        body = b'{"k":"' + b"x" * (size - 8) + b'"}'
        try:
            self.wfile.write(body[:-1])
            self.begun.release()
            if size > MIB:
                self.let.wait(20)
            self.wfile.write(body[-1:])
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Sizes.let.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sizes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        Sizes.let.set()
        server.shutdown()
        server.server_close()
        thread.join()


def run(address: str, test: Callable[[OpenBao], Awaitable[None]], max_connections: int = 16) -> None:
    async def work() -> None:
        openbao = OpenBao(Route(Endpoint(address, max_connections=max_connections)))
        try:
            await test(openbao)
        finally:
            openbao.close()

    asyncio.run(work())


async def get(openbao: OpenBao, size: int, *, within_s: float = 60.0, keep: Keep = dict) -> int:
    deadline = time.monotonic() + within_s
    call = Call(operation="read", method="GET", path=str(size), deadline=deadline, keep=keep)
    return len(str((await openbao.exchange(call)).document["k"])) + 8


async def begun() -> None:
    """Return when the server has sent nearly all of a large answer."""
    assert await asyncio.to_thread(Sizes.begun.acquire, timeout=60)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


def test_an_answer_of_openbao_that_never_ends_is_not_taken(address: str) -> None:
    Sizes.let.set()

    async def check(openbao: OpenBao) -> None:
        with pytest.raises(UndeliverableError, match="more than 34 MiB"):
            await get(openbao, 64 * MIB)
        assert await get(openbao, 100) == 100

    run(address, check)


def test_large_answers_of_openbao_come_one_at_a_time_and_small_ones_beside_them(address: str) -> None:
    async def check(openbao: OpenBao) -> None:
        first = asyncio.create_task(get(openbao, 3 * MIB))
        await begun()
        assert await get(openbao, MIB // 2) == MIB // 2
        await until(openbao._large.locked)
        with pytest.raises(UnavailableError, match="another large secret"):
            await get(openbao, 3 * MIB, within_s=4)
        Sizes.let.set()
        assert await first == 3 * MIB
        assert await get(openbao, 3 * MIB) == 3 * MIB

    run(address, check)


class Parsing:
    """What an answer is made into, which lasts until it may go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def keep(self, document: dict[str, object]) -> dict[str, object]:
        self.begun.set()
        self.go_on.wait(60)
        return document


def test_a_large_answer_that_nobody_waits_for_any_more_keeps_its_turn_while_it_is_parsed(address: str) -> None:
    """It holds its memory until the thread has ended, whoever has gone."""
    Sizes.let.set()
    parsing = Parsing()

    async def check(openbao: OpenBao) -> None:
        first = asyncio.create_task(get(openbao, 3 * MIB, keep=parsing.keep))
        assert await asyncio.to_thread(parsing.begun.wait, 60)
        first.cancel()
        with pytest.raises(UnavailableError, match="another large secret"):
            await get(openbao, 3 * MIB, within_s=4)
        parsing.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await get(openbao, 3 * MIB) == 3 * MIB

    run(address, check)


def test_a_long_answer_does_not_hold_up_the_others_while_it_is_parsed(address: str) -> None:
    Sizes.let.set()
    parsing = Parsing()

    async def check(openbao: OpenBao) -> None:
        first = asyncio.create_task(get(openbao, MIB // 2, keep=parsing.keep))
        assert await asyncio.to_thread(parsing.begun.wait, 60)
        assert await get(openbao, 100) == 100
        parsing.go_on.set()
        assert await first == MIB // 2

    run(address, check)


def test_calls_that_nobody_waits_for_any_more_leave_no_connection_taken(address: str) -> None:
    async def check(openbao: OpenBao) -> None:
        for _ in range(5):
            task = asyncio.create_task(get(openbao, 3 * MIB))
            await begun()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await get(openbao, 100) == 100

    run(address, check, max_connections=1)

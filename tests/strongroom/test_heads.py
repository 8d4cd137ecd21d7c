"""Heads of requests: how long they may be, and how many are read ahead, before anybody knows who sends them."""

import asyncio
import contextlib
import gc
import ssl
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from strongroom.service.front import HttpFront
from strongroom.service.heads import MAX_HEAD_BYTES
from strongroom.service.listening import Port
from tests.support.tls.certificates import tls_pair

ENOUGH_S = 100.0
MIB = 1 << 20
LINE_BYTES = 8000  # aiohttp takes lines of 8,190
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """Tells the length of each body, once it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.transport: asyncio.Transport | None = None
        self.seen: list[str] = []  # names of headers
        self.port = 0
        self.client_tls: ssl.SSLContext | None = None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.transport = request.transport
        self.seen += request.headers
        await self.may_answer.wait()
        return web.Response(text=str(len(await request.read())))

    async def connect(self) -> Stream:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.client_tls, server_hostname=self._name)

    @property
    def _name(self) -> str | None:
        return "localhost" if self.client_tls else None


Serve = Callable[[Callable[[Server], Awaitable[None]]], None]


@pytest.fixture(params=["plain", "tls"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Serve:
    """Run something against a server."""
    contexts = tls_pair(tmp_path) if request.param == "tls" else (None, None)

    def run(test: Callable[[Server], Awaitable[None]]) -> None:
        async def main() -> None:
            server = Server()
            server.client_tls = contexts[1]
            front = HttpFront(Port(name="http", address="127.0.0.1:0", tls=contexts[0]), server.answer)
            (address,) = await front.open()
            server.port = int(address.rpartition(":")[2])
            try:
                async with asyncio.timeout(ENOUGH_S):
                    await test(server)
            finally:
                server.may_answer.set()
                await front.close()

        asyncio.run(main())

    return run


def head_of(length: int, fields: str = "") -> bytes:
    """Return a head of this many bytes."""
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\n{fields}"
    lines = [f"x-long-{number}: " for number in range(100)]
    while (left := length - len(head) - len("\r\n")) > LINE_BYTES * 2:
        head += lines.pop().ljust(LINE_BYTES, "v") + "\r\n"
    for size in (left // 2, left - left // 2):
        head += lines.pop().ljust(size - len("\r\n"), "v") + "\r\n"
    return f"{head}\r\n".encode()


async def answer_to(stream: Stream) -> tuple[int, str]:
    head = await stream[0].readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split()[1]), (await stream[0].readexactly(length)).decode()


async def until_ended(stream: Stream) -> None:
    with contextlib.suppress(OSError):
        while await stream[0].read(1000):
            pass


def parsed_bytes() -> int:
    """Return what the server holds of what was read."""
    names = ("*/aiohttp/*", "*/heads.py")
    filters = [tracemalloc.Filter(inclusive=True, filename_pattern=name) for name in names]
    return sum(one.size for one in tracemalloc.take_snapshot().filter_traces(filters).statistics("filename"))


@pytest.mark.parametrize("pieces", [1, 50])
def test_a_head_is_taken_up_to_its_limit_and_no_longer_however_it_comes(serve: Serve, pieces: int) -> None:
    async def test(server: Server) -> None:
        for length, status in ((MAX_HEAD_BYTES - 100, 200), (MAX_HEAD_BYTES + 100, 400)):
            stream, head = await server.connect(), head_of(length)
            assert len(head) == length
            for at in range(0, length, -(-length // pieces)):
                stream[1].write(head[at : at + -(-length // pieces)])
                await stream[1].drain()
                await asyncio.sleep(0)
            assert (await answer_to(stream))[0] == status
            if status != 200:
                await until_ended(stream)
            stream[1].close()

    serve(test)


def test_a_head_that_does_not_end_is_refused_when_it_is_too_long(serve: Serve) -> None:
    async def test(server: Server) -> None:
        stream = await server.connect()
        stream[1].write(head_of(2 * MAX_HEAD_BYTES)[:-2])
        assert (await answer_to(stream))[0] == 400
        await until_ended(stream)
        stream[1].close()

    serve(test)


def test_a_head_is_no_longer_where_it_begins_with_the_request_before(serve: Serve) -> None:
    async def test(server: Server) -> None:
        before = head_of(1000, "Content-Length: 1\r\n") + b"1"
        for length, status in ((MAX_HEAD_BYTES - 100, 200), (MAX_HEAD_BYTES + LINE_BYTES, 400)):
            stream, head = await server.connect(), head_of(length)
            stream[1].write(before + head[:-100])
            assert await answer_to(stream) == (200, "1")
            stream[1].write(head[-100:])
            assert (await answer_to(stream))[0] == status
            stream[1].close()

    serve(test)


def test_lines_behind_a_body_in_chunks_are_no_longer_than_a_head(serve: Serve) -> None:
    """Nobody knows of them, and the parser keeps up to 128: five megabytes, if each has one rare character."""

    async def test(server: Server) -> None:
        chunked = head_of(1000, "Transfer-Encoding: chunked\r\n") + b"1\r\n1\r\n0\r\n"
        lines = b"".join(b"x-behind-%d: %s\r\n" % (number, b"v" * LINE_BYTES) for number in range(100))
        stream = await server.connect()
        stream[1].write(chunked + lines[: 3 * LINE_BYTES].rpartition(b"\r\n")[0] + b"\r\n\r\n")
        assert await answer_to(stream) == (200, "1")
        stream[1].write(chunked + lines)  # and no end
        await until_ended(stream)
        stream[1].close()

    serve(test)


def test_many_chunks_and_the_request_behind_them_are_read_to_their_end(serve: Serve) -> None:
    async def test(server: Server) -> None:
        server.may_answer.clear()
        stream = await server.connect()
        stream[1].write(
            head_of(1000, "Transfer-Encoding: chunked\r\n") + b"1\r\n1\r\n" * 100_000 + b"0\r\n\r\n" + head_of(1000)
        )
        while server.transport is None or server.transport.is_reading():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)
        server.may_answer.set()
        assert await answer_to(stream) == (200, "100000")
        assert await answer_to(stream) == (200, "0")
        stream[1].close()

    serve(test)


def test_bodies_do_not_count_as_heads(serve: Serve) -> None:
    async def test(server: Server) -> None:
        stream, piece = await server.connect(), bytes(300_000)
        chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
        for number in range(3):
            stream[1].write(head_of(1000, f"Content-Length: {3 * len(piece)}\r\n"))
            for _ in range(3):
                stream[1].write(piece)
                await stream[1].drain()
            assert await answer_to(stream) == (200, str(3 * len(piece))), number
            stream[1].write(head_of(1000, "Transfer-Encoding: chunked\r\n") + chunk * 3 + b"0\r\n\r\n")
            assert await answer_to(stream) == (200, str(3 * len(piece))), number
        stream[1].close()

    serve(test)


def test_requests_behind_one_that_is_served_are_held_back_and_answered_in_their_order(serve: Serve) -> None:
    """aiohttp keeps 32 of them, of any length: behind an answer that its client does not take for long."""

    async def test(server: Server) -> None:
        server.may_answer.clear()
        stream = await server.connect()
        stream[1].write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while server.transport is None:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)
        ahead = [
            head_of(MAX_HEAD_BYTES - 100, f"Content-Length: {number}\r\n") + bytes(number) for number in range(1, 61)
        ]
        tracemalloc.start()
        try:
            stream[1].write(b"".join(ahead))
            while server.transport.is_reading():  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
            parsed = parsed_bytes()
        finally:
            tracemalloc.stop()
        assert parsed < MIB
        server.may_answer.set()
        assert [await answer_to(stream) for _ in range(61)] == [(200, str(number)) for number in range(61)]
        stream[1].close()

    serve(test)


def test_a_body_of_the_smallest_pieces_takes_little_until_it_is_read(serve: Serve) -> None:
    """aiohttp keeps 16,384 of them, each in objects of its own, while nobody has looked who sends them."""

    async def test(server: Server) -> None:
        server.may_answer.clear()
        stream = await server.connect()
        tracemalloc.start()
        try:
            stream[1].write(head_of(1000, "Transfer-Encoding: chunked\r\n") + b"2\r\nab\r\n" * 20_000 + b"0\r\n\r\n")
            while server.transport is None or server.transport.is_reading():  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
            parsed = parsed_bytes()
        finally:
            tracemalloc.stop()
        assert parsed < MIB // 2
        server.may_answer.set()
        assert await answer_to(stream) == (200, "40000")
        stream[1].close()

    serve(test)


@pytest.mark.parametrize("size", [1, 6, 10_000])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    "end", [b"0\r\nx-evil: 1\r\n\r\n", b"0\r\na: b\r\nx-evil: 1\r\n\r\n", b"0;a=b\r\nx-evil: 0\r\n\r\n"]
)
def test_a_line_behind_a_body_is_no_header_of_the_next_request(
    serve: Serve,
    end: bytes,
    together: bool,  # noqa: FBT001
    size: int,
) -> None:
    """aiohttp makes one of it; and where a balancer shares its connections, the next request is another client's."""

    async def test(server: Server) -> None:
        stream = await server.connect()
        first = head_of(1000, "Transfer-Encoding: chunked\r\n") + b"2\r\nab\r\n" + end
        sent = first + head_of(1000, "Content-Length: 0\r\n") * together
        for at in range(0, len(sent), size):
            stream[1].write(sent[at : at + size])
            await asyncio.sleep(0)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # it ends, at the latest behind the answer
            await answer_to(stream)
            stream[1].write(head_of(1000, "Content-Length: 0\r\n"))
        await until_ended(stream)
        assert "Transfer-Encoding" in server.seen
        assert "x-evil" not in server.seen
        stream[1].close()

    serve(test)


@pytest.mark.parametrize("size", [1, 6, 10_000])
@pytest.mark.parametrize("body", [b"", b"2\r\nab\r\n"])
def test_a_connection_goes_on_behind_a_body_in_chunks(serve: Serve, body: bytes, size: int) -> None:
    async def test(server: Server) -> None:
        stream = await server.connect()
        sent = head_of(1000, "Transfer-Encoding: chunked\r\n") + body + b"0\r\n\r\n"
        for _ in range(3):
            for at in range(0, len(sent), size):
                stream[1].write(sent[at : at + size])
                await asyncio.sleep(0)
            assert await answer_to(stream) == (200, "2" if body else "0")
        stream[1].close()

    serve(test)


def test_a_malformed_head_is_not_told_again(serve: Serve) -> None:
    async def test(server: Server) -> None:
        stream = await server.connect()
        stream[1].write(b"GET /" + b"\0" * LINE_BYTES + b" HTTP/1.1\r\n")
        status, text = await answer_to(stream)
        assert (status, len(text) < 1000) == (400, True)
        stream[1].close()

    serve(test)


@pytest.mark.parametrize("sent", [head_of(2 * MAX_HEAD_BYTES), b"\0" * 200_000], ids=["long", "malformed"])
def test_of_a_refused_head_nothing_stays_until_python_looks_for_circles(serve: Serve, sent: bytes) -> None:
    async def test(server: Server) -> None:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                stream = await server.connect()
                stream[1].write(sent)
                await until_ended(stream)
                stream[1].close()
            while left := [one for one in gc.get_objects() if isinstance(one, web.RequestHandler)]:
                del left
                await asyncio.sleep(0.01)
        finally:
            gc.enable()

    serve(test)

"""The pool of connections to the store, against a server that answers (or does not) as each test wants it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from s3proxy.store.client import StoreRequest, is_repeatable
from s3proxy.store.connection import Body
from s3proxy.store.connections import StoreConnections
from strongroom.errors import UnavailableError
from tests.s3proxy.answering import GET, in_a_loop, pool, pooled, serving

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello"


async def ask(
    connections: StoreConnections,
    method: str = "GET",
    head: bytes = GET,
    body: Body = None,
    *,
    repeatable: bool = False,
) -> bytes:
    async with connections.exchange(method, head, body, repeatable=repeatable) as answer:
        return await answer.content.read()


async def answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@in_a_loop
async def test_one_connection_serves_many_requests_after_each_other() -> None:
    async with serving(answer_each) as server:
        connections = pool(server)
        for _ in range(5):
            async with connections.exchange("GET", GET, None) as answer:
                assert (answer.status, answer.headers["x-a"]) == (200, "1")
                assert await answer.content.read() == b"hello"
        assert server.connections == 1
        await connections.close()


@in_a_loop
async def test_a_connection_whose_answer_was_there_before_it_was_waited_for_times_nobody_who_follows() -> None:
    """Nothing is to come of a store while a body is sent to it, however long that takes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (HELLO, HELLO.removesuffix(b"hello")):  # the second is that of a HEAD
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(10)
        writer.write(HELLO)

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x"
            await asyncio.sleep(0.1)

    async with serving(serve) as server, pooled(server, idle_s=0.3) as connections:
        async with connections.exchange("GET", GET, None) as answer:
            await answer.content.read()
        came = asyncio.Event()
        sent = connections.send_now("HEAD", GET, None, came.set)
        assert sent is not None
        await asyncio.wait_for(came.wait(), 20)
        assert sent.answer() is not None
        async with connections.exchange("HEAD", GET, None, sent=sent) as answer:
            assert answer.status == 200
        assert await ask(connections, "PUT", GET, slowly()) == b"hello"
        assert server.connections == 1


@in_a_loop
async def test_an_answer_that_was_not_read_closes_its_connection() -> None:
    async def long_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        assert await reader.read() == b"", "the rest must not be waited for"

    async with serving(long_answer) as server:
        connections = pool(server)
        for _ in range(2):
            async with connections.exchange("GET", GET, None) as answer:
                assert answer.status == 200
        assert server.connections == 2


@in_a_loop
async def test_a_head_answer_has_no_body_and_keeps_its_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    async with serving(serve) as server:
        connections = pool(server)
        for _ in range(2):
            assert await ask(connections, "HEAD", GET.replace(b"GET", b"HEAD")) == b""
        assert server.connections == 1


@in_a_loop
async def test_a_body_in_pieces_arrives_whole_and_waits_for_a_slow_store() -> None:
    count, size = 64, 1 << 18
    gate = asyncio.Event()
    given = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(count):
            given += 1
            yield bytes(size)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await gate.wait()
        assert await reader.readexactly(count * size) == bytes(count * size)
        writer.write(HELLO)
        await reader.read()

    async with serving(serve) as server:
        connections = pool(server)
        asked = asyncio.create_task(ask(connections, "PUT", b"PUT / HTTP/1.1\r\n\r\n", body()))
        before = -1
        while given != before:  # until the kernel's buffers are full
            before = given
            await asyncio.sleep(0.05)
        assert given < count, "it does not read ahead of a store that takes nothing"
        gate.set()
        assert await asked == b"hello"
        await connections.close()


@in_a_loop
async def test_a_refusal_before_the_end_of_the_body_is_heard() -> None:
    never = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await never.wait()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    async with serving(refuse) as server:
        connections = pool(server)
        async with connections.exchange("PUT", b"PUT / HTTP/1.1\r\n\r\n", endless()) as answer:
            assert answer.status == 403
            assert await answer.content.read() == b"no"
        assert not connections._idle, "half a request is on that connection"


@in_a_loop
async def test_an_error_in_the_body_breaks_the_request_off_and_is_raised() -> None:
    ended = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 10
        raise ValueError("the client is gone")

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()

    async with serving(serve) as server:
        connections = pool(server)
        with pytest.raises(ValueError, match="the client is gone"):
            await ask(connections, "PUT", b"PUT / HTTP/1.1\r\nContent-Length: 20\r\n\r\n", body())
        await ended.wait()


@pytest.mark.parametrize("body", [None, b""])
@in_a_loop
async def test_a_connection_that_was_closed_while_idle_is_replaced(body: bytes | None) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await reader.readuntil(b"\r\n\r\n")  # the second request gets no answer

    async with serving(once) as server:
        connections = pool(server)
        assert [await ask(connections, "GET", GET, body, repeatable=True) for _ in range(2)] == [b"hello"] * 2
        assert server.connections == 2


@in_a_loop
async def test_what_must_not_be_sent_twice_is_not() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await reader.readuntil(b"\r\n\r\n")

    async with serving(once) as server:
        connections = pool(server)
        await ask(connections)
        with pytest.raises(aiohttp.ClientError):
            await ask(connections, "POST", GET, b"")
        assert server.connections == 1


@pytest.mark.parametrize(
    ("request_", "repeatable"),
    [
        (StoreRequest(method="GET", headers={"if-match": '"x"'}), True),
        (StoreRequest(method="HEAD"), True),
        (StoreRequest(method="PUT", body=b"x"), True),
        (StoreRequest(method="PUT", headers={"x-amz-copy-source-if-match": '"x"'}), True),
        (StoreRequest(method="PUT", body=b"x", headers={"if-none-match": "*"}), False),
        (StoreRequest(method="PUT", body=pieces(), length=0), False),
        (StoreRequest(method="DELETE"), True),
        (StoreRequest(method="DELETE", headers={"if-match": '"x"'}), False),
        (StoreRequest(method="POST", body=b"x"), False),
    ],
)
def test_which_requests_may_be_sent_twice(request_: StoreRequest, *, repeatable: bool) -> None:
    assert is_repeatable(request_) is repeatable


@in_a_loop
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    taken, sent = asyncio.Event(), asyncio.Event()

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await taken.wait()
        writer.write(HELLO.replace(b"hello", b"other"))
        await writer.drain()
        sent.set()
        await reader.read()

    async with serving(twice) as server:
        connections = pool(server)
        assert await ask(connections) == b"hello"
        taken.set()
        await sent.wait()
        for _ in range(10):  # turns of the loop: what was sent is there to be read in the next one
            await asyncio.sleep(0)
        assert await ask(connections) == b"hello"
        assert server.connections == 2


@in_a_loop
async def test_a_store_that_says_nothing_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as server:
        with pytest.raises(TimeoutError):
            await ask(pool(server, idle_s=0.1))


@in_a_loop
async def test_a_store_that_stops_in_the_middle_is_given_up() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO[:-2])
        await reader.read()

    async with serving(half) as server:
        with pytest.raises(TimeoutError):
            await ask(pool(server, idle_s=0.1))


@in_a_loop
async def test_an_answer_that_ends_early_is_an_error() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO[:-2])

    async with serving(half) as server:
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(pool(server))


@in_a_loop
async def test_nonsense_is_an_error() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")

    async with serving(nonsense) as server:
        with pytest.raises(HttpProcessingError):
            await ask(pool(server))


@in_a_loop
async def test_nobody_listens() -> None:
    async with serving(answer_each) as server:
        pass
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await ask(pool(server))


@in_a_loop
async def test_an_interim_answer_is_passed_over() -> None:
    async def interim(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HELLO)
        await reader.read()

    async with serving(interim) as server:
        assert await ask(pool(server)) == b"hello"


@in_a_loop
async def test_no_more_connections_than_allowed() -> None:
    at_once = most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        while True:
            await reader.readuntil(b"\r\n\r\n")
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1
            writer.write(HELLO)

    async with serving(serve) as server:
        connections = pool(server, limit=3)
        assert await asyncio.gather(*(ask(connections) for _ in range(12))) == [b"hello"] * 12
        assert most == server.connections == 3

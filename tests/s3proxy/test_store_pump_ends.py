"""Where a body that is pumped ends: what follows it, and who reads on, disturbs no other exchange of its connection."""

import asyncio
from typing import Any

from tests.s3proxy.answering import GET, in_a_loop, pooled, serving
from tests.s3proxy.test_store_pump import PLAINTEXT, STORED, answering, head_of, open_all, until_held_back
from tests.strongroom.sealed.making import noise


@in_a_loop
async def test_who_reads_on_behind_a_body_gets_nothing_of_the_exchange_that_follows() -> None:
    """A connection is given back when a body has come, which may be before it is read."""
    first, second, read_on = b"a" * 100_000, b"b" * 1_000_000, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head_of(len(first)) + first)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head_of(len(second)))
        await read_on.wait()
        writer.write(second)
        await reader.read()

    async with serving(serve) as server, pooled(server) as connections:
        async with connections.exchange("GET", GET, None) as answer:
            await answer.content.wait_eof()
            async with connections.exchange("GET", GET, None) as following:
                assert b"".join([bytes(piece) async for piece in answer.pumped().pieces()]) == first
                read_on.set()
                assert b"".join([bytes(piece) async for piece in following.pumped().pieces()]) == second
        assert server.connections == 1


@in_a_loop
async def test_who_reads_on_behind_a_body_has_nothing_received_for_the_exchange_that_follows() -> None:
    """It has a store that is held back go on, where there is no room for more: the following body would be cut off."""
    first, second = b"a" * 100_000, noise(5 << 20)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for body in (first, second):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head_of(len(body)) + body)
        await reader.read()

    async with serving(serve) as server, pooled(server) as connections:
        async with connections.exchange("GET", GET, None) as answer:
            await answer.content.wait_eof()
            async with connections.exchange("GET", GET, None) as following:
                pieces = following.pumped().pieces()
                taken = bytearray(await anext(pieces))
                while len(taken) < 1 << 20:  # past what was parsed
                    taken += await anext(pieces)
                connection: Any = following.pump.__self__  # type: ignore[attr-defined]  # a method of it
                await until_held_back(connection.transport)
                assert await answer.content.read() == first
                for _ in range(10):  # turns of the loop, in which something could be received
                    await asyncio.sleep(0)
                async for piece in pieces:
                    taken += piece
                assert taken == second
        assert server.connections == 1


@in_a_loop
async def test_bytes_behind_a_body_are_not_the_answer_of_who_waited_for_the_connection() -> None:
    """It asks in the very turn in which the body has come."""
    bodies = iter([STORED + head_of(3) + b"bad", STORED])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head_of(len(STORED)) + next(bodies))

    async with serving(serve) as server, pooled(server, limit=1) as connections:
        first, second = await asyncio.gather(open_all(connections), open_all(connections))
        assert first == second == PLAINTEXT
        assert server.connections == 2


@in_a_loop
async def test_bytes_behind_a_body_are_not_taken_for_the_next_answer() -> None:
    opened_, sent = asyncio.Event(), asyncio.Event()

    async def more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head_of(len(STORED)) + STORED)
        await opened_.wait()
        writer.write(head_of(3) + b"bad")
        await writer.drain()
        sent.set()
        await reader.read()

    async with serving(more) as server, pooled(server) as connections:
        assert await open_all(connections) == PLAINTEXT
        opened_.set()
        await sent.wait()
        for _ in range(10):  # turns of the loop: what was sent is there to be read in the next one
            await asyncio.sleep(0)
        assert connections._take_idle() is None


@in_a_loop
async def test_bytes_that_follow_a_body_at_once_are_not_taken_for_the_next_answer() -> None:
    async with (
        serving(answering(STORED + head_of(3) + b"bad", length=len(STORED))) as server,
        pooled(server) as connections,
    ):
        assert await open_all(connections) == PLAINTEXT
        for _ in range(10):
            await asyncio.sleep(0)
        assert connections._take_idle() is None

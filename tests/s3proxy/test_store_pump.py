"""Bodies of the store that are received past the parser: whole or not at all, however they come and are taken."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3proxy.store.connection import StoreAnswer
from s3proxy.store.connections import StoreConnections
from s3proxy.store.pump import BUFFER_BYTES
from s3proxy.stored.whole import StoredBytes, opened
from strongroom.sealed.ranges import plan_range
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.sealer import seal
from strongroom.sealed.segment import admit_segment
from tests.s3proxy.answering import GET, Serve, in_a_loop, pooled, serving
from tests.strongroom.sealed.making import BK, CHUNK, begin, noise
from tests.support.tls.certificates import tls_pair

STORED_CHUNK = CHUNK + 16
PLAINTEXT = noise(15 * CHUNK + 5)  # takes each buffer twice
STORED = seal(begin(len(PLAINTEXT)), PLAINTEXT)
SEGMENT = admit_segment(STORED, BK.secret)
BOUNDS = [256 + index * STORED_CHUNK for index in range(16)] + [len(STORED) - 112, len(STORED)]


def head_of(length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length


def answering(body: bytes, cuts: Sequence[int] = (), *, length: int | None = None) -> Serve:
    """Answer every request with this body, sent in pieces that end at the cuts."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head_of(len(body) if length is None else length))
            for begin_, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
                writer.write(body[begin_:end])
                await writer.drain()
                await asyncio.sleep(0)
            if length is not None:
                return

    return serve


async def open_all(connections: StoreConnections, span: tuple[int, int] | None = None) -> bytes:
    """Ask, and open what is answered."""
    plan = plan_range(*span, len(PLAINTEXT), SEGMENT.header.chunk_log2) if span else None
    async with connections.exchange("GET", GET, None) as answer:
        stored = StoredBytes(answer, plan.stored_first if plan else 0)
        return b"".join([bytes(piece) async for piece in opened(SEGMENT, plan, stored)])


async def until_held_back(transport: asyncio.ReadTransport) -> None:
    """Return when nothing is received any longer, as both buffers are full."""
    while transport.is_reading():  # noqa: ASYNC110 - asyncio does not tell
        await asyncio.sleep(0)


async def open_some(answer: StoreAnswer, taken: bytearray, came: asyncio.Event | None = None) -> None:
    """Open what is answered, and tell of each piece."""
    async for piece in opened(SEGMENT, None, StoredBytes(answer, 0)):
        taken += piece
        if came is not None:
            came.set()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(STORED)) | st.sampled_from(BOUNDS), max_size=12).map(sorted))
def test_what_comes_in_any_pieces_is_opened_and_its_connection_used_again(cuts: list[int]) -> None:
    async def test() -> None:
        async with serving(answering(STORED, cuts)) as server, pooled(server) as connections:
            for _ in range(2):
                assert await open_all(connections) == PLAINTEXT
            assert server.connections == 1

    asyncio.run(test())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(PLAINTEXT) - 1), st.integers(0, len(PLAINTEXT)))
def test_any_range_is_opened_out_of_an_answer_with_all_of_it(first: int, length: int) -> None:
    last = min(len(PLAINTEXT) - 1, first + length)

    async def test() -> None:
        async with serving(answering(STORED)) as server, pooled(server) as connections:
            assert await open_all(connections, span=(first, last)) == PLAINTEXT[first : last + 1]

    asyncio.run(test())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(STORED) - 1) | st.sampled_from([*BOUNDS[:-1], *(bound - 1 for bound in BOUNDS)]))
def test_a_body_that_ends_early_is_an_error_wherever_it_ends(end: int) -> None:
    async def test() -> None:
        async with serving(answering(STORED[:end], length=len(STORED))) as server, pooled(server) as connections:
            with pytest.raises(aiohttp.ClientPayloadError):
                await open_all(connections)
            assert not connections._idle

    asyncio.run(test())


@settings(max_examples=60, deadline=None)
@given(st.integers(256, len(STORED) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_and_nothing_of_its_chunk_is_given(at: int, flip: int) -> None:
    changed = bytearray(STORED)
    changed[at] ^= flip
    given_away = bytearray()

    async def test() -> None:
        async with (
            serving(answering(bytes(changed))) as server,
            pooled(server) as connections,
            connections.exchange("GET", GET, None) as answer,
        ):
            with pytest.raises(RefusedError):
                await open_some(answer, given_away)

    asyncio.run(test())
    whole = min((at - 256) // STORED_CHUNK, 15) * CHUNK
    assert len(given_away) <= whole
    assert PLAINTEXT.startswith(bytes(given_away))


@in_a_loop
async def test_a_store_is_held_back_while_nobody_reads_and_goes_on_afterwards() -> None:
    plaintext = noise(1 << 20) * 64
    stored = seal(begin(len(plaintext)), plaintext)
    segment, written = admit_segment(stored, BK.secret), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head_of(len(stored)))
        for at in range(0, len(stored), 1 << 16):
            writer.write(stored[at : at + (1 << 16)])
            await writer.drain()
            written = at
        await reader.read()

    async with (
        serving(serve) as server,
        pooled(server, idle_s=2.0) as connections,
        connections.exchange("GET", GET, None) as answer,
    ):
        pieces = opened(segment, None, StoredBytes(answer, 0))
        taken = bytearray()
        while len(taken) < 2 << 20:  # past what was parsed
            taken += await anext(pieces)
        before = -1
        while written != before:  # until the kernel's buffers are full
            before = written
            await asyncio.sleep(2.5)  # longer than the store may be idle: it is not, it is held back
        assert written < len(stored) - (1 << 20), "it reads ahead of a client that takes nothing"
        async for piece in pieces:
            taken += piece
        assert taken == plaintext


@pytest.mark.parametrize("end", [0, 100, 2 * STORED_CHUNK, 13 * STORED_CHUNK + 7])
@in_a_loop
async def test_a_store_that_stops_in_the_middle_of_a_body_is_given_up(end: int) -> None:
    async def stops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head_of(len(STORED)) + STORED[:end])
        await reader.read()

    async with serving(stops) as server, pooled(server, idle_s=0.2) as connections:
        with pytest.raises(TimeoutError):
            await open_all(connections)
        assert not connections._idle


@in_a_loop
async def test_a_chunk_is_given_as_soon_as_it_is_there() -> None:
    """A store that is slow keeps nobody waiting for more than the chunk that is on its way."""
    seen = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head_of(len(STORED)))
        for bound in BOUNDS[1:16]:
            seen.clear()
            writer.write(STORED[bound - STORED_CHUNK if bound > BOUNDS[1] else 0 : bound])
            await seen.wait()
        writer.write(STORED[BOUNDS[15] :])
        await reader.read()

    async with serving(slow) as server, pooled(server) as connections, connections.exchange("GET", GET, None) as answer:
        taken = bytearray()
        await open_some(answer, taken, seen)
        assert taken == PLAINTEXT


@in_a_loop
async def test_a_range_waits_for_nothing_that_is_behind_it() -> None:
    plan = plan_range(len(PLAINTEXT) - 5 * CHUNK, len(PLAINTEXT) - 1, len(PLAINTEXT), SEGMENT.header.chunk_log2)
    last_chunk, came = plan.stored_last + 1 - 21, asyncio.Event()

    async def stops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head_of(len(STORED)) + STORED[:last_chunk])
        await came.wait()
        writer.write(STORED[last_chunk : plan.stored_last + 1])  # and nothing of the footer
        await reader.read()

    async with (
        serving(stops) as server,
        pooled(server) as connections,
        connections.exchange("GET", GET, None) as answer,
    ):
        taken = bytearray()
        async for piece in opened(SEGMENT, plan, StoredBytes(answer, plan.stored_first)):
            taken += piece
            if len(taken) >= 5 * CHUNK - 5:
                came.set()
        assert taken == PLAINTEXT[-5 * CHUNK :]


@in_a_loop
async def test_whoever_leaves_in_the_middle_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head_of(len(STORED)) + STORED[: 4 * STORED_CHUNK])
        with contextlib.suppress(ConnectionError):
            await reader.read()
        gone.set()

    async with serving(serve) as server, pooled(server) as connections:
        came = asyncio.Event()

        async def leave() -> None:
            async with connections.exchange("GET", GET, None) as answer:
                await open_some(answer, bytearray(), came)

        task = asyncio.create_task(leave())
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()
        assert not connections._idle
        assert connections.places.taken == 0


@in_a_loop
async def test_what_has_no_length_is_parsed_to_its_end() -> None:
    async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(STORED), 100_000):
                piece = STORED[at : at + 100_000]
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            writer.write(b"0\r\n\r\n")

    async with serving(chunked) as server, pooled(server) as connections:
        for _ in range(2):
            assert await open_all(connections) == PLAINTEXT
        assert server.connections == 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_reads_end_at_bounds_where_there_is_enough(seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - cuts
    body = generator.randbytes(6 * BUFFER_BYTES)
    cuts = sorted(generator.randrange(len(body)) for _ in range(6))
    bound, unit = generator.randrange(1, 2 * STORED_CHUNK), generator.choice([1, 1000, STORED_CHUNK, 2 * BUFFER_BYTES])

    async def test() -> None:
        async with (
            serving(answering(body, cuts)) as server,
            pooled(server) as connections,
            connections.exchange("GET", GET, None) as answer,
        ):
            taken, to_bound, source = bytearray(), bound, answer.pumped()
            while piece := bytes(await source.read(to_bound, unit)):
                taken += piece
                assert len(piece) <= max(BUFFER_BYTES, 1 << 18)
                to_bound = (to_bound - len(piece)) % unit or unit
            assert taken == body

    asyncio.run(test())


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    directory: Path = tmp_path_factory.mktemp("tls")
    return tls_pair(directory)


def test_bodies_come_through_tls_as_well(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    serving_tls, asking_tls = contexts

    async def test() -> None:
        async with (
            serving(answering(STORED, [100, 70_000, 300_000]), serving_tls) as server,
            pooled(server, tls=asking_tls) as connections,
        ):
            for _ in range(3):
                assert await open_all(connections) == PLAINTEXT
            assert server.connections == 1
        async with (
            serving(answering(STORED[:400_000], length=len(STORED)), serving_tls) as server,
            pooled(server, tls=asking_tls) as connections,
        ):
            with pytest.raises(aiohttp.ClientPayloadError):
                await open_all(connections)

    asyncio.run(test())

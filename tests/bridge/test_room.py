"""What readings and answers take of memory, all requests together."""

import asyncio
import contextlib
import dataclasses
import sys
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.admission import Places
from bridge.reads import read_all
from bridge.resolve import Place
from bridge.room import Room
from bridge.settings import RequestSettings
from bridge.shares import BusyError
from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from strongroom.errors import ConfigError, NotFoundError, StrongroomError, UndeliverableError
from strongroom.launch.bundle import encode_request
from strongroom.openbao.kv import Mount, Reading, keep_keys, reading_of_v1, reading_of_v2
from tests.bridge.conftest import MakeBridge
from tests.bridge.rooms import capacity
from tests.bridge.secret_source import FakeSecretSource
from tests.support.bridge.process import bundle_request
from tests.support.process.waiting import wait_for

MIB = 1 << 20
OTHER = "spiffe://example.org/ns/shop/sa/other"


class Large:
    """A source in which every secret has a mebibyte; counts what it has handed out and nobody let go of yet."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(
        self,
        path: str,  # noqa: ARG002
        version: int,  # noqa: ARG002
        keys: frozenset[str] | None = None,  # noqa: ARG002
        *,
        identity: str = "",  # noqa: ARG002
    ) -> Reading:
        self.reads += 1
        await asyncio.sleep(0)
        return Reading(1, {"k": "x" * MIB})


async def read_many(source: Large, room: Room, count: int) -> list[Reading | StrongroomError]:
    reads = {Place(f"kv/{number}", 0): frozenset({"k"}) for number in range(count)}
    return list((await read_all(source, reads, room, at_once=4, within_s=20)).values())


def test_readings_beyond_the_room_of_all_requests_wait_for_those_before() -> None:
    async def run() -> None:
        places, source = Places(capacity(answers_bytes=32 * MIB)), Large()
        with places.take("one", 1) as first:
            found = await read_many(source, first, 20)
            assert all(isinstance(reading, Reading) for reading in found)
            with places.take("two", 1) as second:
                waiting = asyncio.create_task(read_many(source, second, 20))
                for _ in range(200):
                    await asyncio.sleep(0)
                assert 20 < source.reads <= 20 + 12 + 4  # what there is room for, and the reads under way
                first.close()
                assert all(isinstance(reading, Reading) for reading in await waiting)
                assert 40 <= source.reads <= 40 + 4  # what there was no room for is read again, instead of kept

    asyncio.run(run())


def test_who_waits_too_long_for_room_is_told_to_come_back_and_reads_no_more() -> None:
    async def run() -> None:
        limits = capacity(answers_bytes=32 * MIB)
        places, source = Places(dataclasses.replace(limits, room_s=0.05)), Large()
        with places.take("one", 1) as first, places.take("two", 1) as second:
            await read_many(source, first, 30)
            before = source.reads
            errors = [found for found in await read_many(source, second, 20) if not isinstance(found, Reading)]
            assert {type(error) for error in errors} == {BusyError}
            assert len(errors) >= 15
            assert source.reads - before <= 5

    asyncio.run(run())


def test_one_request_reads_no_more_than_an_answer_can_need() -> None:
    async def run() -> None:
        places, source = Places(capacity(answer_bytes=8 * MIB)), Large()
        with places.take("one", 1) as room:
            errors = [found for found in await read_many(source, room, 100) if not isinstance(found, Reading)]
        assert {type(error) for error in errors} == {UndeliverableError}
        assert source.reads <= 8 + 4 + 1

    asyncio.run(run())


def test_what_could_not_be_read_takes_no_room() -> None:
    async def run() -> None:
        places = Places(capacity(answer_bytes=1 * MIB))
        with places.take("one", 1) as room:
            reads = {Place(f"kv/shop/none{number}", 0): frozenset({"k"}) for number in range(500)}
            found = await read_all(FakeSecretSource({}), reads, room, at_once=4, within_s=20)
            assert {type(outcome) for outcome in found.values()} == {NotFoundError}
            assert not room.held

    asyncio.run(run())


def test_a_crowd_whose_requests_hold_what_each_other_needs_comes_to_its_end() -> None:
    """Each reads 4 MiB and needs 8 more for its answer; the share of the crowd is 24 MiB."""
    most = 32 * MIB

    async def ask(places: Places, taken: list[int]) -> bool:
        with places.take("crowd", 1) as room:
            found = await read_many(Large(), room, 4)
            taken.append(places._rooms.shares._taken)
            try:
                await room.take(8 * MIB)
            except BusyError:
                return False
            taken.append(places._rooms.shares._taken)
            return all(isinstance(reading, Reading) for reading in found)

    async def run() -> None:
        places = Places(dataclasses.replace(capacity(answers_bytes=most), room_s=1e6))  # what waits for ever hangs
        taken: list[int] = []
        crowd = [asyncio.create_task(ask(places, taken)) for _ in range(50)]
        await asyncio.sleep(0)
        with places.take("other", 1) as other:
            await asyncio.wait_for(other.take(4 * MIB), 20)  # kept for others, however much the crowd wants
        served = await asyncio.gather(*crowd)
        assert sum(served) >= 2  # the others are told to come back
        assert max(taken) <= most
        assert not places._rooms.shares._taken
        assert not places._rooms._waiting
        assert await ask(places, taken)

    asyncio.run(run())


def test_requests_of_several_identities_that_wait_for_each_other_come_to_their_end() -> None:
    async def run() -> None:
        places = Places(dataclasses.replace(capacity(answers_bytes=32 * MIB), room_s=1e6))
        with contextlib.ExitStack() as stack:
            rooms = [stack.enter_context(places.take(str(number), 1)) for number in range(4)]
            for room in rooms:
                await room.take(8 * MIB)
            waits = [asyncio.create_task(room.take(8 * MIB)) for room in rooms]
            await asyncio.wait({waits[3]}, timeout=60)
            assert isinstance(waits[3].exception(), BusyError)  # the newest
            assert not any(wait.done() for wait in waits[:3])  # it still holds what it has
            with pytest.raises(BusyError, match="give way"):
                await rooms[3].take(1)
            rooms[3].close()
            await waits[0]
            rooms[0].close()
            await asyncio.gather(*waits[1:3])

    asyncio.run(run())


def test_small_requests_do_not_keep_a_large_one_of_their_identity_waiting() -> None:
    async def run() -> None:
        places = Places(dataclasses.replace(capacity(answers_bytes=32 * MIB), room_s=1e6))
        small = contextlib.ExitStack()
        with small, places.take("one", 1) as large:
            await large.take(MIB)
            first = small.enter_context(places.take("one", 1))
            await first.take(16 * MIB)
            wait = asyncio.create_task(large.take(12 * MIB))
            await asyncio.sleep(0)
            newcomer = small.enter_context(places.take("one", 1))
            behind = asyncio.create_task(newcomer.take(MIB))
            await asyncio.sleep(0)
            assert not behind.done()  # though there is room for it
            first.close()
            await wait
            await behind

    asyncio.run(run())


def test_a_caller_that_goes_while_its_request_waits_leaves_nothing() -> None:
    async def run() -> None:
        places = Places(dataclasses.replace(capacity(answers_bytes=32 * MIB), room_s=1e6))
        with places.take("one", 1) as first, places.take("two", 1) as second, places.take("three", 1) as third:
            await first.take(30 * MIB)
            gone, stays = (asyncio.create_task(room.take(20 * MIB)) for room in (second, third))
            await asyncio.sleep(0)
            gone.cancel()
            first.close()  # before the one that was cancelled has come to know it
            await stays
            with pytest.raises(asyncio.CancelledError):
                await gone
        assert not places._rooms.shares._taken
        assert not places._rooms._waiting

    asyncio.run(run())


def test_a_request_that_becomes_the_only_one_of_its_identity_gets_at_once_what_is_kept_for_such() -> None:
    async def run() -> None:
        places = Places(capacity(answers_bytes=32 * MIB))
        with contextlib.ExitStack() as stack:
            for identity, size in (("one", 24), ("two", 4)):
                await stack.enter_context(places.take(identity, 1)).take(size * MIB)
            with places.take("three", 1):  # holds nothing, and gives nothing back
                room = stack.enter_context(places.take("three", 1))
                waiting = asyncio.create_task(room.take(2 * MIB))
                await settle()
                assert not waiting.done()
            await settle()
            assert waiting.done()
            await waiting

    asyncio.run(run())


def test_a_newcomer_has_no_refusal_written_for_those_who_wait_already() -> None:
    """Hundreds of texts for each newcomer, which nobody reads, would be much of the event loop's time."""
    written = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal written
        written += event == "call" and frame.f_code.co_filename.endswith("strongroom/errors.py")

    async def run() -> None:
        places = Places(capacity(answers_bytes=32 * MIB))
        with contextlib.ExitStack() as stack:
            await stack.enter_context(places.take("holder", 1)).take(30 * MIB)
            rooms = [stack.enter_context(places.take(str(number // 2), 1)) for number in range(100)]
            sys.setprofile(count)
            try:
                waits = [asyncio.create_task(room.take(4 * MIB)) for room in rooms]
                await settle()
                assert not written
                assert not any(wait.done() for wait in waits)
                with pytest.raises(BusyError, match="is at work on 31457280 bytes of answers"):
                    places._rooms.shares.require("newcomer", 4 * MIB, is_first=True)
                assert written  # what is counted above
            finally:
                sys.setprofile(None)
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)

    asyncio.run(run())


async def settle() -> None:
    """Have the event loop do all that needs no time."""
    for _ in range(500):
        await asyncio.sleep(0)


amounts = st.integers(0, 20 * MIB)
reads = st.lists(st.tuples(amounts, st.integers(0, 3)), max_size=4)
requests = st.tuples(st.sampled_from("aab"), st.lists(reads, min_size=1, max_size=3), amounts, st.booleans())


async def ask(places: Places, identity: str, at_once: list[list[tuple[int, int]]], answer: int) -> None:
    """Take room as a request does: by several readers, and for its answer."""

    async def read(sizes: list[tuple[int, int]]) -> None:
        for size, turns in sizes:
            await room.take(16 << 10)
            for _ in range(turns):
                await asyncio.sleep(0)
            if not room.take_now(size - (16 << 10)):
                await room.take(size - (16 << 10))

    with contextlib.suppress(BusyError, UndeliverableError), places.take(identity, 1) as room:
        tasks = [asyncio.create_task(read(sizes)) for sizes in at_once]
        try:
            await asyncio.gather(*tasks)
            await room.take(answer)
            room.keep(min(room.held, answer))
            await asyncio.sleep(0)
        finally:
            for task in tasks:
                task.cancel()


@given(st.lists(requests, max_size=10))
def test_whatever_requests_take_none_waits_for_good_and_all_comes_back(
    crowd: list[tuple[str, list[list[tuple[int, int]]], int, bool]],
) -> None:
    """No wait is ended by its time here; some callers go away while theirs lasts."""

    async def run() -> None:
        limits = capacity(answers_bytes=48 * MIB, answer_bytes=24 * MIB)
        places = Places(dataclasses.replace(limits, room_s=1e6))
        tasks = [asyncio.create_task(ask(places, *request[:3])) for request in crowd]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task, (*_, goes) in zip(tasks, crowd, strict=True):
            if goes:
                task.cancel()
        await settle()
        assert all(task.done() for task in tasks)
        with places.take("another", 1) as room:
            assert room.take_now(48 * MIB)

    asyncio.run(run())


def test_many_small_objects_are_kept_as_their_text() -> None:
    data: dict[str, object] = {"k": [[]] * 10_000, "number": True, "none": None, "other": "x" * MIB}
    wanted = frozenset({"k", "number", "none"})
    texts = {"k": "[" + ",".join(["[]"] * 10_000) + "]", "number": "true", "none": None}
    v1 = reading_of_v1(200, keep_keys({"data": data}, Mount("old/", 1), keys=wanted), "old/a")
    document = {"data": {"data": data, "metadata": {"version": 3}}}
    v2 = reading_of_v2(200, keep_keys(document, Mount("kv/", 2), keys=wanted), "kv/a", 0)
    assert (v1.data, v2.data) == (texts, texts)
    assert v1.size_bytes < 50_000
    looks_like_v2 = {"data": {"data": {"k": "x"}, "metadata": {"version": 1}}}
    assert reading_of_v1(200, keep_keys(looks_like_v2, Mount("old/", 1), keys=frozenset({"data"})), "old/a").data == {
        "data": '{"k":"x"}'
    }


def test_who_does_not_read_its_answers_keeps_its_own_share_of_memory(
    make_bridge: MakeBridge, bao: OpenBaoServer, authority: Authority
) -> None:
    bao.admin.put_v2("kv", "shop/large", {"k": "x" * 900_000})
    bridge = make_bridge(max_region_bytes=8 * MIB, max_files_bytes=64, max_answers_bytes=34 * MIB, request_timeout_s=4)
    request = bundle_request({f"X{number}": "bao:kv/shop/large#k" for number in range(8)})
    body = encode_request(request)
    head = b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with bridge.connection() as one, bridge.connection() as two:
        for number, tls in enumerate((one, two)):
            tls.sendall(head + body)
            wait_for(lambda: len(bridge.audit()) >= (number + 1) * 8, "it is answered")  # noqa: B023 - called here
        reply = bridge.bundle(request)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        assert "bytes of answers of this identity" in reply.detail
        assert {record["decision"] for record in bridge.audit(reply.headers["X-Request-Id"])} == {"unavailable"}
        other = authority.issue_client("other", identities=(OTHER,))
        assert bridge.bundle(bundle_request(A="bao:kv/shop/db#user"), client=other).status == 200
    wait_for(lambda: bridge.bundle(request).status == 200, "their memory is free again")


def test_room_that_is_too_small_for_one_request_or_answer_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"max_answers_bytes=1000000: one answer may need \d+"):
        RequestSettings(max_answers_bytes=1_000_000)
    with pytest.raises(ConfigError, match=r"max_body_bytes=20000000: all requests together have 8388608"):
        RequestSettings(max_body_bytes=20_000_000)
    assert RequestSettings(max_body_bytes=20_000_000, max_bodies_bytes=20_000_000).capacity.body_bytes == 20_000_000
    assert RequestSettings().capacity.answers_bytes == 256 * MIB
    assert RequestSettings(max_region_bytes=1 << 30).capacity.answers_bytes > 3 << 30

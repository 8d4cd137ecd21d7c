"""Places: none is lost, unknown senders take none from known ones, and every wait has an end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.exchange import memory
from s3proxy.exchange.memory import STREAM_BYTES
from s3proxy.exchange.pace import Patience, Sending
from s3proxy.exchange.places import FIELDS_BYTES, Places
from s3proxy.s3api.errors import S3Error
from s3proxy.store import places as store_places
from s3proxy.store.places import StoreBusyError, StorePlaces

MIB = 1 << 20
PATIENCE = Patience(
    body_idle_timeout_s=60.0, body_least_bytes_s=100, body_rate_interval_s=10.0, short_body_timeout_s=5.0
)


def make(reasons: list[str] | None = None) -> Places:
    count = reasons.append if reasons is not None else lambda _: None
    return Places(requests=4, unknown_requests=2, memory_bytes=64 * MIB, count=count)


def test_unknown_senders_share_a_few_places_and_leave_all_others() -> None:
    async def work() -> None:
        reasons: list[str] = []
        places = make(reasons)
        forms = [await places.take_unknown(FIELDS_BYTES) for _ in range(2)]
        with pytest.raises(S3Error) as caught:
            await places.take_unknown(FIELDS_BYTES)
        assert caught.value.code == "SlowDown"
        assert reasons == ["unknown_requests"]
        known = [await places.take(name, STREAM_BYTES) for name in "aabb"]
        for place in forms + known:
            place.give_back()
        assert places.taken_bytes == 0

    asyncio.run(work())


def test_no_principal_takes_all_places() -> None:
    async def work() -> None:
        places = make()
        for _ in range(3):
            await places.take("a", 0)
        with pytest.raises(S3Error):
            await places.take("a", 0)
        await places.take("b", 0)

    asyncio.run(work())


def test_what_turns_out_to_need_more_takes_it_and_leaves_the_part_that_is_kept_for_what_is_short() -> None:
    async def work() -> None:
        places = make()  # 40 MiB, 16 for what is short, 8 for unknown senders
        long = await places.take("a", 39 * MIB + STREAM_BYTES)
        short = await places.take("b", STREAM_BYTES)  # of the 40 there is less left
        await short.cover(2 * MIB)
        await short.cover(MIB)  # it has more
        assert places.taken_bytes == 39 * MIB + STREAM_BYTES + 2 * MIB
        growing = asyncio.create_task(short.cover(3 * MIB))
        await asyncio.sleep(0)
        assert not growing.done()
        long.give_back()
        await growing
        assert places.taken_bytes == 3 * MIB
        await short.cover(1000 * MIB)  # more than there is: all of it, without waiting for itself
        assert places.taken_bytes == 40 * MIB
        unknown = await places.take_unknown(MIB)
        await unknown.cover(3 * MIB)
        assert places.taken_bytes == 43 * MIB
        for place in (short, unknown):
            place.give_back()
        assert places.taken_bytes == 0

    asyncio.run(work())


def test_what_gets_no_more_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_S", 0.01)

    async def work() -> None:
        reasons: list[str] = []
        places = make(reasons)
        both = [await places.take(name, 20 * MIB) for name in "ab"]
        with pytest.raises(S3Error) as caught:
            await both[0].cover(21 * MIB)
        assert caught.value.code == "SlowDown"
        assert reasons == ["memory"]
        assert places.taken_bytes == 40 * MIB
        for place in both:
            place.give_back()
        assert places.taken_bytes == 0

    asyncio.run(work())


def test_a_form_that_was_verified_changes_its_place_for_one_of_its_own() -> None:
    async def work() -> None:
        places = make()
        form = await places.take_unknown(FIELDS_BYTES)
        await form.go_on("a", 3 * MIB)
        assert places.taken_bytes == 3 * MIB
        both = [await places.take_unknown(0) for _ in range(2)]  # the place of the form is free again
        for place in [form, *both]:
            place.give_back()
        assert places.taken_bytes == 0

    asyncio.run(work())


def test_a_form_without_a_signature_stays_among_the_unknown() -> None:
    async def work() -> None:
        reasons: list[str] = []
        places = make(reasons)
        forms = [await places.take_unknown(FIELDS_BYTES) for _ in range(2)]
        for form in forms:
            await form.go_on(None, 3 * MIB)
        assert places.taken_bytes == 6 * MIB
        with pytest.raises(S3Error):
            await places.take_unknown(0)
        known = [await places.take(name, 8 * MIB) for name in "aabb"]
        for place in forms + known:
            place.give_back()
        assert places.taken_bytes == 0

    asyncio.run(work())


def test_a_form_without_a_signature_that_finds_no_memory_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        reasons: list[str] = []
        places = make(reasons)
        first, second = [await places.take_unknown(FIELDS_BYTES) for _ in range(2)]
        await first.go_on(None, 7 * MIB)
        with pytest.raises(S3Error):
            await second.go_on(None, 7 * MIB)
        assert reasons == ["memory"]
        second.give_back()
        first.give_back()
        assert places.taken_bytes == 0
        await places.take_unknown(0)

    monkeypatch.setattr("s3proxy.exchange.memory.WAIT_S", 0.01)
    asyncio.run(work())


def test_bodies_leave_memory_for_what_needs_little() -> None:
    async def work() -> None:
        places = make()
        await places.take("a", 1000 * MIB)  # all that a body can have
        await places.take("b", STREAM_BYTES)

    asyncio.run(work())


def test_a_request_without_memory_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3proxy.exchange.memory.WAIT_S", 0.01)

    async def work() -> None:
        reasons: list[str] = []
        places = make(reasons)
        await places.take("a", 1000 * MIB)
        for _ in range(10):
            with pytest.raises(S3Error):
                await places.take("b", 1000 * MIB)
        assert reasons == ["memory"] * 10
        await places.take("b", STREAM_BYTES)

    asyncio.run(work())


def test_lasting_exchanges_leave_places_for_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_places, "WAIT_S", 0.01)

    async def work() -> None:
        places = StorePlaces(4)
        lasting = [await places.take(lasting=True) for _ in range(2)]
        grown = await places.take(lasting=False)
        await grown.outlast()
        with pytest.raises(StoreBusyError, match="all 3 connections to the store that transfers may have are in use"):
            await places.take(lasting=True)
        short = await places.take(lasting=False)
        with pytest.raises(StoreBusyError, match="that transfers may have"):
            await short.outlast()
        with pytest.raises(StoreBusyError, match="all 4 connections to the store are in use"):
            await places.take(lasting=False)
        for place in [*lasting, grown, short]:
            place.give_back()
        assert places.taken == 0
        for place in [await places.take(lasting=True) for _ in range(3)]:
            place.give_back()

    asyncio.run(work())


@given(st.lists(st.sampled_from(["take", "last", "outlast", "back", "cancel"]), max_size=40))
def test_no_place_of_the_store_is_lost_or_given_twice(steps: list[str]) -> None:  # noqa: C901 - one branch a step
    async def work() -> None:
        places, held, asking = StorePlaces(3), list[store_places.Place](), list[asyncio.Task[store_places.Place]]()
        for step in steps:
            if step in {"take", "last"}:
                asking.append(asyncio.create_task(places.take(lasting=step == "last")))
            elif step == "cancel" and asking:
                asking.pop(0).cancel()
            elif step == "back" and held:
                held.pop(0).give_back()
            elif step == "outlast" and held:
                task = asyncio.create_task(held[0].outlast())
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            for _ in range(3):
                await asyncio.sleep(0)
            held += [task.result() for task in asking if task.done() and not task.cancelled()]
            asking = [task for task in asking if not task.done()]
            assert len(held) <= places.taken <= places.count
        while held or asking:
            for place in held:
                place.give_back()
            held.clear()
            for _ in range(3):
                await asyncio.sleep(0)
            held += [task.result() for task in asking if task.done()]
            asking = [task for task in asking if not task.done()]
        assert places.taken == 0
        assert [await places.take(lasting=True) for _ in range(2)]

    asyncio.run(work())


def test_a_sender_without_a_byte_is_cut_after_the_idle_time() -> None:
    sending = Sending(
        Patience(body_idle_timeout_s=3.0, body_least_bytes_s=0, body_rate_interval_s=10.0, short_body_timeout_s=1.0)
    )
    assert sending.next_look_s() == 3.0
    assert sending.waited(2.0, 0)
    assert sending.waited(0.5, 1)
    assert sending.next_look_s() == 3.0
    assert not sending.waited(3.0, 0)


def test_a_byte_now_and_then_is_too_little() -> None:
    sending = Sending(PATIENCE)
    assert all(sending.waited(1.0, 1) for _ in range(9))
    assert not sending.waited(1.0, 1)


@given(st.lists(st.floats(min_value=0.001, max_value=5.0), max_size=200))
def test_a_steady_sender_at_the_least_rate_is_never_cut(waits: list[float]) -> None:
    sending = Sending(PATIENCE)
    assert all(sending.waited(wait, int(wait * 200) + 1) for wait in waits)

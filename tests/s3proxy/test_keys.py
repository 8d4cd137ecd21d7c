"""When bucket keys are made, used, kept and forgotten: with a clock of the test's own."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from s3proxy.keys.bucket_keys import AWAY_S, RENEW_AT, RETRY_S
from s3proxy.keys.kek import Cause, KeyNotAvailableError
from s3proxy.keys.opened_keys import IN_USE_S, KeyLimits
from strongroom.errors import UnavailableError
from strongroom.openbao.login import LoginRefusedError
from tests.s3proxy.kms import LIMITS, MAIN, World, header_of, run


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_one_key_serves_until_its_time_is_over(world: World) -> None:
    """And no request waits for the next one, which is made in the background."""

    async def work() -> None:
        first = await world.keys.to_seal("main")
        world.now += RENEW_AT * LIMITS.bucket_key_ttl_s - 1
        await world.keys.follow()
        assert await world.keys.to_seal("main") is first
        world.now += 2
        assert await world.keys.to_seal("main") is first
        await world.keys.follow()
        assert (await world.keys.to_seal("main")).key_id != first.key_id

    run(work)
    assert world.kek.calls.count("wrap") == 2
    assert world.counted == ["miss", "hit", "hit", "hit"]


def test_a_key_that_nothing_was_sealed_under_since_is_not_replaced(world: World) -> None:
    async def work() -> None:
        first = await world.keys.to_seal("main")
        world.now += RENEW_AT * LIMITS.bucket_key_ttl_s
        await world.keys.follow()
        world.now += RENEW_AT * LIMITS.bucket_key_ttl_s
        await world.keys.follow()
        assert world.kek.calls.count("wrap") == 2
        assert (await world.keys.to_seal("main")).key_id != first.key_id

    run(work)


def test_a_key_is_replaced_after_its_last_use(tmp_path: Path) -> None:
    world = World(tmp_path, KeyLimits(bucket_key_uses=1, bucket_key_ttl_s=100))

    async def work() -> None:
        ids = [(await world.keys.to_seal("main")).key_id for _ in range(3)]
        assert len(set(ids)) == 3

    run(work)


def test_while_the_kms_is_unreachable_a_spent_key_seals_on_for_the_grace(world: World) -> None:
    async def work() -> None:
        first = await world.keys.to_seal("main")
        world.kek.away = True
        world.now += LIMITS.bucket_key_ttl_s - 1
        await world.keys.follow()
        asked = len(world.kek.calls)
        world.now += 1
        assert await world.keys.to_seal("main") is first
        assert len(world.kek.calls) == asked  # no request waits for what the background knows
        world.now += LIMITS.unwrap_grace_s - 1
        await world.keys.follow()
        assert await world.keys.to_seal("main") is first
        world.now += 1
        with pytest.raises(UnavailableError):
            await world.keys.to_seal("main")
        world.kek.away = False
        assert (await world.keys.to_seal("main")).key_id != first.key_id

    run(work)


def test_an_unreachable_kms_is_asked_for_by_one_request_and_then_in_the_background(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        reader = world.another_process()
        await reader.to_open(header, MAIN)
        world.kek.away = True
        world.kek.calls.clear()
        world.now += LIMITS.unwrap_cache_s  # nobody has looked in between
        for _ in range(3):
            await reader.to_open(header, MAIN)
        assert world.kek.calls == ["unwrap"]
        await reader.follow()
        assert world.kek.calls == ["unwrap"]
        world.now += RETRY_S
        await reader.follow()
        assert world.kek.calls == ["unwrap", "unwrap"]
        world.kek.away = False
        world.now += RETRY_S
        await reader.follow()
        world.now += LIMITS.unwrap_cache_s - 1
        await reader.to_open(header, MAIN)
        assert world.kek.calls == ["unwrap"] * 3
        assert AWAY_S > RETRY_S

    run(work)


def test_keys_in_use_are_confirmed_at_half_their_time_and_others_are_not(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        reader = world.another_process()
        await reader.to_open(header, MAIN)
        world.kek.calls.clear()
        for _ in range(12):
            world.now += LIMITS.unwrap_cache_s / 2
            await reader.follow()
            await reader.to_open(header, MAIN)
        assert world.kek.calls == ["unwrap"] * 12
        assert "miss" not in world.counted[2:]
        world.now += IN_USE_S
        await reader.follow()
        assert world.kek.calls == ["unwrap"] * 12

    run(work)


@pytest.mark.parametrize("cause", [Cause.FORBIDDEN, Cause.GONE])
def test_what_the_kms_refuses_is_forgotten_at_once_for_reading_and_for_writing(world: World, cause: Cause) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        world.kek.refusal = KeyNotAvailableError(cause, "it was revoked", hint="")
        world.now += LIMITS.unwrap_cache_s / 2
        await world.keys.follow()
        for work in (lambda: world.keys.to_open(header, MAIN), lambda: world.keys.to_seal("main")):
            with pytest.raises(KeyNotAvailableError, match="revoked"):
                await work()

    run(work)


def test_a_key_whose_version_was_retired_is_forgotten_when_it_is_confirmed(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        world.kek.refusal = KeyNotAvailableError(Cause.RETIRED, "retired", hint="")
        world.now += LIMITS.unwrap_cache_s / 2
        await world.keys.follow()
        with pytest.raises(KeyNotAvailableError, match="retired"):
            await world.keys.to_open(header, MAIN)

    run(work)


def test_a_refused_login_is_no_outage_and_keeps_nothing_longer(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        world.kek.refusal = LoginRefusedError("refused", hint="", pause_s=1)
        world.now += LIMITS.unwrap_cache_s - 1
        await world.keys.follow()
        await world.keys.to_open(header, MAIN)  # a locked role is something that others can bring about
        world.now += 1
        with pytest.raises(LoginRefusedError):
            await world.keys.to_open(header, MAIN)
        world.kek.refusal = None
        await world.keys.to_open(header, MAIN)

    run(work)


def test_without_a_cache_nothing_is_kept_for_an_outage(tmp_path: Path) -> None:
    world = World(tmp_path, KeyLimits(bucket_key_ttl_s=0, unwrap_cache_s=0))

    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        assert world.keys.without_kms_s == 0
        await world.keys.follow()
        assert world.kek.calls == ["wrap"]  # and none is made ahead
        world.kek.away = True
        for work in (lambda: world.keys.to_open(header, MAIN), lambda: world.keys.to_seal("main")):
            with pytest.raises(UnavailableError):
                await work()

    run(work)


def test_nothing_is_sealed_under_a_key_that_the_keyring_was_not_wrapped_under(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.another_process().to_seal("main"))
        world.guard.refusal = KeyNotAvailableError(Cause.OTHER_KEY, "another key", hint="")
        world.kek.calls.clear()
        with pytest.raises(KeyNotAvailableError, match="another key"):
            await world.keys.to_seal("main")
        assert world.kek.calls == []
        assert len(world.records.kept) == 1
        await world.keys.to_open(header, MAIN)  # what still opens is read

    run(work)


def test_no_key_is_used_before_its_record_is_kept(world: World) -> None:
    async def work() -> None:
        world.records.away = True
        with pytest.raises(UnavailableError, match="store"):
            await world.keys.to_seal("main")
        world.records.away = False
        key = await world.keys.to_seal("main")
        assert list(world.records.kept) == [("main", key.key_id)]
        assert world.records.kept["main", key.key_id].wrapped.encode() == key.wrapped

    run(work)


def test_callers_share_one_call_and_one_that_goes_away_does_not_take_it(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        reader = world.another_process()
        callers = [asyncio.create_task(reader.to_open(header, MAIN)) for _ in range(20)]
        await asyncio.sleep(0)
        callers[0].cancel()
        found = await asyncio.gather(*callers[1:])
        assert all(len(secret) == 32 for secret in found)
        assert world.kek.calls == ["wrap", "unwrap"]

    run(work)


@pytest.mark.parametrize("silent", ["kek", "records"])
def test_who_waits_for_a_key_is_answered_in_time_and_the_work_goes_on(tmp_path: Path, silent: str) -> None:
    world = World(tmp_path, replace(LIMITS, wait_s=0.05))
    may_answer: asyncio.Event = getattr(world, silent).may_answer

    async def work() -> None:
        may_answer.clear()
        for _ in range(2):
            with pytest.raises(UnavailableError, match="no bucket key within"):
                await world.keys.to_seal("main")
        asked = asyncio.create_task(world.keys.to_seal("main"))
        await asyncio.sleep(0)
        may_answer.set()
        key = await asked
        assert world.kek.calls == ["wrap"]  # once for all three
        if silent == "kek":
            may_answer.clear()
            another = world.another_process()
            with pytest.raises(UnavailableError, match="no bucket key within"):
                await another.to_open(header_of(key), MAIN)
            may_answer.set()
            await another.to_open(header_of(key), MAIN)
            assert world.kek.calls == ["wrap", "unwrap"]

    run(work)

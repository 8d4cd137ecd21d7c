"""Which keys are opened, by what, and how long they are kept."""

import asyncio
from pathlib import Path

import pytest

from s3proxy.keys.kek import Cause, KeyNotAvailableError
from strongroom.errors import UnavailableError
from strongroom.sealed.keyring import KeyRecord
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.wrapping import BucketKey
from tests.s3proxy.kms import LIMITS, MAIN, CountingKek, World, header_of, run


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_unwrapped_key_is_forgotten_in_time(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        reader = world.another_process()
        for _ in range(2):
            await reader.to_open(header, MAIN)
        world.now += LIMITS.unwrap_cache_s - 1
        await reader.to_open(header, MAIN)
        assert world.kek.calls == ["wrap", "unwrap"]
        world.now += 1
        await reader.to_open(header, MAIN)
        assert world.kek.calls == ["wrap", "unwrap", "unwrap"]
        world.kek.away = True
        world.now += LIMITS.unwrap_cache_s + LIMITS.unwrap_grace_s
        with pytest.raises(UnavailableError):
            await reader.to_open(header, MAIN)

    run(work)


def test_the_key_that_was_not_asked_for_longest_goes_first(world: World) -> None:
    async def work() -> None:
        headers = [
            header_of(await world.another_process().to_seal("main")) for _ in range(LIMITS.unwrap_cache_keys + 1)
        ]
        reader = world.another_process()
        for header in (*headers[:3], headers[0], headers[3]):  # the fourth puts out the second
            await reader.to_open(header, MAIN)
        world.kek.calls.clear()
        for header in (headers[2], headers[0], headers[3]):
            await reader.to_open(header, MAIN)
        assert world.kek.calls == []
        await reader.to_open(headers[1], MAIN)
        assert world.kek.calls == ["unwrap"]

    run(work)


def test_a_policy_of_another_name_is_refused_without_asking(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        # Not damage: a policy that was renamed, or a bucket that moved to another one.
        with pytest.raises(KeyNotAvailableError, match="sealed under policy main, which the policy file does not have"):
            await world.another_process().to_open(header, frozenset({"other"}))
        world.records.kept.clear()  # then nothing tells that there ever was such a policy
        with pytest.raises(RefusedError, match="not configured") as refused:
            await world.another_process().to_open(header, frozenset({"other"}))
        assert refused.value.rule == 6
        assert 'formerly = ["main"]' in refused.value.hint
        assert world.kek.calls == ["wrap"]

    run(work)


def test_what_the_kek_no_longer_opens_is_opened_from_the_keyring(world: World, tmp_path: Path) -> None:
    async def work() -> None:
        key = await world.keys.to_seal("main")
        old, world.kek = world.kek, CountingKek(tmp_path / "newer")
        reader = world.another_process()
        with pytest.raises(RefusedError):
            await reader.to_open(header_of(key), MAIN)
        secret = await old.unwrap(world.records.kept["main", key.key_id].wrapped, policy="main", key_id=key.key_id)
        rewrapped = await world.kek.wrap(secret, policy="main", key_id=key.key_id)
        world.records.kept["main", key.key_id] = KeyRecord("main", key.key_id, rewrapped)
        opened = await reader.to_open(header_of(key), MAIN)
        assert opened.reveal() == key.secret.reveal()

    run(work)


def test_a_header_without_a_wrapped_key_is_opened_from_the_keyring(world: World) -> None:
    async def work() -> None:
        key = await world.keys.to_seal("main")
        bare = header_of(BucketKey(key.key_id, key.policy, key.secret))
        assert (await world.another_process().to_open(bare, MAIN)).reveal() == key.secret.reveal()
        world.records.kept.clear()
        with pytest.raises(KeyNotAvailableError, match="keyring only") as caught:
            await world.another_process().to_open(bare, MAIN)
        assert caught.value.cause is Cause.NO_RECORD
        assert f"restore keyring/main/{key.key_id.hex()}.json" in caught.value.hint

    run(work)


def test_a_record_that_the_store_made_up_opens_nothing(world: World) -> None:
    async def work() -> None:
        key = await world.keys.to_seal("main")
        other = await world.another_process().to_seal("main")
        bare = header_of(BucketKey(key.key_id, key.policy, key.secret))
        planted = world.records.kept["main", other.key_id].wrapped
        world.records.kept["main", key.key_id] = KeyRecord("main", key.key_id, planted)
        with pytest.raises(RefusedError):
            await world.another_process().to_open(bare, MAIN)

    run(work)


def test_a_policy_whose_kek_was_replaced_forgets_its_keys(world: World, tmp_path: Path) -> None:
    async def work() -> None:
        first = await world.keys.to_seal("main")
        world.keys.use({"main": world.kek})
        assert await world.keys.to_seal("main") is first
        world.keys.use({"main": CountingKek(tmp_path / "newer")})
        assert (await world.keys.to_seal("main")).key_id != first.key_id
        with pytest.raises(RefusedError):
            await world.keys.to_open(header_of(first), MAIN)

    run(work)


def test_a_kek_that_is_replaced_while_it_wraps_serves_that_one_request(world: World, tmp_path: Path) -> None:
    async def work() -> None:
        asked = asyncio.create_task(world.keys.to_seal("main"))
        await world.kek.called.wait()
        world.keys.use({"main": CountingKek(tmp_path / "newer")})
        first = await asked
        assert (await world.keys.to_seal("main")).key_id != first.key_id
        world.keys.use({})
        with pytest.raises(UnavailableError, match="taken out"):
            await world.keys.to_seal("main")

    run(work)


def test_a_bucket_key_that_another_key_may_have_wrapped_is_neither_kept_nor_used(world: World) -> None:
    async def work() -> None:
        world.guard.second_thought = KeyNotAvailableError(Cause.OTHER_KEY, "another key", hint="restore it")
        with pytest.raises(KeyNotAvailableError):
            await world.keys.to_seal("main")
        assert not world.records.kept
        world.guard.second_thought = None
        await world.keys.to_seal("main")

    run(work)

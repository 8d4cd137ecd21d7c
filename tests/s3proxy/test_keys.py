"""When bucket keys are made, used, kept and forgotten: with a clock of the test's own."""

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from s3proxy.keys.bucket_keys import RENEW_AT, RETRY_S, BucketKeys, KeyLimits
from s3proxy.keys.kek import FileKek
from strongroom.errors import UnavailableError
from strongroom.sealed.header import Header, Kind, parse_header
from strongroom.sealed.keyring import KeyRecord
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.segment import begin_segment
from strongroom.sealed.wrapping import BucketKey, WrappedKey
from strongroom.secret import Secret

MAIN = frozenset({"main"})
LIMITS = KeyLimits(seal_ttl_s=100, seal_uses=1000, open_ttl_s=50, open_keys=3)


class CountingKek:
    """A key file whose calls are counted, and that can be away."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(base64.b64encode(os.urandom(32)))
        self._kek = FileKek(path)
        self.calls: list[str] = []
        self.called = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.away = False

    async def wrap(self, key: Secret, *, policy: str, key_id: bytes) -> WrappedKey:
        await self._answer("wrap")
        return await self._kek.wrap(key, policy=policy, key_id=key_id)

    async def unwrap(self, wrapped: WrappedKey, *, policy: str, key_id: bytes) -> Secret:
        await self._answer("unwrap")
        return await self._kek.unwrap(wrapped, policy=policy, key_id=key_id)

    async def _answer(self, call: str) -> None:
        self.calls.append(call)
        self.called.set()
        await asyncio.sleep(0)
        await self.may_answer.wait()
        if self.away:
            msg = "the KMS is away"
            raise UnavailableError(msg)


class Records:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes], KeyRecord] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.away = False

    async def find(self, policy: str, key_id: bytes) -> KeyRecord | None:
        return self.kept.get((policy, key_id))

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        await self.may_answer.wait()
        if self.away:
            msg = "the store is away"
            raise UnavailableError(msg)
        self.kept[policy, key_id] = KeyRecord(policy, key_id, wrapped)


class World:
    """Bucket keys on a clock of their own."""

    def __init__(self, folder: Path, limits: KeyLimits = LIMITS) -> None:
        self.now = 1000.0
        self.kek = CountingKek(folder / "kek")
        self.records = Records()
        self.counted: list[str] = []
        self.limits = limits
        self.keys = self.another_process()

    def another_process(self) -> BucketKeys:
        return BucketKeys(
            {"main": self.kek},
            self.limits,
            keyring=self.records,
            clock=lambda: self.now,
            count=self.counted.append,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def header_of(key: BucketKey) -> Header:
    segment = begin_segment(key, kind=Kind.WHOLE, plaintext_bytes=0, salt=bytes(32), object_id=bytes(16))
    return parse_header(segment.raw)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]  # coroutines all of them


def test_one_key_serves_until_its_time_is_over(world: World) -> None:
    async def work() -> None:
        first = await world.keys.to_seal("main")
        world.now += RENEW_AT * LIMITS.seal_ttl_s - 1
        assert await world.keys.to_seal("main") is first
        world.now += 2
        assert (await world.keys.to_seal("main")).key_id != first.key_id

    run(work)
    assert world.kek.calls == ["wrap", "wrap"]
    assert world.counted == ["miss", "hit", "miss"]


def test_a_key_is_replaced_after_its_last_use(tmp_path: Path) -> None:
    world = World(tmp_path, KeyLimits(seal_uses=1, seal_ttl_s=100))

    async def work() -> None:
        ids = [(await world.keys.to_seal("main")).key_id for _ in range(3)]
        assert len(set(ids)) == 3

    run(work)


def test_a_lost_kms_is_noticed_only_when_the_key_is_spent(world: World) -> None:
    async def work() -> None:
        first = await world.keys.to_seal("main")
        world.kek.away = True
        world.now += RENEW_AT * LIMITS.seal_ttl_s
        assert await world.keys.to_seal("main") is first
        assert await world.keys.to_seal("main") is first
        assert world.kek.calls == ["wrap", "wrap"]  # asked once, and not again for each request
        world.now += RETRY_S
        assert await world.keys.to_seal("main") is first
        assert len(world.kek.calls) == 3
        world.now += LIMITS.seal_ttl_s
        with pytest.raises(UnavailableError):
            await world.keys.to_seal("main")
        world.kek.away = False
        assert (await world.keys.to_seal("main")).key_id != first.key_id

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


def test_an_unwrapped_key_is_forgotten_in_time(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        reader = world.another_process()
        for _ in range(2):
            await reader.to_open(header, MAIN)
        world.now += LIMITS.open_ttl_s - 1
        await reader.to_open(header, MAIN)
        assert world.kek.calls == ["wrap", "unwrap"]
        world.kek.away = True
        world.now += 1
        with pytest.raises(UnavailableError):
            await reader.to_open(header, MAIN)

    run(work)


def test_the_key_that_was_not_asked_for_longest_goes_first(world: World) -> None:
    async def work() -> None:
        headers = [header_of(await world.another_process().to_seal("main")) for _ in range(LIMITS.open_keys + 1)]
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


def test_a_policy_of_another_name_is_refused_without_asking(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        with pytest.raises(RefusedError, match="not configured"):
            await world.another_process().to_open(header, frozenset({"other"}))
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
        with pytest.raises(RefusedError, match="keyring only"):
            await world.another_process().to_open(bare, MAIN)

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

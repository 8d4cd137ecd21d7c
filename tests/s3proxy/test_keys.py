"""When bucket keys are made, used, kept and forgotten: with a clock of the test's own."""

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from s3proxy.keys.bucket_keys import AWAY_S, RENEW_AT, RETRY_S, BucketKeys, KeyLimits
from s3proxy.keys.kek import Cause, FileKek, KeyNotAvailableError
from s3proxy.keys.opened_keys import IN_USE_S
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.openbao.login import LoginRefusedError
from strongroom.sealed.header import Header, Kind, parse_header
from strongroom.sealed.keyring import KeyRecord
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.segment import begin_segment
from strongroom.sealed.wrapping import BucketKey, WrappedKey
from strongroom.secret import Secret

MAIN = frozenset({"main"})
LIMITS = KeyLimits(seal_ttl_s=100, seal_uses=1000, open_ttl_s=50, open_keys=3, grace_s=200)


class CountingKek:
    """A key file whose calls are counted, and that can be away, or refuse."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(base64.b64encode(os.urandom(32)))
        self._kek = FileKek(path)
        self.calls: list[str] = []
        self.called = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.away = False
        self.refusal: StrongroomError | None = None

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
            raise UnavailableError("the KMS is away")
        if self.refusal is not None:
            raise self.refusal


class Guard:
    """Lets everything be sealed, or nothing."""

    def __init__(self) -> None:
        self.refusal: KeyNotAvailableError | None = None
        self.second_thought: KeyNotAvailableError | None = None

    async def require(self, _: str) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def confirm(self, _: str) -> None:
        if self.second_thought is not None:
            raise self.second_thought

    def doubt(self, _: str) -> None:
        pass

    async def replaced(self, _: str) -> KeyNotAvailableError | None:
        return self.refusal


class Records:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes], KeyRecord] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.away = False

    async def find(self, policy: str, key_id: bytes) -> KeyRecord | None:
        return self.kept.get((policy, key_id))

    def where(self, name: str) -> str:
        return f"keyring/{name} in memory"

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        await self.may_answer.wait()
        if self.away:
            raise UnavailableError("the store is away")
        self.kept[policy, key_id] = KeyRecord(policy, key_id, wrapped)


class World:
    """Bucket keys on a clock of their own."""

    def __init__(self, folder: Path, limits: KeyLimits = LIMITS) -> None:
        self.now = 1000.0
        self.kek = CountingKek(folder / "kek")
        self.records = Records()
        self.guard = Guard()
        self.counted: list[str] = []
        self.limits = limits
        self.keys = self.another_process()

    def another_process(self) -> BucketKeys:
        return BucketKeys(
            {"main": self.kek},
            self.limits,
            keyring=self.records,
            guard=self.guard,
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
    """And no request waits for the next one, which is made in the background."""

    async def work() -> None:
        first = await world.keys.to_seal("main")
        world.now += RENEW_AT * LIMITS.seal_ttl_s - 1
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
        world.now += RENEW_AT * LIMITS.seal_ttl_s
        await world.keys.follow()
        world.now += RENEW_AT * LIMITS.seal_ttl_s
        await world.keys.follow()
        assert world.kek.calls.count("wrap") == 2
        assert (await world.keys.to_seal("main")).key_id != first.key_id

    run(work)


def test_a_key_is_replaced_after_its_last_use(tmp_path: Path) -> None:
    world = World(tmp_path, KeyLimits(seal_uses=1, seal_ttl_s=100))

    async def work() -> None:
        ids = [(await world.keys.to_seal("main")).key_id for _ in range(3)]
        assert len(set(ids)) == 3

    run(work)


def test_while_the_kms_is_unreachable_a_spent_key_seals_on_for_the_grace(world: World) -> None:
    async def work() -> None:
        first = await world.keys.to_seal("main")
        world.kek.away = True
        world.now += LIMITS.seal_ttl_s - 1
        await world.keys.follow()
        asked = len(world.kek.calls)
        world.now += 1
        assert await world.keys.to_seal("main") is first
        assert len(world.kek.calls) == asked  # no request waits for what the background knows
        world.now += LIMITS.grace_s - 1
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
        world.now += LIMITS.open_ttl_s  # nobody has looked in between
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
        world.now += LIMITS.open_ttl_s - 1
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
            world.now += LIMITS.open_ttl_s / 2
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
        world.now += LIMITS.open_ttl_s / 2
        await world.keys.follow()
        for work in (lambda: world.keys.to_open(header, MAIN), lambda: world.keys.to_seal("main")):
            with pytest.raises(KeyNotAvailableError, match="revoked"):
                await work()

    run(work)


def test_a_key_whose_version_was_retired_is_forgotten_when_it_is_confirmed(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        world.kek.refusal = KeyNotAvailableError(Cause.RETIRED, "retired", hint="")
        world.now += LIMITS.open_ttl_s / 2
        await world.keys.follow()
        with pytest.raises(KeyNotAvailableError, match="retired"):
            await world.keys.to_open(header, MAIN)

    run(work)


def test_a_refused_login_is_no_outage_and_keeps_nothing_longer(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        world.kek.refusal = LoginRefusedError("refused", hint="", pause_s=1)
        world.now += LIMITS.open_ttl_s - 1
        await world.keys.follow()
        await world.keys.to_open(header, MAIN)  # a locked role is something that others can bring about
        world.now += 1
        with pytest.raises(LoginRefusedError):
            await world.keys.to_open(header, MAIN)
        world.kek.refusal = None
        await world.keys.to_open(header, MAIN)

    run(work)


def test_without_a_cache_nothing_is_kept_for_an_outage(tmp_path: Path) -> None:
    world = World(tmp_path, KeyLimits(seal_ttl_s=0, open_ttl_s=0))

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


def test_an_unwrapped_key_is_forgotten_in_time(world: World) -> None:
    async def work() -> None:
        header = header_of(await world.keys.to_seal("main"))
        reader = world.another_process()
        for _ in range(2):
            await reader.to_open(header, MAIN)
        world.now += LIMITS.open_ttl_s - 1
        await reader.to_open(header, MAIN)
        assert world.kek.calls == ["wrap", "unwrap"]
        world.now += 1
        await reader.to_open(header, MAIN)
        assert world.kek.calls == ["wrap", "unwrap", "unwrap"]
        world.kek.away = True
        world.now += LIMITS.open_ttl_s + LIMITS.grace_s
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

"""Whether a policy's key is the one that its objects were sealed under, by records in memory and key files."""

import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from s3proxy.keys.guard import CHECK_EVERY_S, RETRY_S
from s3proxy.keys.kek import Cause, Kek, KeyNotAvailableError
from s3proxy.keys.keyring import WITNESS_ID
from s3proxy.keys.policies import Mode, Policy, sealing_policies
from s3proxy.keys.rewrap import Rewrapper
from strongroom.errors import UnavailableError
from strongroom.sealed.keyring import record_name
from strongroom.sealed.wrapping import WrappedKey
from strongroom.secret import Secret
from tests.s3proxy.guarded import KEY_ID, MAIN, Refusing, World, refused, run


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_new_policy_gets_a_witness_and_may_seal(world: World) -> None:
    async def work() -> None:
        await world.guard().require("main")
        assert list(world.records) == [record_name("main", WITNESS_ID)]
        await world.guard().require("main")  # and the next process finds that it opens

    run(work)


def test_a_key_that_was_made_anew_since_the_last_look_is_found_out_once_it_has_wrapped(world: World) -> None:
    async def work() -> None:
        guard = world.guard()
        await guard.require("main")
        await guard.confirm("main")
        wrong, right = world.new_kek(), world.kek
        right._kek = wrong._kek  # the same name at the KMS, another key behind it
        await guard.require("main")  # within the time that a look serves for
        with pytest.raises(KeyNotAvailableError) as caught:
            await guard.confirm("main")
        assert caught.value.cause is Cause.OTHER_KEY
        await refused(guard, Cause.OTHER_KEY)

    run(work)


@pytest.mark.parametrize("policy", [MAIN, replace(MAIN, name="new", formerly=("main",))])
def test_no_record_is_replaced_by_what_a_key_has_wrapped_that_was_made_anew_meanwhile(
    world: World, policy: Policy
) -> None:
    class MadeAnew(Refusing):
        """Deleted and made anew behind the trial and the first unwrapping."""

        async def wrap(self, key: Secret, *, policy: str, key_id: bytes) -> WrappedKey:
            if key_id in {KEY_ID, WITNESS_ID}:
                self._kek = wrong._kek
            return await super().wrap(key, policy=policy, key_id=key_id)

    async def rewrap(kek: Kek) -> list[str]:
        guard = world.guard(policy)
        keks = dict.fromkeys(policy.names, kek)
        guard.use([policy], keks)
        report = await Rewrapper(world, keks, guard=guard, dry_run=False).run()
        return sorted(report.failed)

    async def work() -> None:
        await world.seal(keep=True)
        await world.guard().require("main")
        before = dict(world.records)
        unlucky = MadeAnew(world.kek._kek)
        unlucky.version = world.kek.version = 2
        assert await rewrap(unlucky) == sorted(before)
        assert world.records == before  # so that all of them open when the right key is restored
        assert await rewrap(world.kek) == []
        assert {record.wrapped.version for record in world.records.values()} == {2}

    wrong = world.new_kek()
    run(work)


def test_entries_of_one_policy_are_one_where_its_key_is_looked_after(world: World) -> None:
    async def work() -> None:
        guard = world.guard()
        entries = [MAIN, replace(MAIN, buckets=("other",)), replace(MAIN, buckets=("open",), mode=Mode.PASSTHROUGH)]
        guard.use(entries, {"main": world.kek})
        await guard.require("main")
        assert guard.names == ["main"]
        assert sealing_policies(entries)["main"].buckets == (*MAIN.buckets, "other")

    run(work)


def test_nothing_is_sealed_under_a_key_that_was_lost_and_made_anew(world: World) -> None:
    async def work() -> None:
        await world.guard().require("main")
        lost, world.kek = world.kek, world.new_kek()
        before = dict(world.records)
        guard = world.guard()
        error = await refused(guard, Cause.OTHER_KEY)
        assert "restore the key" in error.hint
        assert world.records == before  # the witness of the right key is not replaced
        assert await guard.replaced("main") is not None
        world.kek = lost
        await world.guard().require("main")

    run(work)


def test_who_only_reads_is_told_of_another_key_and_writes_no_witness(world: World) -> None:
    async def work() -> None:
        await world.seal(keep=True)
        before = dict(world.records)
        assert await world.guard().replaced("main") is None
        assert world.records == before
        world.kek = world.new_kek()
        replaced = await world.guard().replaced("main")
        assert replaced is not None
        assert replaced.cause is Cause.OTHER_KEY
        assert world.records == before

    run(work)


def test_records_tell_the_right_key_where_there_is_no_witness_yet(world: World) -> None:
    async def work() -> None:
        await world.seal(keep=True)
        right, world.kek = world.kek, world.new_kek()
        await refused(world.guard(), Cause.OTHER_KEY)
        world.kek = right
        await world.guard().require("main")
        assert record_name("main", WITNESS_ID) in world.records

    run(work)


def test_a_record_of_the_wrong_key_does_not_outweigh_the_witness(world: World) -> None:
    """An older proxy, which knew no witness, may have sealed under the key that was made anew."""

    async def work() -> None:
        await world.guard().require("main")
        world.kek = world.new_kek()
        await world.seal(keep=True)
        await refused(world.guard(), Cause.OTHER_KEY)

    run(work)


def test_the_witness_is_of_the_newest_version_so_an_older_state_of_the_key_is_noticed(world: World) -> None:
    async def work() -> None:
        await world.guard().require("main")
        witness = record_name("main", WITNESS_ID)
        world.kek.version = 2
        await world.guard().require("main")
        assert world.records[witness].wrapped.version == 2
        world.kek.unwraps = KeyNotAvailableError(Cause.TOO_NEW, "no version 2", hint="")
        await refused(world.guard(), Cause.OTHER_KEY)

    run(work)


def test_a_refusal_that_is_kept_keeps_nothing_of_the_requests_that_it_was_told(world: World) -> None:
    guard = world.guard()

    async def request(told: list[int]) -> None:
        with pytest.raises(UnavailableError) as caught:
            await guard.require("main")
        told.append(len(list(traceback.walk_tb(caught.value.__traceback__))))

    async def work() -> None:
        world.looks = UnavailableError("the store is away")
        told: list[int] = []
        for _ in range(5):
            await request(told)
            world.now += RETRY_S
        assert told == told[:1] * 5

    run(work)


def test_only_a_policy_that_nothing_was_sealed_under_is_told_to_make_its_key(world: World) -> None:
    async def work() -> None:
        gone = KeyNotAvailableError(Cause.GONE, "no such key", hint="restore it", when_new="make it")
        world.kek.wraps = gone
        assert (await refused(world.guard(), Cause.GONE)).hint == "make it"
        world.kek.wraps = None
        await world.seal(keep=True)
        world.kek.wraps = world.kek.unwraps = gone
        assert (await refused(world.guard(), Cause.GONE)).hint == "restore it"
        world.records.clear()  # and the keyring is lost with it: an object tells
        assert (await refused(world.guard(), Cause.GONE)).hint == "restore it"

    run(work)


def test_a_version_that_was_retired_too_early_is_noted_and_stops_nothing(world: World) -> None:
    """It is of the right key, and opens again when it is let."""

    async def work() -> None:
        await world.guard().require("main")
        world.kek.unwraps = KeyNotAvailableError(Cause.RETIRED, "version 1 is retired", hint="")
        guard = world.guard()
        await guard.require("main")
        assert "version 1 is retired" in guard.states["main"].detail

    run(work)


def test_a_revoked_key_is_told_at_once_and_only_then(world: World) -> None:
    async def work() -> None:
        guard = world.guard()
        await guard.check()
        world.kek.unwraps = UnavailableError("away")
        world.now += CHECK_EVERY_S
        await guard.check()
        assert guard.states["main"].is_well  # an outage says nothing about a key
        assert world.revoked == []
        world.kek.unwraps = KeyNotAvailableError(Cause.FORBIDDEN, "forbidden", hint="grant it")
        world.now += CHECK_EVERY_S
        await guard.check()
        assert world.revoked == ["main"]
        assert guard.states["main"].detail == "forbidden"
        world.kek.unwraps = None
        await refused(guard, Cause.FORBIDDEN)
        world.now += RETRY_S
        await guard.require("main")  # who seals is served soon after it was put right

    run(work)


def test_the_keyring_of_a_former_name_must_open_too(world: World) -> None:
    async def work() -> None:
        await world.seal("old", keep=True)
        renamed = Policy(name="main", kek="file", buckets=("*",), formerly=("old",))
        await world.guard(renamed).require("main")
        world.kek = world.new_kek()
        world.records.pop(record_name("main", WITNESS_ID))
        await refused(world.guard(renamed), Cause.OTHER_KEY)

    run(work)


def test_a_policy_that_passes_through_needs_no_key(world: World) -> None:
    async def work() -> None:
        guard = world.guard(Policy(name="main", kek="file", buckets=("*",), mode=Mode.PASSTHROUGH))
        await guard.check()
        assert guard.names == []
        assert world.records == {}

    run(work)

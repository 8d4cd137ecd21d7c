"""A keyring that is lost, whole or in part, is noticed and told of, and stops nothing."""

from pathlib import Path

import pytest

from s3proxy.keys.evidence import Evidence
from s3proxy.keys.guard import CHECK_EVERY_S
from s3proxy.keys.kek import Cause, KeyNotAvailableError
from s3proxy.keys.keyring import WITNESS_ID
from s3proxy.keys.lost_records import EVERY_S, REFUSED_EVERY_S, STILL_LOST_EVERY_S, LostRecords
from s3proxy.keys.policies import Policy
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.sealed.keyring import record_name
from strongroom.secret import Secret
from tests.s3proxy.guarded import KEY_ID, MAIN, World, refused, run


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_object_tells_the_right_key_where_the_keyring_is_lost(world: World) -> None:
    async def work() -> None:
        await world.seal(keep=False)
        right, world.kek = world.kek, world.new_kek()
        error = await refused(world.guard(), Cause.OTHER_KEY)
        assert "bucket/object" in error.message
        assert world.records == {}
        world.kek = right
        guard = world.guard()
        await guard.require("main")
        assert "no record of main, under which bucket/object is sealed" in guard.states["main"].detail

    run(work)


def test_a_keyring_that_was_begun_anew_is_told_lost_by_each_process_until_its_records_are_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def missing(process: LostRecords) -> bool:
        await process.follow([MAIN])
        return "no record of main, under which bucket/object is sealed" in process.reasons.get("main", "")

    def told() -> int:
        return sum(record.getMessage() == "keyring_lost" for record in caplog.records)

    async def work() -> None:
        evidence = Evidence(world, world.Samples(world))
        running, later = (LostRecords(evidence, clock=lambda: world.now) for _ in range(2))
        assert not await missing(running)
        await world.seal(keep=False)  # the keyring was lost, and something was sealed before anybody looked
        await world.keep(
            "main", WITNESS_ID, (await world.kek.wrap(Secret(bytes(32)), policy="main", key_id=WITNESS_ID))
        )
        assert not await missing(running)  # which looks once in a while
        world.now += EVERY_S
        for count, process in enumerate([running, later], start=1):
            assert await missing(process)
            for failure in (StrongroomError("Access Denied"), UnavailableError("the store is away"), None):
                world.now += REFUSED_EVERY_S
                world.looks = failure
                assert await missing(process)  # what was known stays so
            assert told() == count
        await world.seal(keep=True)
        world.now += STILL_LOST_EVERY_S
        assert not await missing(running)
        assert not await missing(later)
        assert told() == 2

    run(work)


def test_a_record_that_is_damaged_is_lost(world: World) -> None:
    async def work() -> None:
        await world.seal(keep=True)
        lost = LostRecords(Evidence(world, world.Samples(world)), clock=lambda: world.now)
        await lost.follow([MAIN])
        assert lost.reasons == {}
        record = record_name("main", KEY_ID)
        world.damaged.add(record)
        world.now += EVERY_S
        await lost.follow([MAIN])
        assert lost.reasons["main"].endswith(
            f"under which bucket/object is sealed: keyring/{record} is missing or damaged"
        )

    run(work)


def test_a_keyring_that_is_found_empty_is_looked_at_at_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        lost = LostRecords(Evidence(world, world.Samples(world)), clock=lambda: world.now)
        guard = world.guard(on_lost=lost.doubt)
        await guard.require("main")
        await lost.follow([MAIN])
        world.records.clear()
        await world.seal(keep=False)
        world.now += CHECK_EVERY_S
        await guard.check()
        await lost.follow([MAIN])
        assert "bucket/object" in lost.reasons["main"]
        assert [record.getMessage() for record in caplog.records].count("keyring_lost") == 1
        await lost.follow([])
        assert lost.reasons == {}  # it was taken out of the policy file

    run(work)


def test_a_keyring_that_is_begun_anew_while_it_is_being_removed_is_told_lost_soon(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever removes it record by record may have got no farther than the witness when the guard looks."""

    async def work() -> None:
        lost = LostRecords(Evidence(world, world.Samples(world)), clock=lambda: world.now)
        guard = world.guard(on_lost=lost.doubt)
        await guard.require("main")
        await world.seal(keep=True)
        await lost.follow([MAIN])
        del world.records[record_name("main", WITNESS_ID)]
        world.now += CHECK_EVERY_S
        await guard.check()
        assert record_name("main", WITNESS_ID) in world.records
        await lost.follow([MAIN])
        assert lost.reasons == {}
        del world.records[record_name("main", KEY_ID)]
        world.now += STILL_LOST_EVERY_S
        await guard.check()
        await lost.follow([MAIN])
        assert "bucket/object" in lost.reasons["main"]
        assert [record.getMessage() for record in caplog.records].count("keyring_lost") == 1

    run(work)


def test_a_doubt_that_comes_while_objects_are_looked_at_is_not_forgotten(world: World) -> None:
    class Slow:
        """Finds nothing missing, and meanwhile the guard finds the keyring empty."""

        async def unrecorded(self, policy: Policy) -> KeyNotAvailableError | None:
            found = await Evidence(world, world.Samples(world)).unrecorded(policy)
            if not is_doubted:
                is_doubted.append(True)
                world.records.clear()
                lost.doubt(policy.name)
            return found

    is_doubted: list[bool] = []
    lost = LostRecords(Slow(), clock=lambda: world.now)

    async def work() -> None:
        await world.seal(keep=True)
        await lost.follow([MAIN])
        assert lost.reasons == {}
        world.now += STILL_LOST_EVERY_S
        await lost.follow([MAIN])
        assert "bucket/object" in lost.reasons["main"]
        await world.seal(keep=True)
        world.now += STILL_LOST_EVERY_S
        await lost.follow([MAIN])
        assert lost.reasons == {}

    run(work)


def test_a_store_that_shows_no_objects_stops_no_policy_and_that_is_noted(world: World) -> None:
    async def work() -> None:
        world.looks = StrongroomError("Access Denied")
        guard = world.guard()
        await guard.require("main")
        assert "not known" in guard.states["main"].detail

    run(work)


def test_a_store_that_is_away_makes_no_policy_new(world: World) -> None:
    async def work() -> None:
        world.looks = UnavailableError("the store is away")
        with pytest.raises(UnavailableError):
            await world.guard().require("main")
        assert world.records == {}

    run(work)

"""The drills of docs/recovery.md that are about keys: what is to be seen is seen, and the cure leaves nothing lost."""

from collections.abc import Iterator

import pytest

from tests.recovery.stand import Stand, stand

pytestmark = [pytest.mark.early, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with stand(tmp_path_factory.mktemp("recovery")) as running:
        yield running


def test_a_transit_key_that_was_deleted_comes_back_with_the_snapshot(world: Stand) -> None:
    world.drill("The transit key is gone")


def test_a_transit_key_that_was_made_anew_gives_way_to_the_right_one(world: Stand) -> None:
    world.drill("The transit key is another one")


def test_a_keyring_that_was_lost_is_restored(world: Stand) -> None:
    world.drill("The keyring is lost, and there is a backup")


def test_a_keyring_without_a_backup_is_made_anew_while_the_objects_open(world: Stand) -> None:
    world.drill("The keyring is lost, and there is no backup")


def test_an_openbao_of_before_a_rotation_gives_way_to_a_newer_snapshot(world: Stand) -> None:
    world.drill("OpenBao was restored from an older snapshot")


def test_a_system_bucket_that_was_lost_is_made_anew(world: Stand) -> None:
    world.drill("The system bucket is lost")


def test_a_version_that_was_retired_too_early_is_brought_back(world: Stand) -> None:
    world.drill("A version of the key was retired too early")


def test_a_policy_that_was_renamed_reads_by_its_former_name(world: Stand) -> None:
    world.drill("A policy was renamed")  # the last one here: the new name stays

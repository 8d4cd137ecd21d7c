import pytest

from strongroom import errors
from strongroom.errors import StrongroomError, UnavailableError
from wrapper import exit_status
from wrapper.exit_status import status_of
from wrapper.settings import SETTINGS
from wrapper.usage import plan_help, run_help

KINDS: list[type[StrongroomError]] = [
    kind
    for module in (errors, exit_status)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, StrongroomError) and kind is not StrongroomError
]
STATUSES = {name: value for name, value in vars(exit_status).items() if name.isupper() and isinstance(value, int)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status_of_its_own_and_none_that_means_success_or_anything(
    kind: type[StrongroomError],
) -> None:
    assert status_of(kind("x")) not in {0, 1, 2}


def test_busy_is_told_apart_from_unreachable() -> None:
    assert status_of(UnavailableError("x")) == exit_status.UNAVAILABLE != exit_status.UNREACHABLE


def test_an_error_of_a_later_version_is_a_failure() -> None:
    class LaterError(StrongroomError):
        """Not in the table."""

    assert status_of(LaterError("x")) == 1


def test_statuses_are_different_and_cannot_be_mistaken_for_signals() -> None:
    assert len(set(STATUSES.values())) == len(STATUSES)
    assert [value for value in STATUSES.values() if value > 128] == []


def test_the_help_of_run_lists_every_status_and_every_setting() -> None:
    text = run_help()

    assert [name for name, value in STATUSES.items() if name != "SIGNALLED" and f"\n  {value} " not in text] == []
    assert [setting.name for setting in SETTINGS if setting.flag not in text or setting.variable not in text] == []


def test_the_help_of_plan_lists_every_setting() -> None:
    assert [setting.name for setting in SETTINGS if setting.variable not in plan_help()] == []

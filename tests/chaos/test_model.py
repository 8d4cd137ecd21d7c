"""What the model takes for possible: it must neither miss a loss nor take a late write for one."""

import time

import pytest

from tests.chaos.model import LATE_S, Model, ViolationError

KEY = "a"


def write(names: Model, content: bytes, *, once: bool = True) -> None:
    names.begin(KEY, content)
    names.acknowledge(KEY, once=once)


def test_what_was_acknowledged_at_once_is_all_there_can_be() -> None:
    names = Model()
    write(names, b"old")
    write(names, b"new")
    names.require(KEY, b"new")
    for lost in (b"old", None, b""):
        with pytest.raises(ViolationError):
            names.require(KEY, lost)


@pytest.mark.parametrize("heard", [True, False])
def test_a_write_of_which_more_may_be_on_its_way_may_come_after_a_newer_one(
    *, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Model()
    write(names, b"first")
    names.begin(KEY, b"late")
    if heard:
        names.acknowledge(KEY, once=False)
    write(names, b"new")
    names.require(KEY, b"new")
    names.require(KEY, b"late")
    with pytest.raises(ViolationError):
        names.require(KEY, b"first")

    later = time.monotonic() + LATE_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    write(names, b"newest")
    with pytest.raises(ViolationError):
        names.require(KEY, b"late")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.fetch.retry import BUSY, NOT_UP, RetryPolicy

DICE = st.floats(0, 1)


def policy(
    *, timeout_s: float = 30, wait_s: float = 10, retries: int = 4, dice: float = 1.0, now: float = 0
) -> RetryPolicy:
    return RetryPolicy(now=now, timeout_s=timeout_s, wait_s=wait_s, retries=retries, random=lambda: dice)


def schedule(policy: RetryPolicy, kind: str, *, now: float = 0, limit: int = 100_000) -> list[float]:
    """The pauses of attempts that fail at once."""
    pauses: list[float] = []
    while (pause := policy.pause(kind, now)) is not None and len(pauses) < limit:
        pauses.append(pause)
        now += pause
    return pauses


@given(st.integers(0, 50))
def test_a_busy_bridge_is_asked_again_as_often_as_set(retries: int) -> None:
    assert len(schedule(policy(timeout_s=86_400, retries=retries), BUSY)) == retries


def test_pauses_double_from_50_ms_to_2_s() -> None:
    pauses = schedule(policy(retries=9, timeout_s=100), BUSY)

    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2])


def test_the_dice_cut_a_pause_by_half_at_most() -> None:
    assert schedule(policy(retries=3, dice=0), BUSY) == pytest.approx([0.025, 0.05, 0.1])


@given(
    now=st.floats(0, 1e6),
    timeout_s=st.floats(0, 86_400),
    wait_s=st.floats(0, 100),
    dice=DICE,
    kind=st.sampled_from([BUSY, NOT_UP]),
)
def test_no_pause_reaches_the_deadline(now: float, timeout_s: float, wait_s: float, dice: float, kind: str) -> None:
    pauses = schedule(policy(timeout_s=timeout_s, wait_s=wait_s, dice=dice, retries=100, now=now), kind, now=now)

    assert sum(pauses) <= timeout_s + 1e-6
    assert all(pause > 0 for pause in pauses)


@given(wait_s=st.floats(0, 100), dice=DICE)
def test_a_bridge_that_is_not_up_is_waited_for_by_the_clock(wait_s: float, dice: float) -> None:
    waited = sum(schedule(policy(timeout_s=86_400, wait_s=wait_s, dice=dice, retries=0), NOT_UP))

    # Up to the very end, and past it by no more than the shortest pause.
    assert wait_s - 1e-6 <= waited <= wait_s + 0.05 + 1e-6


def test_a_wait_of_zero_does_not_wait() -> None:
    assert policy(wait_s=0).pause(NOT_UP, 0) is None


def test_a_long_wait_keeps_to_the_longest_pause() -> None:
    pauses = schedule(policy(timeout_s=86_400, wait_s=86_400), NOT_UP)

    assert len(pauses) > 40_000
    assert max(pauses) == 2


@given(at_least_s=st.floats(0, 60), dice=DICE)
def test_what_the_bridge_asks_for_is_a_lower_bound(at_least_s: float, dice: float) -> None:
    pause = policy(timeout_s=100, dice=dice).pause(BUSY, 0, at_least_s)

    assert pause is not None
    assert pause >= at_least_s
    assert pause <= max(at_least_s, 0.05)


def test_a_bridge_that_asks_for_more_than_is_left_is_not_waited_for() -> None:
    assert policy(timeout_s=30).pause(BUSY, 0, 30) is None


def test_waiting_for_the_bridge_does_not_use_up_the_retries() -> None:
    launch = policy(retries=1)
    for _ in range(5):
        assert launch.pause(NOT_UP, 0) is not None

    assert launch.pause(BUSY, 0) is not None
    assert launch.pause(BUSY, 0) is None


def test_what_remains_is_counted_from_the_start() -> None:
    assert policy(timeout_s=30, now=100).remaining(110) == 20

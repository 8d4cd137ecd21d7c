"""When the drift gate shuts: on regressions, not on noise."""

import datetime as dt
import random

import pytest

from bench.gate import Verdict, compare, parse_waivers
from bench.result import Better, Claim, Result
from strongroom.errors import ConfigError
from tests.bench.runs import count, noisy_ratio, result

TODAY = dt.date(2026, 6, 1)
RUNS = 200


def verdict(before: Claim, after: Claim) -> Verdict:
    (change,) = compare(result(before), result(after), today=TODAY)
    return change.verdict


def simulated(slower: float) -> int:
    """Return how many of RUNS comparisons of two runs shut the gate."""
    source = random.Random(42)  # noqa: S311 - simulated noise
    return sum(
        compare(result(noisy_ratio(source)), result(noisy_ratio(source, slower=slower)), today=TODAY)[0].fails
        for _ in range(RUNS)
    )


def test_noise_alone_shuts_the_gate_in_less_than_one_of_a_hundred_runs() -> None:
    assert simulated(1.0) < RUNS * 0.01


def test_a_regression_by_three_quarters_shuts_the_gate_nearly_always() -> None:
    assert simulated(1.75) > RUNS * 0.95


@pytest.mark.parametrize(
    ("before", "after", "better", "expected"),
    [
        (100, 111, "lower", Verdict.REGRESSED),
        (100, 110, "lower", Verdict.STEADY),
        (100, 100, "lower", Verdict.STEADY),
        (100, 80, "lower", Verdict.BETTER),
        (0, 1, "lower", Verdict.REGRESSED),
        (100, 90, "higher", Verdict.REGRESSED),
        (100, 91, "higher", Verdict.STEADY),
        (100, 120, "higher", Verdict.BETTER),
    ],
)
def test_counts_may_move_by_their_noise(before: float, after: float, better: Better, expected: Verdict) -> None:
    assert verdict(count("made-up/n", before, better=better), count("made-up/n", after, better=better)) is expected


def test_a_claim_that_a_suite_no_longer_makes_has_regressed() -> None:
    (change,) = compare(result(count("made-up/n", 1)), result(), today=TODAY)

    assert change.verdict is Verdict.MISSING
    assert change.fails


def test_suites_that_were_not_run_are_passed_over() -> None:
    assert compare(result(count("made-up/n", 1)), result(suites=["other"]), today=TODAY) == []


def test_claims_without_noise_are_not_gated() -> None:
    assert compare(result(count("made-up/n", 1, noise=None)), result(), today=TODAY) == []


def test_only_the_units_that_are_asked_for_are_looked_at() -> None:
    assert compare(result(count("made-up/n", 1)), result(), today=TODAY, units=frozenset({"ratio"})) == []


@pytest.mark.parametrize(("until", "expected"), [("2026-06-01", Verdict.WAIVED), ("2026-05-31", Verdict.REGRESSED)])
def test_a_waiver_holds_until_its_last_day(until: str, expected: Verdict) -> None:
    waivers = parse_waivers(f'[[waiver]]\nclaim = "made-up/n"\nreason = "worth it"\nuntil = {until}\n', "w.toml")

    (change,) = compare(result(count("made-up/n", 1)), result(count("made-up/n", 2)), waivers=waivers, today=TODAY)

    assert change.verdict is expected


@pytest.mark.parametrize(
    "text",
    [
        '[[waiver]]\nclaim = "made-up/n"\nuntil = 2026-06-01\n',
        '[[waiver]]\nclaim = "made-up/n"\nreason = " "\nuntil = 2026-06-01\n',
        '[[waiver]]\nclaim = "made-up/n"\nreason = "r"\nuntil = "2026-06-01"\n',
        '[[waiver]]\nclaim = "made-up/m"\nreason = "r"\nuntil = 2026-06-01\n',
        "[waivers]\n",
        "[[waiver",
    ],
)
def test_waivers_with_a_slip_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"w\.toml"):
        parse_waivers(text, "w.toml", {"made-up/n": None})


def test_improvements_do_not_shut_the_gate() -> None:
    baseline: Result = result(count("made-up/n", 100))

    assert not any(change.fails for change in compare(baseline, result(count("made-up/n", 10)), today=TODAY))

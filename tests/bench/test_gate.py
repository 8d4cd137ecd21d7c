"""When the drift gate shuts: on regressions, not on noise."""

import datetime as dt
import random
from collections import Counter
from collections.abc import Mapping

import pytest

from bench.gate import Verdict, compare, parse_waivers
from bench.result import Better, Claim, Result
from bench.samples import Estimate
from strongroom.errors import ConfigError
from tests.bench.runs import Pair, claim_of, count, restless_run, result

TODAY = dt.date(2026, 6, 1)
RUNS = 200


def verdict(before: Claim, after: Claim) -> Verdict:
    (change,) = compare(result(before), result(after), today=TODAY)
    return change.verdict


def failing(before: Mapping[str, Pair], after: Mapping[str, Pair]) -> list[str]:
    """Return the claims that shut the gate between two runs.

    Intervals are drawn only where a value is worse by more than the noise: elsewhere they cannot matter, and take long.
    """
    moved = [name for name in before if middle(after[name]) > middle(before[name]) * 1.25]
    old, new = (result(*(claim_of(name, run[name], noise=0.25) for name in moved)) for run in (before, after))
    return [change.before.name for change in compare(old, new, today=TODAY) if change.fails]


def middle(pair: Pair) -> float:
    return pair[0].percentile(50) / pair[1].percentile(50)


def test_noise_alone_shuts_the_gate_in_less_than_one_of_a_hundred_runs() -> None:
    source = random.Random(42)  # noqa: S311 - simulated noise
    before, shut = restless_run(source), 0
    for _ in range(RUNS):
        after = restless_run(source)
        shut += bool(failing(before, after))
        before = after

    assert shut < RUNS * 0.01


def test_regressions_shut_the_gate_nearly_always_and_alone() -> None:
    source, runs = random.Random(7), 20  # noqa: S311 - simulated noise
    slower = {
        "made-up/0/0": 1.5,
        "made-up/8/0": 1.5,
        "made-up/6/0": 2.5,
    }  # requests, calls; launches vary more
    pairs = [(restless_run(source), restless_run(source, slower=slower)) for _ in range(runs)]

    found = Counter(name for pair in pairs for name in failing(*pair))

    assert set(found) == set(slower)
    assert min(found.values()) >= runs * 0.95


def test_a_ratio_of_few_rounds_is_not_judged() -> None:
    few, enough = (Estimate(1.0, 0.9, 1.1, rounds) for rounds in (9, 10))
    worse = Estimate(9.0, 8.9, 9.1, 10)
    claims = [
        Claim(name="made-up/a:b", value=it, unit="ratio", better="lower", noise=0.2) for it in (few, enough, worse)
    ]

    assert verdict(claims[0], claims[2]) is Verdict.TOO_FEW
    assert verdict(claims[1], claims[2]) is Verdict.REGRESSED
    assert verdict(claims[1], claims[0]) is Verdict.TOO_FEW


def test_points_that_are_no_counts_are_not_judged() -> None:
    before, after = (
        Claim(name="made-up/exponent", value=Estimate(value), unit="exponent", better="lower", noise=0.2)
        for value in (1.0, 9.0)
    )

    assert verdict(before, after) is Verdict.TOO_FEW


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


def test_a_claim_of_a_suite_that_broke_off_is_missing() -> None:
    broken = result(suites=[])
    broken.asked = ["made-up"]

    (change,) = compare(result(count("made-up/n", 1)), broken, today=TODAY)

    assert change.verdict is Verdict.MISSING


def test_suites_that_were_not_asked_for_are_passed_over() -> None:
    assert compare(result(count("made-up/n", 1)), result(suites=["other"]), today=TODAY) == []


@pytest.mark.parametrize(
    ("claim", "contender", "expected"),
    [
        ("made-up/10 secrets/dotenvx:strongroom", "dotenvx", Verdict.LEFT_OUT),
        ("made-up/hit/strongroom on musl", "musl", Verdict.LEFT_OUT),
        ("made-up/10 secrets/bao agent:strongroom", "bao agent", Verdict.LEFT_OUT),
        ("made-up/10 secrets/bao agent:strongroom", "bao", Verdict.LEFT_OUT),
        ("made-up/hit/musl-like:glibc", "musl", Verdict.MISSING),
        ("made-up/10 secrets/sops:strongroom", "dotenvx", Verdict.MISSING),
    ],
)
def test_only_claims_of_contenders_that_were_left_out_may_be_missing(
    claim: str, contender: str, expected: Verdict
) -> None:
    new = result()
    new.left_out = [contender]

    (change,) = compare(result(count(claim, 1)), new, today=TODAY)

    assert change.verdict is expected
    assert change.fails is (expected is Verdict.MISSING)


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
        '[[waiver]]\nclaim = "made-up/n"\nreason = "r"\nuntil = 2026-06-01T00:00:00\n',
        '[[waiver]]\nclaim = ["made-up/n"]\nreason = "r"\nuntil = 2026-06-01\n',
        '[[waiver]]\nclaim = "made-up/m"\nreason = "r"\nuntil = 2026-06-01\n',
        '[waiver]\nclaim = "made-up/m"\n',
        "waiver = 3\n",
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

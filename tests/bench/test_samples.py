"""Percentiles, intervals and paired ratios, against what is known of the samples."""

import math
import random

import pytest

from bench.samples import Estimate, Series, combine, ratio


def ends(found: Estimate) -> tuple[float, float]:
    assert found.interval is not None
    return found.interval


def test_percentiles_have_that_share_of_the_samples_below_them() -> None:
    series = Series([range(1, 51), range(51, 101)])

    assert [series.percentile(rank) for rank in (50, 90, 99, 100)] == [50.5, 90.5, 99.5, 100]


@pytest.mark.parametrize(("samples", "median"), [([1], 1), ([1, 3], 2), ([1, 3, 100], 3), ([1, 3, 5, 100], 4)])
def test_the_median_of_an_even_number_lies_midway(samples: list[float], median: float) -> None:
    assert Series([samples]).percentile(50) == median


def test_a_mean_is_that_of_all_samples_whatever_their_round() -> None:
    found = Series([[1.0, 2.0, 3.0]] + [[10.0]] * 7).mean()

    assert found.value == pytest.approx(7.6)
    low, high = ends(found)
    assert low < 7.6 < high <= 10.0


@pytest.mark.parametrize(("rounds", "is_bounded"), [(1, False), (5, False), (6, True)])
def test_few_rounds_give_no_interval(rounds: int, *, is_bounded: bool) -> None:
    series = Series([[float(number)] for number in range(1, rounds + 1)])

    for found in (series.estimate(50), series.mean(), ratio(series, series)):
        assert (found.interval is not None) == is_bounded
        assert found.rounds == rounds


def test_the_interval_of_a_median_holds_the_true_one_about_as_often_as_it_says() -> None:
    source, held = random.Random(1), 0  # noqa: S311 - simulated noise
    for _ in range(200):
        rounds = [[source.lognormvariate(0, 0.3) for _ in range(5)] for _ in range(20)]
        low, high = ends(Series(rounds).estimate(50))
        held += low <= 1.0 <= high

    assert 180 <= held <= 200


def test_drift_that_hits_both_does_not_widen_their_ratio() -> None:
    drift = [math.exp(math.sin(number / 3)) for number in range(30)]  # the machine is up to 7 times slower at times
    slow, quick = Series([[1.1 * factor] for factor in drift]), Series([[factor] for factor in drift])

    found = ratio(slow, quick)

    assert (found.low, found.value, found.high) == pytest.approx((1.1, 1.1, 1.1))
    low, high = ends(slow.estimate(50))
    assert high / low > 1.5


def test_a_formula_of_several_series_is_bounded_with_them() -> None:
    source = random.Random(2)  # noqa: S311 - simulated noise
    base = [source.uniform(1, 2) for _ in range(40)]
    ours, hop, store = (Series([[value + added] for value in base]) for added in (0.3, 0.2, 0.0))

    added = combine((ours, hop, store), lambda a, b, c: (a - c) / (b - c))

    assert (added.low, added.value, added.high) == pytest.approx((1.5, 1.5, 1.5))


def test_series_that_were_not_measured_together_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="not measured together"):
        ratio(Series([[1.0], [1.0]]), Series([[1.0]]))


@pytest.mark.parametrize("rounds", [[], [[], []], [[1.0, math.nan]], [[math.inf]]])
def test_what_is_no_measurement_is_refused(rounds: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="sample"):
        Series(rounds)

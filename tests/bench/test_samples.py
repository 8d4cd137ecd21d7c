"""Percentiles, intervals and paired ratios, against what is known of the samples."""

import math
import random

import pytest

from bench.samples import Series, combine, growth_exponent, ratio


def test_percentiles_are_samples_with_that_share_below_or_at_them() -> None:
    series = Series([range(1, 51), range(51, 101)])

    assert [series.percentile(rank) for rank in (50, 90, 99, 100)] == [50, 90, 99, 100]


def test_the_interval_of_a_median_holds_the_true_one_about_as_often_as_it_says() -> None:
    source, held = random.Random(1), 0  # noqa: S311 - simulated noise
    for _ in range(200):
        rounds = [[source.lognormvariate(0, 0.3) for _ in range(5)] for _ in range(20)]
        interval = Series(rounds).estimate(50)
        held += interval.low <= 1.0 <= interval.high

    assert 180 <= held <= 200


def test_drift_that_hits_both_does_not_widen_their_ratio() -> None:
    drift = [math.exp(math.sin(number / 3)) for number in range(30)]  # the machine is up to 7 times slower at times
    slow, quick = Series([[1.1 * factor] for factor in drift]), Series([[factor] for factor in drift])

    found = ratio(slow, quick)

    assert (found.low, found.value, found.high) == pytest.approx((1.1, 1.1, 1.1))
    alone = slow.estimate(50)
    assert alone.high / alone.low > 1.5


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


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_growth_is_found_as_it_was_made(exponent: float) -> None:
    points = [(size, 3.0 * size**exponent) for size in (1.0, 10.0, 100.0, 1000.0)]

    found = growth_exponent(points)

    assert found.value == pytest.approx(exponent)
    assert found.high - found.low < 1e-6


def test_one_size_shows_no_growth() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        growth_exponent([(4.0, 1.0), (4.0, 2.0)])

"""Samples in rounds, and what can be said of them: percentiles and paired ratios, each with an interval. Pure.

Two things that are compared are measured in turns, one after the other within each round, so that what drifts (clock
frequency, other tenants, caches) hits both. The samples of one round therefore belong together, and the bootstrap draws
whole rounds, the same ones for both sides of a ratio.
(Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapters 8 and 13: units that depend on each other are
drawn as blocks; percentile intervals.)
"""

import itertools
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

CONFIDENCE: Final = 0.95
DRAWS: Final = 400  # the ends of a 95 % interval then rest on ten draws each
SEED: Final = 20_260  # the same samples give the same interval
PERCENTILES: Final = (50, 90, 99)


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval that holds it with CONFIDENCE."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Estimate":
        """Return it in another unit."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


class Series:
    """The samples of one thing that was measured, by round."""

    def __init__(self, rounds: Sequence[Sequence[float]]) -> None:
        """Take the samples; rounds without any are left out.

        Raises:
            ValueError: there are none at all, or one is not a finite number.
        """
        self.rounds = tuple(tuple(samples) for samples in rounds if samples)
        if not self.rounds:
            msg = "no samples"
            raise ValueError(msg)
        pairs = sorted((value, number) for number, samples in enumerate(self.rounds) for value in samples)
        if not all(math.isfinite(value) for value, _ in pairs):
            msg = "a sample is not a finite number"
            raise ValueError(msg)
        self._sorted = [value for value, _ in pairs]
        self._round_of = [number for _, number in pairs]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._sorted)

    @property
    def values(self) -> Sequence[float]:
        """All samples, in order of size."""
        return self._sorted

    def percentile(self, rank: float) -> float:
        """Return the smallest sample that at least ``rank`` per cent of them do not exceed."""
        return self._quantile([1] * len(self.rounds), rank)

    def estimate(self, rank: float) -> Estimate:
        """Return a percentile with its interval."""
        draws = [self._quantile(weights, rank) for weights in _draws(len(self.rounds))]
        return interval(self.percentile(rank), draws)

    def _quantile(self, weights: Sequence[int], rank: float) -> float:
        """Return a percentile where each round counts as often as its weight says."""
        totals = list(itertools.accumulate([weights[number] for number in self._round_of]))
        return self._sorted[bisect_left(totals, rank / 100 * totals[-1])]


def ratio(above: Series, below: Series, *, rank: float = 50) -> Estimate:
    """Return the ratio of one percentile of two series that were measured in the same rounds.

    Raises:
        ValueError: they do not have the same number of rounds.
    """
    return combine((above, below), lambda a, b: a / b, rank=rank)


def combine(series: Sequence[Series], formula: Callable[..., float], *, rank: float = 50) -> Estimate:
    """Return a formula of one percentile of several series that were measured in the same rounds.

    Args:
        series: the arguments of the formula.
        formula: of their percentiles.
        rank: of the percentile.

    Raises:
        ValueError: they do not have the same number of rounds.
    """
    counts = {len(one.rounds) for one in series}
    if len(counts) != 1:
        msg = f"series with {sorted(counts)} rounds were not measured together"
        raise ValueError(msg)
    value = formula(*(one.percentile(rank) for one in series))
    draws = [formula(*(one._quantile(weights, rank) for one in series)) for weights in _draws(counts.pop())]  # noqa: SLF001 - of this module
    return interval(value, draws)


def interval(value: float, draws: Sequence[float]) -> Estimate:
    """Return a figure with the interval that the middle of the draws spans."""
    ordered = sorted(draws)
    cut = int(len(ordered) * (1 - CONFIDENCE) / 2)
    return Estimate(value, min(value, ordered[cut]), max(value, ordered[-1 - cut]))


def growth_exponent(points: Sequence[tuple[float, float]]) -> Estimate:
    """Fit ``cost = a * size ** k`` by least squares of the logarithms and return k with its standard error as interval.

    Args:
        points: (size, cost), at least two different sizes, all above zero.

    Raises:
        ValueError: there are not two different sizes.
    """
    logs = [(math.log(size), math.log(cost)) for size, cost in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    if spread == 0:
        msg = "a growth needs two sizes"
        raise ValueError(msg)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread
    residue = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in logs)
    error = math.sqrt(residue / (len(logs) - 2) / spread) if len(logs) > 2 else 0.0  # noqa: PLR2004 - a line takes two
    return Estimate(slope, slope - error, slope + error)


def _draws(rounds: int) -> list[list[int]]:
    """Return for each draw how often each round was drawn; the same for the same number of rounds."""
    source = random.Random(SEED)  # noqa: S311 - statistics
    result = []
    for _ in range(DRAWS):
        weights = [0] * rounds
        for number in source.choices(range(rounds), k=rounds):
            weights[number] += 1
        result.append(weights)
    return result

"""Samples in rounds, and what can be said of them: percentiles and paired ratios, each with an interval.

Two things that are compared are measured in turns, one after the other within each round, so that what drifts (clock
frequency, other tenants, caches) hits both. The samples of one round therefore belong together, and the bootstrap draws
whole rounds, the same ones for both sides of a ratio.
(Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapters 8 and 13: units that depend on each other are
drawn as blocks; percentile intervals.) From a handful of rounds the bootstrap cannot say what others would have been
like: below INTERVAL_ROUNDS there is no interval.
"""

import functools
import gc
import itertools
import math
import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

CONFIDENCE: Final = 0.95
DRAWS: Final = 400  # the ends of a 95 % interval then rest on ten draws each
SEED: Final = 20_260  # the same samples give the same interval
PERCENTILES: Final = (50, 90, 99)
INTERVAL_ROUNDS: Final = 6  # for an interval


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval that holds it with CONFIDENCE.

    Attributes:
        value: the figure.
        low: where the interval begins; None where too few rounds were measured for one.
        high: where it ends, likewise.
        rounds: that it rests on; None for a count, whose interval is a point, and where that is not known.
    """

    value: float
    low: float | None = None
    high: float | None = None
    rounds: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where it begins and ends, or None when there is none."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def is_exact(self) -> bool:
        """Whether it is a count."""
        return self.rounds is None and self.low == self.value == self.high


class Series:
    """The samples of one thing that was measured, by round."""

    def __init__(self, rounds: Sequence[Sequence[float]]) -> None:
        """Take the samples; rounds without any are left out.

        Raises:
            ValueError: there are none at all, or one is not a finite number.
        """
        self.rounds = tuple(tuple(samples) for samples in rounds if samples)
        if not self.rounds:
            raise ValueError("no samples")
        pairs = sorted((value, number) for number, samples in enumerate(self.rounds) for value in samples)
        if not all(math.isfinite(value) for value, _ in pairs):
            raise ValueError("a sample is not a finite number")
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
        """Return the sample that ``rank`` per cent of them do not exceed; midway where two samples are equally right.

        (Hyndman, Fan: Sample Quantiles in Statistical Packages, 1996, definition 2.)
        """
        return self._quantile([1] * len(self.rounds), rank)

    def estimate(self, rank: float) -> Estimate:
        """Return a percentile with its interval."""
        return combine((self,), lambda value: value, rank=rank)

    def mean(self) -> Estimate:
        """Return the mean with its interval."""
        sums = [(sum(samples), len(samples)) for samples in self.rounds]

        def weighted(weights: Sequence[int]) -> float:
            pairs = list(zip(weights, sums, strict=True))
            return sum(weight * total for weight, (total, _) in pairs) / sum(weight * n for weight, (_, n) in pairs)

        return _bounded(weighted, len(sums))

    def _quantile(self, weights: Sequence[int], rank: float) -> float:
        """Return a percentile where each round counts as often as its weight says."""
        totals = list(itertools.accumulate([weights[number] for number in self._round_of]))
        share = rank / 100 * totals[-1]
        place = bisect_left(totals, share)
        if totals[place] > share or place + 1 == len(totals):
            return self._sorted[place]
        return (self._sorted[place] + self._sorted[bisect_right(totals, share)]) / 2


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
        raise ValueError(f"series with {sorted(counts)} rounds were not measured together")
    return _bounded(lambda weights: formula(*(one._quantile(weights, rank) for one in series)), counts.pop())  # noqa: SLF001 - of this module


def _bounded(statistic: Callable[[Sequence[int]], float], rounds: int) -> Estimate:
    """Return a statistic of weighted rounds, with the interval that the middle of its draws spans."""
    value = statistic([1] * rounds)
    if rounds < INTERVAL_ROUNDS:
        return Estimate(value, rounds=rounds)
    ordered = sorted(map(statistic, _draws(rounds)))
    cut = int(len(ordered) * (1 - CONFIDENCE) / 2)
    return Estimate(value, min(value, ordered[cut]), max(value, ordered[-1 - cut]), rounds)


@functools.cache
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


Name = TypeVar("Name", bound=str)
Batch = Callable[[], Sequence[float]]


def interleaved(
    contenders: Mapping[Name, Batch], *, rounds: int, warm_up: int = 1, least: int = 2, limit_s: float = float("inf")
) -> dict[Name, Series]:
    """Run each contender once per round, in an order that turns by one each round, and return what they measured.

    Args:
        contenders: each measures a few samples when it is called.
        rounds: that count.
        warm_up: rounds before them that do not.
        least: rounds that are measured however long they take.
        limit_s: no other round begins after this long.
    """
    names = list(contenders)
    samples: dict[Name, list[Sequence[float]]] = {name: [] for name in names}
    begin = time.monotonic()
    for number in range(-warm_up, rounds):
        if number >= least and time.monotonic() - begin > limit_s:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()  # not in the middle of a sample
            measured = contenders[name]()
            if number >= 0:
                samples[name].append(measured)
    return {name: Series(rounds_of) for name, rounds_of in samples.items()}

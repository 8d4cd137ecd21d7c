"""Results made up for tests."""

import random
from collections.abc import Sequence

from bench.result import Better, Claim, Result
from bench.samples import Estimate, Series, ratio


def result(*claims: Claim, suites: Sequence[str] = ("made-up",)) -> Result:
    return Result(
        machine={"processor": "made up"},
        commit="0" * 40,
        started="2026-01-02T03:04:05+00:00",
        quick=True,
        suites=list(suites),
        claims=list(claims),
    )


def count(name: str, value: float, *, noise: float | None = 0.1, better: Better = "lower") -> Claim:
    point = Estimate(value, value, value)
    return Claim(name=name, value=point, unit="instructions", better=better, noise=noise)


def noisy_ratio(source: random.Random, *, slower: float = 1.0, noise: float = 0.25) -> Claim:
    """Return the claim of a run on a restless machine: drift of a factor of three, single samples off by a third."""
    rounds: tuple[list[list[float]], list[list[float]]] = ([], [])
    for _ in range(10):
        drift = source.uniform(1, 3)
        for side, cost in zip(rounds, (1.5 * slower, 1.0), strict=True):
            side.append([cost * drift * source.lognormvariate(0, 0.35) for _ in range(10)])
    value = ratio(Series(rounds[0]), Series(rounds[1]))
    return Claim(name="made-up/ours:theirs", value=value, unit="ratio", better="lower", noise=noise)

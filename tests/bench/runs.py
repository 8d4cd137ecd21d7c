"""Results made up for tests."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Kind:
    """A kind of claims of a full run: how many there are, their rounds and samples, and how single samples vary."""

    claims: int
    rounds: int
    samples: int
    spread: float


# As the suites measure them, but with fewer samples of requests, which vary less, for the sake of time.
FULL_RUN = (
    Kind(claims=8, rounds=40, samples=5, spread=0.2),  # requests for small objects
    Kind(claims=4, rounds=25, samples=5, spread=0.15),  # for objects of 1 MiB
    Kind(claims=4, rounds=12, samples=2, spread=0.1),  # of 16 MiB
    Kind(claims=4, rounds=6, samples=1, spread=0.1),  # of 128 MiB
    Kind(claims=16, rounds=10, samples=1, spread=0.1),  # throughput
    Kind(claims=6, rounds=20, samples=1, spread=0.1),  # workloads
    Kind(claims=27, rounds=15, samples=1, spread=0.1),  # launches
    Kind(claims=6, rounds=8, samples=1, spread=0.1),  # launches with many secrets
    Kind(claims=27, rounds=25, samples=3, spread=0.06),  # calls of getenv()
    Kind(claims=2, rounds=20, samples=5, spread=0.15),  # the bridge
)
Pair = tuple[Series, Series]


def restless_run(source: random.Random, *, slower: Mapping[str, float] | None = None) -> dict[str, Pair]:
    """Return both sides of each ratio of a full run on a restless machine.

    The machine drifts from round to round, by a sixth up and down, which hits both sides; each side is a few per cent
    off for a whole run, as memory happens to be laid out, and for a round; single samples vary, and one in fifty is
    three times as long. Intervals come out half as wide again as those of a full run on two busy cores.

    Args:
        source: of the noise.
        slower: factors of what has regressed, by claim.
    """
    pairs = {}
    for number, kind in enumerate(FULL_RUN):
        for claim in range(kind.claims):
            name = f"made-up/{number}/{claim}"
            costs = [1.5 * (slower or {}).get(name, 1.0), 1.0]
            costs = [cost * source.lognormvariate(0, 0.02) for cost in costs]
            sides: tuple[list[list[float]], list[list[float]]] = ([], [])
            drift = 1.0
            for _ in range(kind.rounds):
                drift = drift**0.8 * source.lognormvariate(0, 0.1)
                for side, cost in zip(sides, costs, strict=True):
                    level = math.log(cost * drift * source.lognormvariate(0, 0.04))
                    samples = [source.lognormvariate(level, kind.spread) for _ in range(kind.samples)]
                    side.append([value * 3 if source.random() < 0.02 else value for value in samples])
            pairs[name] = (Series(sides[0]), Series(sides[1]))
    return pairs


def claim_of(name: str, pair: Pair, *, noise: float = 0.25) -> Claim:
    return Claim(name=name, value=ratio(*pair), unit="ratio", better="lower", noise=noise)

"""What a suite of benchmarks is given, and what it has to be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bench.interleave import Batch, Name, interleaved
from bench.result import Claim, Result
from bench.samples import Estimate, Series

QUICK_LIMIT_S: Final = 4.0  # begin no new round of one comparison after so long
ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of one suite.

    Attributes:
        directory: private, empty, removed afterwards.
        cache: kept between runs, for peers that are installed by the benchmarks.
        quick: whether the run is to take seconds, at the price of wide intervals.
        result: where findings go.
        tell: is told what is being measured and the finished share.
    """

    directory: Path
    cache: Path
    quick: bool
    result: Result
    tell: Callable[[str, float], None]

    def interleaved(self, contenders: Mapping[Name, Batch], *, rounds: int) -> dict[Name, Series]:
        """Measure contenders in turns; in a quick run on a slow machine in fewer rounds than asked for."""
        return interleaved(contenders, rounds=rounds, limit_s=QUICK_LIMIT_S if self.quick else float("inf"))

    def claim(self, claim: Claim) -> None:
        """Add a claim."""
        self.result.claims.append(claim)

    def count(
        self, name: str, value: float, unit: str, *, aim: float | None = None, noise: float | None = None
    ) -> None:
        """Add a count: the fewer the better, without an interval."""
        point = Estimate(value, value, value)
        self.claim(Claim(name=name, value=point, unit=unit, better="lower", aim=aim, noise=noise))


class Suite(Protocol):
    """A module of this package with these members.

    Attributes:
        NAME: on the command line and in results.
        SUMMARY: one line.
    """

    NAME: str
    SUMMARY: str

    def measure(self, run: Run) -> None:
        """Measure, and put what was found into the result of the run.

        Raises:
            StrongroomError: a server does not start or does not do what it must.
        """

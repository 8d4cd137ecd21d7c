"""What a suite of benchmarks is given, and what it has to be."""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bench.result import Better, Claim, Result
from bench.samples import Batch, Estimate, Name, Series, interleaved, ratio
from strongroom.errors import ConfigError, PeerError

QUICK_LIMIT_S: Final = 4.0  # begin no new round of one comparison after this long
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
        deadline: of the monotonic clock; in a quick run, what begins after it gets one round.
    """

    directory: Path
    cache: Path
    quick: bool
    result: Result
    tell: Callable[[str, float], None]
    deadline: float = float("inf")

    def interleaved(self, contenders: Mapping[Name, Batch], *, rounds: int) -> dict[Name, Series]:
        """Measure contenders in turns; in a quick run on a slow machine in fewer rounds than asked for."""
        if not self.quick:
            return interleaved(contenders, rounds=rounds)
        left = self.deadline - time.monotonic()
        return interleaved(contenders, rounds=rounds, least=2 if left > 0 else 1, limit_s=min(QUICK_LIMIT_S, left))

    def claim(self, claim: Claim) -> None:
        """Add a claim."""
        self.result.claims.append(claim)

    def ratio(  # noqa: PLR0913 - what a claim is made of
        self,
        name: str,
        above: Series,
        below: Series,
        *,
        better: Better,
        aim: float | None = None,
        noise: float | None = None,
    ) -> None:
        """Claim the ratio of the medians of two series that were measured in the same rounds."""
        value = ratio(above, below)
        self.claim(Claim(name=name, value=value, unit="ratio", better=better, aim=aim, noise=noise))

    def leave_out(self, contender: str, why: str) -> None:
        """Note that a contender is not measured here; the drift gate then misses none of the claims beside it.

        Args:
            contender: as names of claims have it: ``dotenvx``, ``haproxy``, ``musl``. Never one of ours.
            why: in words.
        """
        self.result.left_out.append(contender)
        self.result.notes.append(f"{contender} is left out: {why}")

    def count(
        self, name: str, value: float, unit: str, *, aim: float | None = None, noise: float | None = None
    ) -> None:
        """Add an exact count, nothing that comes from times: the fewer the better, without an interval."""
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


class FailedError(PeerError):
    """A program or server under measurement failed, so that its figures would mean nothing."""

    usual_hint = "nothing was recorded of it; see that it runs by itself here (make demo), then measure again"


SOURCES = ROOT / "bench" / "src"


def compile_program(name: str, directory: Path, *, compiler: str = "gcc", flags: tuple[str, ...] = ()) -> Path:
    """Compile ``bench/src/NAME.c`` and return the program.

    Args:
        name: of the source, without its ending.
        directory: for the program, which is called ``NAME-COMPILER``.
        compiler: that makes it.
        flags: further ones.

    Raises:
        ConfigError: there is no such compiler.
        FailedError: it does not compile.
    """
    if shutil.which(compiler) is None:
        raise ConfigError(f"{compiler}: not on PATH", hint="make bench installs what the benchmarks need")
    program = directory / f"{name}-{compiler}"
    command = [compiler, "-O2", "-g", "-Wall", "-Wextra", *flags, "-o", str(program), str(SOURCES / f"{name}.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"{name}.c: does not compile: {(done.stderr.splitlines() or ['no reason given'])[0]}")
    return program

"""A command that became slower shuts the gate: from the clock over turns and claim to the verdict."""

import datetime as dt
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.gate import MIN_ROUNDS, Verdict, compare
from bench.result import Result
from bench.suite import Run
from tests.bench.runs import result

SECONDS = 0.2  # far above what starting a program takes on a busy machine


def timed(seconds: float) -> Callable[[], list[float]]:
    def launch() -> list[float]:
        begin = time.perf_counter()
        subprocess.run(["sleep", str(seconds)], check=True)
        return [time.perf_counter() - begin]

    return launch


def measured(directory: Path, ours_s: float) -> Result:
    run = Run(directory=directory, cache=directory, quick=False, result=result(), tell=lambda *_: None)
    series = run.interleaved({"ours": timed(ours_s), "theirs": timed(SECONDS)}, rounds=MIN_ROUNDS + 2)
    run.ratio("made-up/ours:theirs", series["ours"], series["theirs"], better="lower", noise=0.3)
    return run.result


def test_a_command_that_takes_twice_as_long_has_regressed_and_one_that_does_not_has_not(tmp_path: Path) -> None:
    baseline, same, slower = (measured(tmp_path, seconds) for seconds in (SECONDS, SECONDS, 2 * SECONDS))
    today = dt.datetime.now(dt.UTC).date()

    (steady,), (regressed,) = (compare(baseline, new, today=today) for new in (same, slower))

    assert steady.verdict is Verdict.STEADY
    assert regressed.verdict is Verdict.REGRESSED

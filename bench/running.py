"""Running suites one after the other, and writing what they found: after each of them, so that nothing is lost."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from bench.report import write_report
from bench.result import Result
from bench.suite import ROOT, Run, Suite
from strongroom.errors import ConfigError, StrongroomError
from strongroom.terminal import say
from wrapper.exit_status import report as report_error

HISTORY: Final = ROOT / "bench" / "history.jsonl"
CACHE: Final = Path.home() / ".cache" / "strongroom-bench"
STOPPED: Final = 130  # as shells say of a program that Ctrl-C ended
QUICK_S: Final = 130  # for the suites of a quick run; then each comparison gets one round
_SHARES: Final = {"per-object": 3, "pod-start": 2, "getenv": 2, "scale": 2}  # of that time; others take one


_BAR: Final = 24


class Progress:
    """Tells on a stream how far things are: a progress bar on a terminal, a line per step elsewhere."""

    def __init__(self, stream: TextIO, suites: int) -> None:
        """Take the stream and the number of suites to come."""
        self._stream = stream
        self._terminal = stream.isatty()
        self._suites = suites
        self._done = -1
        self._last = ""
        self._begin = time.monotonic()

    def suite(self, name: str) -> None:
        """Say that a suite begins."""
        self._done += 1
        self._last = ""
        self.tell(name, 0.0)

    def tell(self, what: str, share: float) -> None:
        """Say what is measured now, and the share of its suite that is finished."""
        if self._terminal:
            total = min(1.0, (self._done + share) / self._suites)
            bar = ("█" * round(total * _BAR)).ljust(_BAR, "░")
            elapsed = int(time.monotonic() - self._begin)
            line = f"{bar} {total:4.0%} {elapsed // 60}:{elapsed % 60:02} {what}"
            self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
            self._stream.flush()
        elif what != self._last:
            self._stream.write(f"[{self._done + 1}/{self._suites}] {what}\n")
            self._stream.flush()
        self._last = what

    def end(self) -> None:
        """Leave the line as it was."""
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def measure(suites: Sequence[Suite], result: Result, directory: Path) -> int:
    """Run suites, and write what was found after each of them; one that fails is told and noted, the others go on.

    Returns:
        0; 1 when a suite failed; STOPPED when somebody stopped the run, whose finished suites are kept.

    Raises:
        ConfigError: nothing can be written.
    """
    progress, status, begin = Progress(sys.stderr, len(suites)), 0, time.monotonic()
    left = sum(_SHARES.get(suite.NAME, 1) for suite in suites)
    for suite in suites:
        progress.suite(suite.NAME)
        now, share = time.monotonic(), _SHARES.get(suite.NAME, 1)
        deadline = now + (begin + QUICK_S - now) * share / left  # what one suite leaves over, later ones have
        left -= share
        error = _measure_one(suite, result, progress, deadline)
        if error is None:
            result.suites.append(suite.NAME)
        else:
            progress.end()
            status = STOPPED if isinstance(error, KeyboardInterrupt) else 1
            _tell(suite.NAME, error)
            result.notes.append(f"{suite.NAME}: aborted: {_in_words(error)}")
        result.seconds = round(time.monotonic() - begin, 1)
        write_run(result, directory)
        if status == STOPPED:
            break
    progress.end()
    return status


def _measure_one(suite: Suite, result: Result, progress: Progress, deadline: float) -> BaseException | None:
    """Run a suite and return what ended it early."""
    try:
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as scratch:
            run = Run(
                directory=Path(scratch),
                cache=CACHE,
                quick=result.quick,
                result=result,
                tell=progress.tell,
                deadline=deadline,
            )
            os.sync()  # or what the suite before wrote goes to disk while this one is timed
            suite.measure(run)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, the other suites are worth having
        return error
    return None


def _in_words(error: BaseException) -> str:
    if isinstance(error, StrongroomError):
        return error.message
    if isinstance(error, KeyboardInterrupt):
        return "stopped by hand"
    return f"{type(error).__name__}: {error}"


def _tell(suite: str, error: BaseException) -> None:
    if isinstance(error, StrongroomError):
        report_error(error)
        return
    if not isinstance(error, (KeyboardInterrupt, OSError, subprocess.SubprocessError)):
        traceback.print_exception(error)  # a slip in the suite: anyone who mends it needs the place
    say(f"error: {suite}: {_in_words(error)}")


def make_directory(directory: Path) -> None:
    """Make a directory that can be written to.

    Raises:
        ConfigError: it cannot be.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise _unwritable(directory, error) from None


def write_run(result: Result, directory: Path) -> Path:
    """Write a run in all its forms and return the path of the report.

    Raises:
        ConfigError: nothing can be written there.
    """
    history = HISTORY.read_text() if HISTORY.exists() else ""
    texts = {
        "result.json": result.to_json(),
        "figures.csv": result.figures_csv(),
        "samples.csv": result.samples_csv(),
        "claims.csv": result.claims_csv(),
        "metrics.prom": result.to_prometheus(),
        "history.jsonl": history,
    }
    try:
        for name, text in texts.items():
            (directory / name).write_text(text)
        return write_report(result, directory, history)
    except OSError as error:
        raise _unwritable(directory, error) from None


def _unwritable(directory: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{directory}: cannot be written to ({error.strerror})", hint="name another one with --output")

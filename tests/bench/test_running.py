"""What is left of a run when suites fail, are stopped, or nothing can be written."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.gate import Verdict, compare
from bench.result import Result, parse_result
from bench.running import QUICK_S, STOPPED, make_directory, measure
from bench.suite import Run
from strongroom.errors import ConfigError, PeerError
from tests.bench.runs import count, result
from tests.bench.test_gate import TODAY


@dataclass
class MadeUp:
    """A suite of one count, which ends as a test wishes."""

    NAME: str
    ending: Callable[[], None] = lambda: None
    SUMMARY: str = ""

    def measure(self, run: Run) -> None:
        run.count(f"{self.NAME}/n", 1, "calls", noise=0.1)
        self.ending()


def failing(error: BaseException) -> Callable[[], None]:
    def end() -> None:
        raise error

    return end


def run(directory: Path, *suites: MadeUp) -> tuple[int, Result]:
    made = result(suites=[])
    made.asked = [suite.NAME for suite in suites]
    status = measure(suites, made, directory)
    return status, parse_result((directory / "result.json").read_text(), "result.json")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PeerError("the store does not answer"), "the store does not answer"),
        (FileNotFoundError(2, "No such file", "valgrind"), "valgrind"),
        (subprocess.TimeoutExpired("sops", 120), "TimeoutExpired"),
        (subprocess.CalledProcessError(3, "bao"), "CalledProcessError"),
        (ConnectionResetError("by peer"), "ConnectionResetError"),
        (IndexError("a slip"), "IndexError"),
    ],
)
def test_a_suite_that_fails_is_noted_and_the_others_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    status, found = run(tmp_path, MadeUp("a"), MadeUp("b", failing(error)), MadeUp("c"))

    assert status == 1
    assert found.suites == ["a", "c"]
    assert found.asked == ["a", "b", "c"]
    assert [note for note in found.notes if words in note] == found.notes
    assert len(found.notes) == 1
    assert words in capfd.readouterr().err


def test_what_was_found_before_somebody_stopped_the_run_is_kept(tmp_path: Path) -> None:
    status, found = run(tmp_path, MadeUp("a"), MadeUp("b", failing(KeyboardInterrupt())), MadeUp("c"))

    assert status == STOPPED
    assert found.suites == ["a"]
    assert [claim.name for claim in found.claims] == ["a/n", "b/n"]
    assert found.notes == ["b: aborted: stopped by hand"]


def test_each_suite_is_written_before_the_next_begins(tmp_path: Path) -> None:
    seen: list[str] = []

    def look() -> None:
        seen.extend(parse_result((tmp_path / "result.json").read_text(), "result.json").suites)

    run(tmp_path, MadeUp("a"), MadeUp("b", look))

    assert seen == ["a"]


def test_a_suite_that_breaks_off_before_its_claims_shuts_the_gate(tmp_path: Path) -> None:
    class Silent(MadeUp):
        def measure(self, run: Run) -> None:
            raise PeerError(run.directory.name)

    _, found = run(tmp_path, Silent("a"))

    (change,) = compare(result(count("a/n", 1), suites=["a"]), found, today=TODAY)
    assert change.verdict is Verdict.MISSING


def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be written to"):
        make_directory(tmp_path / "file" / "there")


def test_suites_of_a_quick_run_share_its_time_and_what_is_left_over_goes_to_later_ones(tmp_path: Path) -> None:
    deadlines: list[float] = []

    class Curious(MadeUp):
        def measure(self, run: Run) -> None:
            deadlines.append(run.deadline)

    begin = time.monotonic()
    run(tmp_path, Curious("bridge"), Curious("getenv"), Curious("scale"))

    assert [end - begin for end in deadlines] == pytest.approx([QUICK_S / 5, QUICK_S / 2, QUICK_S], abs=10)


def test_a_contender_that_is_left_out_is_noted_with_its_reason(tmp_path: Path) -> None:
    class Lacking(MadeUp):
        def measure(self, run: Run) -> None:
            run.leave_out("haproxy", "it is not installed")

    _, found = run(tmp_path, Lacking("a"))

    assert found.left_out == ["haproxy"]
    assert found.notes == ["haproxy is left out: it is not installed"]

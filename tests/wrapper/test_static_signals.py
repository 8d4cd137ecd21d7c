"""Signals that arrive while a static program is being started act as they would have on the program itself."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.process.privileges import is_root
from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT
from tests.wrapper.static_programs import StaticPrograms

PATIENCE_S = 30.0  # for a signalled launch to end, which goes on for ever where the signal was lost
WINDOW_S = 0.006  # from the last Python code to the first instruction of the program, on a busy machine
RUNS = int(os.environ.get("STRONGROOM_TEST_SIGNALS", "80"))  # more, to look for what is rare
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture(scope="module")
def on_term(tmp_path_factory: pytest.TempPathFactory) -> str:
    return StaticPrograms(tmp_path_factory.mktemp("on-term")).build_on_term()


def start(program: str, *prefix: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.wrapper.static_launch", "SECRET=x", "--", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"starting\n", process.communicate()[1]
    return process


def ended(process: subprocess.Popen[bytes]) -> int:
    """Return the status."""
    try:
        return process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.kill()
        pytest.fail(f"still running after {PATIENCE_S} s: {status}")
    finally:
        process.communicate()


def at_random_moments(
    program: str, runs: int, send: Callable[[subprocess.Popen[bytes]], None], *prefix: str
) -> list[int]:
    """Launch this often, send a signal each time, and return the statuses."""
    moments = [random.Random(number).uniform(0, WINDOW_S) for number in range(runs)]  # noqa: S311 - moments

    def once(moment: float) -> int:
        process = start(program, *prefix)
        time.sleep(moment)
        send(process)
        return ended(process)

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(once, moments))


def terminate(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)


def test_sigterm_at_a_random_moment_ends_the_launch(on_term: str) -> None:
    statuses = at_random_moments(on_term, RUNS, terminate)

    assert {*statuses} <= {143, -signal.SIGTERM}


@pytest.mark.skipif(not is_root(), reason="namespaces need root")
def test_sigterm_at_a_random_moment_is_not_lost_on_pid_1(on_term: str) -> None:
    def terminate_inside(process: subprocess.Popen[bytes]) -> None:
        (inside,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(inside), signal.SIGTERM)

    statuses = at_random_moments(on_term, RUNS, terminate_inside, *UNSHARE)

    assert {*statuses} == {143}


def test_stopping_and_continuing_at_a_random_moment_only_delays(on_term: str) -> None:
    def stop_and_go_on(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: state(process) in {"T", "t"}, "the process stops")
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)

    assert {*at_random_moments(on_term, 30, stop_and_go_on)} == {143}


def test_a_signal_for_the_whole_group_does_not_end_the_tracer_before_its_work(on_term: str) -> None:
    def terminate_group(process: subprocess.Popen[bytes]) -> None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            kill(int(child), signal.SIGTERM)
        process.send_signal(signal.SIGTERM)

    assert {*at_random_moments(on_term, 30, terminate_group)} <= {143, -signal.SIGTERM}


def test_a_killed_tracer_takes_the_program_with_it(on_term: str) -> None:
    outcomes = set()

    def kill_tracer(process: subprocess.Popen[bytes]) -> None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            kill(int(child), signal.SIGKILL)
        assert process.stdout is not None
        outcomes.add(process.stdout.readline())
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)

    # Either it was done, and the program has begun, or the program never begins.
    assert {*at_random_moments(on_term, 30, kill_tracer)} <= {143, -signal.SIGKILL}
    assert outcomes <= {b"ready\n", b""}


def test_kill_9_leaves_no_tracer(on_term: str) -> None:
    tracers: list[str] = []

    def kill_launch(process: subprocess.Popen[bytes]) -> None:
        tracers.extend(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        process.kill()

    assert {*at_random_moments(on_term, 20, kill_launch)} == {-signal.SIGKILL}
    wait_for(lambda: not any(is_running(tracer) for tracer in tracers), "the tracers end")


def kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def state(process: subprocess.Popen[bytes]) -> str:
    """Return the letter of proc_pid_stat(5)."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_running(pid: str) -> bool:
    try:
        command: Sequence[bytes] = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"tests.wrapper.static_launch" in command

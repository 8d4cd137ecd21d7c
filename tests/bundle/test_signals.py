"""SIGTERM at random moments of a launch from the bundle as PID 1: it always ends, with 143, at once."""

import contextlib
import functools
import os
import random
import select
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bundle.roots import PATIENCE_S, compile_c, status_of
from tests.support.process.privileges import is_root
from tests.support.process.waiting import wait_for

pytestmark = pytest.mark.skipif(not is_root(), reason="making PID namespaces needs root")

RUNS = 300
AT_ONCE = 2
SOON_S = 5.0
ENDED = 128 + signal.SIGTERM
LOST_AT_EXEC = "lost between the last line of ours and execve(2), where nobody handles it"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c("gcc", "end_on_term.c", tmp_path_factory.mktemp("application") / "end_on_term")


def program_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink())
    return ""


def holds_signals(directory: Path, pid: int) -> bool:
    """Whether the launcher has blocked the signals, or is the interpreter by now."""
    program = program_of(pid)  # first: the process before the launcher blocks them, too
    return program.startswith(f"{directory}/lib/") or (program.startswith(f"{directory}/") and is_in("SigBlk", pid))


def is_stopped(pid: int) -> bool:
    return status_of(pid).get("State", "T").startswith("T")


def is_in(set_name: str, pid: int) -> bool:
    """Whether SIGTERM is in a set of signals of /proc/PID/status, such as SigBlk."""
    return bool(int(status_of(pid).get(set_name, "0"), 16) & 1 << (signal.SIGTERM - 1))


@contextlib.contextmanager
def launch(
    directory: Path, application: Path, environ: Mapping[str, str]
) -> "Iterator[tuple[subprocess.Popen[bytes], int]]":
    """Yield the process that starts PID 1 and ends with its status, and PID 1 once the launcher has begun.

    Before that, the kernel drops SIGTERM whatever the launcher does.
    """
    command = ["unshare", "--pid", "--fork", "--kill-child", f"{directory}/strongroom", "run", "--", str(application)]
    with subprocess.Popen(command, env={"PATH": os.defpath, **environ}, stdout=subprocess.PIPE) as starter:
        children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children")
        try:
            pid = int(wait_for(children.read_text, "a child"))
            wait_for(lambda: holds_signals(directory, pid) or program_of(pid) == str(application), "the launcher")
            yield starter, pid
        finally:
            starter.kill()  # and with it its child


def one_run(directory: Path, application: Path, environ: Mapping[str, str], delay_s: float) -> str:
    """Send one SIGTERM after a while; return what became of it."""
    with launch(directory, application, environ) as (starter, pid):
        time.sleep(delay_s)
        os.kill(pid, signal.SIGSTOP)  # so that it is known whom the signal meets, however busy the machine
        wait_for(functools.partial(is_stopped, pid), "the stop")
        program, holds_it = program_of(pid), is_in("SigBlk", pid) or is_in("SigCgt", pid)
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        assert starter.stdout
        output, patience_s, began = starter.stdout.fileno(), PATIENCE_S, False
        while select.select([output], [], [], patience_s)[0]:
            if not os.read(output, 64):  # nobody is left who could write
                status = starter.wait(PATIENCE_S)
                return "ended" if status == ENDED else f"status {status}, signalled in {program}"
            began, patience_s = True, SOON_S
        if not began:
            return f"neither ended nor began, signalled in {program}"
        os.kill(pid, signal.SIGTERM)
        assert starter.wait(PATIENCE_S) == ENDED
        if program == str(application):
            return "lost by the application"  # before it has set its own handlers: the kernel drops it, for PID 1
        return f"lost in {program}, which held it" if holds_it else LOST_AT_EXEC


def launch_s(directory: Path, application: Path, environ: Mapping[str, str]) -> float:
    """Return how long it takes from the launcher to the application."""
    with launch(directory, application, environ) as (starter, _):
        began = time.monotonic()
        assert starter.stdout
        assert starter.stdout.readline() == b"started\n"
        return time.monotonic() - began


@pytest.mark.timeout(600)
def test_sigterm_at_any_moment_ends_it(
    directory: Path,
    application: Path,
    references: Mapping[str, str],
    certificate_settings: Mapping[str, str],
) -> None:
    environ = {**references, **certificate_settings, "STRONGROOM_QUIET": "1"}
    whole_s = statistics.median(launch_s(directory, application, environ) for _ in range(5))
    delays = [random.uniform(0, whole_s) for _ in range(RUNS)]  # noqa: S311 - no secret is made of it
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = Counter(pool.map(lambda delay_s: one_run(directory, application, environ, delay_s), delays))
    assert set(outcomes) <= {"ended", "lost by the application", LOST_AT_EXEC}, outcomes
    assert outcomes["ended"] > RUNS * 0.9, outcomes
    assert outcomes[LOST_AT_EXEC] < RUNS * 0.01, outcomes


def test_a_signal_before_the_interpreter_is_up_is_held_and_then_obeyed(directory: Path, application: Path) -> None:
    held = 0
    for _ in range(20):
        with launch(directory, application, {}) as (starter, pid):
            os.kill(pid, signal.SIGSTOP)
            wait_for(functools.partial(is_stopped, pid), "the stop")
            os.kill(pid, signal.SIGTERM)
            held += is_in("SigBlk", pid) and is_in("ShdPnd", pid)
            os.kill(pid, signal.SIGCONT)
            assert starter.wait(PATIENCE_S) == ENDED
    assert held > 0

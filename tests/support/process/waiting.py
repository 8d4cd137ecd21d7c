"""Waiting for what other processes do: for a condition, never for a time."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

WAIT_S = 60.0
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.02
_STILL_S = 0.5
_PATIENCE_S = 60.0


def wait_for(look: Callable[[], T], what: str, *, timeout_s: float = WAIT_S) -> T:
    """Wait until what ``look`` returns is true, and return it; fails with ``what`` when it is not in time."""
    deadline = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for: {what}")
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, _LONGEST_PAUSE_S)
    return found


def stop_process(pid: int) -> None:
    """Stop a process in its tracks; when ``kill`` returns, it may still be running."""
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] in {"T", "t"}, f"process {pid} to stop")


def until_settled(count: Callable[[], int]) -> None:
    """Return when a number has stood still for a while, such as that of requests that a server makes at its start."""
    deadline = time.monotonic() + _PATIENCE_S
    last, since = count(), time.monotonic()
    while time.monotonic() - since < _STILL_S:
        assert time.monotonic() < deadline, f"still counting, at {last}"
        time.sleep(0.05)
        if (now := count()) != last:
            last, since = now, time.monotonic()

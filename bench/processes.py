"""What processes cost besides time: CPU seconds and memory, of a process and all below it. Linux only."""

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED: Final = 2
_SAMPLE_S: Final = 0.02
_PROC: Final = Path("/proc")


def family(pid: int) -> set[int]:
    """Return a process and all that descend from it, as far as they live."""
    found, ask = set(), [pid]
    while ask:
        one = ask.pop()
        with contextlib.suppress(OSError):
            for task in (_PROC / str(one) / "task").iterdir():
                ask += [int(word) for word in (task / "children").read_text().split()]
            found.add(one)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of processes in nanoseconds' steps, and of children that ended in clock ticks."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            total += sum(int(word) for word in fields[13:15]) * _TICK_S  # cutime, cstime: proc_pid_stat(5)
            total += time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)  # as clock_getcpuclockid(3) makes it
    return total


def memory_bytes(pids: Iterable[int]) -> int:
    """Return the proportional set size of processes: memory that several share counts once.

    Of a process that is not dumpable, as ours, only root learns that; else all of its resident memory counts.
    """
    return sum(_memory_of(_PROC / str(pid)) for pid in pids)


def _memory_of(process: Path) -> int:
    for file, field_name in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with contextlib.suppress(OSError):
            for line in (process / file).read_text().splitlines():
                if line.startswith(field_name):
                    return int(line.split()[1]) * 1024
    return 0


@dataclass
class Usage:
    """What was used while somebody watched.

    Attributes:
        cpu_s: processor time.
        peak_bytes: the highest proportional set size that was seen.
        samples: how often the memory was looked at.
    """

    cpu_s: float = 0.0
    peak_bytes: int = 0
    samples: int = field(default=0, repr=False)


@contextlib.contextmanager
def watched(pid: int, *, interval_s: float = _SAMPLE_S) -> Iterator[Usage]:
    """Watch a process and its descendants while the block runs; the result is complete after it."""
    usage, stop = Usage(), threading.Event()
    begin = cpu_seconds(family(pid))

    def look() -> None:
        usage.peak_bytes = max(usage.peak_bytes, memory_bytes(family(pid)))
        usage.samples += 1

    def keep_looking() -> None:
        while not stop.wait(interval_s):
            look()

    look()
    watcher = threading.Thread(target=keep_looking, daemon=True)
    watcher.start()
    try:
        yield usage
    finally:
        stop.set()
        watcher.join()
        look()
        usage.cpu_s = cpu_seconds(family(pid)) - begin

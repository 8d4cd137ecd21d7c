"""Many launches leave nothing behind; signals at any moment end a launch.

The numbers are small here; STRONGROOM_TEST_LAUNCHES and STRONGROOM_TEST_SIGNALS raise them for a run by hand.
"""

import ctypes
import gc
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from devstack.stack import DevStack
from tests.init.container import children_of, name_of
from tests.support.launch.launcher import Launcher
from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT

LAUNCHES = int(os.environ.get("STRONGROOM_TEST_LAUNCHES", "200"))
SIGNALS = int(os.environ.get("STRONGROOM_TEST_SIGNALS", "60"))
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _own_descriptors() -> int:
    gc.collect()  # what other tests have left behind must not close between two counts
    return _descriptors(os.getpid())


def _memory_kib(pid: int) -> int:
    """Return what a process has for itself: its share of libraries grows when others that map them end."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Anonymous:", "Swap:")))


def _descendants() -> set[str]:
    """Return the processes below this one by PID, zombies included; others of this machine's are not ours to count."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[entry.name] = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, above = set(), {str(os.getpid())}
    while above:
        above = {pid for pid, parent in parents.items() if parent in above}
        found |= above
    return found


@pytest.fixture
def orphans_come_here() -> Iterator[None]:
    """Make this process the one that inherits what a launch leaves behind, instead of PID 1."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


@pytest.mark.usefixtures("orphans_come_here")
def test_launches_in_a_row_leave_no_process_no_descriptor_and_no_memory(tmp_path: Path) -> None:
    with DevStack(tmp_path) as stack, ThreadPoolExecutor(2) as pool:
        stack.openbao.admin.put_v2("kv", "shop/endurance", {"k": "v"})
        launcher = Launcher(stack)

        def launch(_: int) -> str:
            return launcher.run({"X": "bao:kv/shop/endurance#k"}, "printenv", "X").stdout

        warm = max(LAUNCHES // 4, 50)  # pools and caches fill up first
        assert set(pool.map(launch, range(warm))) == {"v\n"}
        before = (_descriptors(stack.bridge.pid), _memory_kib(stack.bridge.pid))
        own = _own_descriptors()
        processes = _descendants()
        assert set(pool.map(launch, range(LAUNCHES))) == {"v\n"}
        after = _memory_kib(stack.bridge.pid)
        # Connections to OpenBao may come and go, and of the last launches the bridge hears a moment later.
        wait_for(lambda: abs(_descriptors(stack.bridge.pid) - before[0]) <= 4, "the bridge to have as few descriptors")
        assert after - before[1] < 4096, f"the bridge grew from {before[1]} to {after} KiB"
        assert _own_descriptors() == own
        assert not _descendants() - processes


def test_sigterm_at_a_random_moment_ends_the_launch(launcher: Launcher, stack: DevStack) -> None:
    stack.openbao.admin.put_v2("kv", "shop/endurance", {"k": "v"})
    dice = random.Random(2026)  # noqa: S311 - moments, no keys
    seen: dict[int, int] = {}
    for _ in range(SIGNALS):
        # The program ends with 143 by itself, so that it does not matter who is there when the signal comes.
        program = "trap 'exit 143' TERM; while :; do sleep 0.01; done"
        process = launcher.start({"X": "bao:kv/shop/endurance#k"}, "dash", "-c", program)
        time.sleep(dice.uniform(0, 0.08))  # the moment, not a wait for a condition
        process.terminate()
        process.communicate(timeout=60)  # without it the program goes on for ever
        seen[process.returncode] = seen.get(process.returncode, 0) + 1
    # -15 is death by SIGTERM before the first line of ours ran, or between ours and the trap: 143 to a shell.
    assert set(seen) <= {143, -15}, seen


def _has_begun(pid: int) -> bool:
    """Return whether a process is the init by now, and has seen to it that SIGTERM is not lost.

    It blocks it for that, and shows none as blocked while it waits for them; it does so when it has a child.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    blocked = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))
    return name_of(pid) != "unshare" and bool(blocked & 1 << (signal.SIGTERM - 1) or children_of(pid))


def test_pid_1_under_supervision_loses_no_sigterm(launcher: Launcher, stack: DevStack) -> None:
    stack.openbao.admin.put_v2("kv", "shop/endurance", {"k": "v"})
    dice = random.Random(2027)  # noqa: S311 - moments, no keys
    init = subprocess.run(
        ["python3", "-c", "import preload; print(preload.init_path())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    for _ in range(SIGNALS // 2):
        program = "trap 'exit 143' TERM; while :; do sleep 0.01; done"
        command = launcher.command("dash", "-c", program)
        process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", init, "--", *command],
            env=launcher.environ({"X": "bao:kv/shop/endurance#k"}),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        pid = int(wait_for(children.read_text, "PID 1").split()[0])
        wait_for(partial(_has_begun, pid), "the init")  # before, the kernel drops what is sent to PID 1
        time.sleep(dice.uniform(0, 0.1))
        os.kill(pid, signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode in {143, 128 + 15}

"""Signals and deaths while a program that ignores the library is handed over, and many of them at once."""

import signal

import pytest

from tests.preload.launch import PASSWORD, Build, Launcher
from tests.preload.test_children import PYTHON
from tests.support.process.privileges import is_root

needs_root = pytest.mark.skipif(not is_root(), reason="file capabilities, users and namespaces need root")


class TestMisfortune:
    """Signals and deaths while a program is handed over."""

    def test_a_hundred_at_once(self, launcher: Launcher, build: Build) -> None:
        code = (
            "import subprocess, sys\n"
            "running = [subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE) for _ in range(100)]\n"
            "assert all(one.communicate()[0] == b'DB_PASSWORD=s3cret\\n' and one.returncode == 0 for one in running)\n"
        )
        result = launcher.run(
            [PYTHON, "-c", code, build("print", "gcc", "-static"), "DB_PASSWORD"], secrets={"DB_PASSWORD": PASSWORD}
        )
        assert (result.returncode, result.stderr) == (0, b"")

    def test_many_in_a_row_leave_nothing_behind(self, launcher: Launcher, build: Build) -> None:
        # As a subreaper the parent would inherit what a launch leaves behind.
        code = (
            "import ctypes, os, subprocess, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
            "before = os.listdir('/proc/self/fd')\n"
            "for _ in range(100):\n"
            "    assert subprocess.run(sys.argv[1:], capture_output=True).stdout == b'DB_PASSWORD=s3cret\\n'\n"
            "    try: os.waitpid(-1, os.WNOHANG)\n"
            "    except ChildProcessError: continue\n"
            "    sys.exit('a process was left to us')\n"
            "assert os.listdir('/proc/self/fd') == before\n"
        )
        result = launcher.run([PYTHON, "-c", code, build("print", "gcc", "-static"), "DB_PASSWORD"])
        assert (result.returncode, result.stderr) == (0, b"")

    @staticmethod
    def at_moments(launcher: Launcher, build: Build, action: str, runs: int = 60) -> set[int]:
        """Start a program this often, do something to it at another moment each time, and return how they ended."""
        # The parent does it, so that there is no way round it; the delays cover the whole hand-over.
        code = f"""
import os, signal, subprocess, sys, time
def children(pid):
    try: return [int(word) for word in open(f"/proc/{{pid}}/task/{{pid}}/children").read().split()]
    except OSError: return []
def kill(pid, number):
    try: os.kill(pid, number)
    except ProcessLookupError: pass
for run in range({runs}):
    one = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + run * {4.0 / 1000 / runs}
    while time.monotonic() < end: pass
    {action}
    out, err = one.communicate(timeout=60)
    print(one.returncode, out)
"""
        result = launcher.run([PYTHON, "-c", code, build("on_term_or_secret", "gcc", "-static")])
        assert (result.returncode, result.stderr) == (0, b"")
        outcomes = set()
        for line in result.stdout.decode().splitlines():
            status, _, out = line.partition(" ")
            assert out in {"b''", "b's3cret\\n'"}
            outcomes.add(int(status))
        return outcomes

    def test_sigterm_at_any_moment_ends_it(self, launcher: Launcher, build: Build) -> None:
        statuses = self.at_moments(launcher, build, "one.send_signal(signal.SIGTERM)")
        assert statuses <= {-signal.SIGTERM, 143}

    def test_tracer_killed_at_any_moment_takes_the_program_along(self, launcher: Launcher, build: Build) -> None:
        action = "[kill(child, 9) for child in children(one.pid)]; time.sleep(0.02); one.send_signal(signal.SIGTERM)"
        statuses = self.at_moments(launcher, build, action)
        # Killed with its tracer, refused because the tracer was gone before it traced, or done before.
        assert statuses <= {-signal.SIGKILL, 120, 143, -signal.SIGTERM}

    def test_program_killed_at_any_moment_takes_the_tracer_along(self, launcher: Launcher, build: Build) -> None:
        assert self.at_moments(launcher, build, "one.kill()") == {-signal.SIGKILL}

    def test_stop_and_go_on_only_delays(self, launcher: Launcher, build: Build) -> None:
        action = "kill(one.pid, 19); time.sleep(0.005); kill(one.pid, 18); one.stdout.readline(); kill(one.pid, 15)"
        assert self.at_moments(launcher, build, action, runs=30) <= {143}

    @needs_root
    def test_sigterm_is_not_lost_on_pid_1(self, launcher: Launcher, build: Build) -> None:
        # From when the tracer holds it back; before, the shell as PID 1 loses it, with or without us.
        code = """
import os, signal, subprocess, sys
held = 0
for run in range(200):
    one = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
    path = f"/proc/{one.pid}/task/{one.pid}/children"
    while not (inside := open(path).read().split()): pass
    while True:
        try: status = open(f"/proc/{inside[0]}/status").read()
        except OSError: break
        name = status.split()[1]
        if name == "strongroom-trac" and int(status.split("SigBlk:")[1].split()[0], 16) & 1 << 14:
            os.kill(int(inside[0]), signal.SIGTERM); held += 1
            assert one.wait(60) == 143, one.returncode
        elif name.startswith("on_term"): one.kill(); one.wait()
        else: continue
        break
    if held == 5: sys.exit()
sys.exit("never seen to hold it back")
"""
        namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        program = build("on_term_or_secret", "gcc", "-static")
        result = launcher.run([PYTHON, "-c", code, *namespace, program])

        assert (result.returncode, result.stderr) == (0, b"")

"""Terminals and job control, with real pseudo-terminals; ours, tini and dumb-init."""

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.init.conftest import Programs
from tests.init.container import NAMESPACE, WAIT_S, children_of, name_of, state_of
from tests.init.inits import Can, Init
from tests.support.process.waiting import wait_for

CTRL_C = b"\x03"
CTRL_Z = b"\x1a"
END_OF_FILE = b"\x04"
# As a container runtime does it: PID 1 leads a session whose controlling terminal is its standard input.
AS_PID_1 = (*NAMESPACE, "setsid", "--ctty")
SHELL_ENVIRON = {
    "PATH": os.environ["PATH"],
    "PS1": "$ ",
    "TERM": "dumb",
    "HISTFILE": "/dev/null",
    "INPUTRC": "/dev/null",
}


class Terminal:
    """A pseudo-terminal with a session of its own."""

    def __init__(self, *command: str) -> None:
        """Start ``command`` as the session's leader."""
        self.master, slave = os.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        self.seen = ""
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=SHELL_ENVIRON,
            preexec_fn=lambda: os.login_tty(0),  # noqa: PLW1509 - the test process has no threads
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        foreground = self.foreground()
        os.close(self.master)  # hangs up
        if foreground > 0:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(foreground, signal.SIGKILL)
        self.process.wait(WAIT_S)

    def foreground(self) -> int:
        """Return the process group in the foreground, 0 when there is none."""
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(self.master)
        return 0

    def type(self, keys: bytes) -> None:
        """Type on the keyboard."""
        os.write(self.master, keys)

    def read_until(self, pattern: str) -> "re.Match[str]":
        """Read until something matches; what was read up to there is consumed."""
        deadline = time.monotonic() + WAIT_S
        while not (match := re.search(pattern, self.seen)):
            readable, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert readable, f"waited {WAIT_S:g} s for {pattern!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.master, 65536).decode()
            except OSError:  # EIO: nobody has the terminal open any longer
                assert re.search(pattern, self.seen), f"no {pattern!r} in {self.seen!r}"
        self.seen = self.seen[match.end() :]
        return match

    def wait_for_foreground(self, name: str) -> int:
        """Wait until a process of this name leads the foreground; return its PID."""

        def look() -> int:
            leader = self.foreground()
            return leader if leader > 0 and name_of(leader) == name else 0

        return wait_for(look, f"{name} in the foreground")

    def status(self) -> int:
        """Wait for the end of the session's leader and return its exit status."""
        return self.process.wait(WAIT_S)


def shell() -> Terminal:
    """Start an interactive shell, as a person has it; in a PID namespace, so that nothing outlives it."""
    return Terminal(*AS_PID_1, "bash", "--norc", "--noprofile", "-i")


def words(*parts: str | Path) -> bytes:
    return " ".join(map(str, parts)).encode() + b"\n"


def as_pid_1(init: Init, *command: str, options: Sequence[str] = ()) -> Terminal:
    return Terminal(*AS_PID_1, init.path, *options, "--", *command)


class TestInContainer:
    """``docker run -it``: init is PID 1 and leads the session."""

    def test_child_reads_and_writes(self, init: Init) -> None:
        with as_pid_1(init, "tac") as terminal:
            terminal.wait_for_foreground("tac")
            terminal.type(b"1\n2\n3\n" + END_OF_FILE)
            terminal.read_until("3\r\n2\r\n1\r\n")
            assert terminal.status() == 0

    def test_child_has_the_foreground_from_its_start(self, init: Init) -> None:
        code = "import os; print('in front', os.tcgetpgrp(0) == os.getpgrp())"
        with as_pid_1(init, "python3", "-I", "-S", "-c", code) as terminal:
            terminal.read_until("in front True")

    def test_ctrl_c(self, init: Init) -> None:
        with as_pid_1(init, "sleep", "1000") as terminal:
            terminal.wait_for_foreground("sleep")
            terminal.type(CTRL_C)
            assert terminal.status() == 130

    def test_ctrl_c_comes_once(self, init: Init, program: Programs) -> None:
        with as_pid_1(init, program("report_signals")) as terminal:
            terminal.read_until("child ready")
            terminal.type(CTRL_C)
            terminal.read_until("child 2 0")
            os.kill(terminal.foreground(), signal.SIGUSR2)
            assert terminal.read_until(r"child (\d+) 0").group(1) == "12"
            assert terminal.status() == 0

    def test_ctrl_c_reaches_the_group(self, init: Init, program: Programs) -> None:
        with as_pid_1(init, "sh", "-c", f"{program('report_signals')} other & exec sleep 1000") as terminal:
            terminal.read_until("other ready")
            terminal.type(CTRL_C)
            if Can.KEEP_BLOCKED in init.can:  # as PID 1 ends, it may take `other` with it before that can write
                assert terminal.status() == 130

    def test_change_of_size(self, init: Init, program: Programs) -> None:
        with as_pid_1(init, program("report_signals")) as terminal:
            terminal.read_until("child ready")
            fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
            terminal.read_until(f"child {signal.SIGWINCH} 0")

    def test_hang_up_reaches_the_child(self, init: Init, tmp_path: Path) -> None:
        note = tmp_path / "note"
        with as_pid_1(
            init, "sh", "-c", f"trap 'echo hup > {note}; exit' HUP; echo ready; while :; do read x; done"
        ) as terminal:
            terminal.read_until("ready")
            os.close(terminal.master)
            terminal.master = os.open("/dev/null", os.O_RDWR)
            terminal.status()
        assert note.read_text() == "hup\n"

    def test_shell_has_job_control(self, init: Init) -> None:
        with as_pid_1(init, "bash", "--norc", "--noprofile", "-i") as terminal:
            terminal.type(b"echo flags [$-]\n")
            assert "m" in terminal.read_until(r"flags \[(\w+)\]").group(1)
            terminal.type(b"sleep 1000\n")
            terminal.wait_for_foreground("sleep")
            terminal.type(CTRL_Z)
            terminal.read_until("Stopped")
            terminal.type(b"fg\n")
            terminal.wait_for_foreground("sleep")
            terminal.type(CTRL_C)
            terminal.wait_for_foreground("bash")
            terminal.type(b"echo status $?; exit 9\n")
            terminal.read_until("status 130")
            assert terminal.status() == 9
            assert "no job control" not in terminal.seen

    def test_ctrl_z_has_no_effect(self, init: Init) -> None:
        with as_pid_1(init, "sh", "-c", "trap 'echo usr1' USR1; echo ready; while :; do read x; done") as terminal:
            terminal.read_until("ready")
            child = terminal.foreground()
            terminal.type(CTRL_Z)
            if Can.IGNORE_LONE_CTRL_Z in init.can:
                os.kill(child, signal.SIGUSR1)
                terminal.type(b"\n")  # a shell runs its trap after read, when the signal came just before read waited
                terminal.read_until("usr1")
            else:
                wait_for(lambda: state_of(child) == "T", "the child to stop")


class TestBelowShell:
    """A person starts the init from an interactive shell."""

    def test_ctrl_c(self, init: Init) -> None:
        with shell() as terminal:
            terminal.type(words(init.path, "-- sleep 1000"))
            if init.name == "dumb-init":  # its child is in a session without a terminal
                init_pid = terminal.wait_for_foreground("dumb-init")
                wait_for(lambda: [name_of(pid) for pid in children_of(init_pid)] == ["sleep"], "its child to start")
            else:
                terminal.wait_for_foreground("sleep")
            terminal.type(CTRL_C)
            terminal.wait_for_foreground("bash")
            terminal.type(b"echo status $?\n")
            terminal.read_until("status 130")

    def test_ctrl_z_and_fg(self, init: Init) -> None:
        if Can.STOP_WITH_THE_CHILD not in init.can:
            return  # the shell waits for an init that does not stop (tini), or the child leads an orphaned group
        with shell() as terminal:
            terminal.type(words(init.path, "-- sleep 1000"))
            sleep = terminal.wait_for_foreground("sleep")
            for _ in range(3):
                terminal.type(CTRL_Z)
                terminal.read_until("Stopped")
                terminal.wait_for_foreground("bash")
                wait_for(lambda: state_of(sleep) == "T", "the child to stop")
                terminal.type(b"fg\n")
                assert terminal.wait_for_foreground("sleep") == sleep
                wait_for(lambda: state_of(sleep) == "S", "the child to go on")
            terminal.type(CTRL_C)
            terminal.wait_for_foreground("bash")
            terminal.type(b"echo status $?\n")
            terminal.read_until("status 130")

    def test_ctrl_z_stops_a_whole_group(self, ours: Init) -> None:
        with shell() as terminal:
            terminal.type(words(ours.path, "-- sh -c 'sleep 1001 & exec sleep 1000'"))
            sleep = terminal.wait_for_foreground("sleep")
            (other,) = wait_for(lambda: children_of(sleep), "the other to start")
            terminal.type(CTRL_Z)
            terminal.read_until("Stopped")
            wait_for(lambda: [state_of(sleep), state_of(other)] == ["T", "T"], "both to stop")
            terminal.type(b"fg\n")
            wait_for(lambda: [state_of(sleep), state_of(other)] == ["S", "S"], "both to go on")

    def test_bg_then_fg(self, ours: Init) -> None:
        with shell() as terminal:
            terminal.type(words(ours.path, "-- sh -c 'sleep 1001 & exec sleep 1000'"))
            sleep = terminal.wait_for_foreground("sleep")
            (other,) = wait_for(lambda: children_of(sleep), "the other to start")
            terminal.type(CTRL_Z)
            terminal.read_until("Stopped")
            terminal.type(b"bg\n")
            wait_for(lambda: [state_of(sleep), state_of(other)] == ["S", "S"], "both to go on")
            terminal.wait_for_foreground("bash")
            terminal.type(b"fg\n")
            terminal.wait_for_foreground("strongroom-init")  # a shell says nothing to a job that runs
            terminal.type(CTRL_Z)  # the first key shows who is in front
            terminal.read_until("Stopped")
            wait_for(lambda: state_of(sleep) == "T", "the child to stop")
            terminal.type(b"fg\n")
            assert terminal.wait_for_foreground("sleep") == sleep
            terminal.type(CTRL_C)
            terminal.wait_for_foreground("bash")

    def test_ctrl_c_after_bg_and_fg(self, ours: Init, program: Programs) -> None:
        with shell() as terminal:
            terminal.type(words(ours.path, f"-- sh -c '{program('report_signals')} other & exec sleep 1000' &"))
            terminal.read_until("other ready")
            terminal.type(b"fg\n")
            terminal.wait_for_foreground("strongroom-init")
            terminal.type(CTRL_C)
            terminal.read_until("other 2 0")  # the whole group, as if it had been in front
            terminal.wait_for_foreground("bash")
            terminal.type(b"echo status $?\n")
            terminal.read_until("status 130")

    def test_reading_after_fg(self, ours: Init, tmp_path: Path) -> None:
        go = tmp_path / "go"
        script = f"while [ ! -e {go} ]; do sleep 0.01; done; read x; echo got $x"
        with shell() as terminal:
            terminal.type(words(ours.path, f"-- sh -c 'echo ready; {script}' &"))
            terminal.read_until("ready")  # and not `fg` already while it starts
            terminal.type(b"fg\n")
            terminal.wait_for_foreground("strongroom-init")
            go.touch()
            terminal.wait_for_foreground("sh")  # it asked for the terminal, and has it
            terminal.type(b"hello\n")
            terminal.read_until("got hello")
            terminal.wait_for_foreground("bash")

    def test_end_in_the_background_takes_nothing(self, ours: Init, tmp_path: Path) -> None:
        # A program that starts others in a loop would not do: anyone who is stopped between vfork and exec keeps its
        # parent from stopping.
        go = tmp_path / "go"
        os.mkfifo(go)
        with shell() as terminal:
            terminal.type(words(ours.path, f"-- sh -c 'read x <{go}'"))
            child = terminal.wait_for_foreground("sh")
            terminal.type(CTRL_Z)
            terminal.read_until("Stopped")
            terminal.type(b"bg\n")
            bash = terminal.wait_for_foreground("bash")
            wait_for(lambda: state_of(child) != "T", "the child to go on")
            go.write_text("on\n")
            wait_for(lambda: not children_of(bash), "the job to end")
            terminal.type(b"echo still $((1 + 1))\n")
            terminal.read_until("still 2")
            assert terminal.foreground() == bash

    def test_started_in_the_background_it_takes_nothing(self, ours: Init) -> None:
        with shell() as terminal:
            terminal.type(words(ours.path, "-- cat &"))
            bash = terminal.wait_for_foreground("bash")
            wait_for(lambda: [state_of(pid) for pid in children_of(bash)] == ["T"], "the job to stop")
            terminal.type(b"fg\n")  # cat wanted to read
            terminal.wait_for_foreground("cat")
            terminal.type(b"hello\n" + END_OF_FILE)
            terminal.read_until("hello")
            terminal.wait_for_foreground("bash")

    def test_input_from_a_pipe(self, ours: Init) -> None:
        with shell() as terminal:
            terminal.type(words("sleep 1000 |", ours.path, "-- sh -c 'echo ready; exec sleep 1001'"))
            terminal.wait_for_foreground("sleep")
            terminal.read_until("ready")
            terminal.type(CTRL_Z)
            terminal.read_until("Stopped")
            terminal.type(b"fg\n")
            terminal.wait_for_foreground("sleep")
            terminal.type(CTRL_C)
            terminal.wait_for_foreground("bash")
            terminal.type(b"echo status $?\n")
            terminal.read_until("status 130")

    def test_foreground_is_given_back_to_a_script(self, init: Init) -> None:
        if Can.GIVE_TERMINAL_BACK not in init.can:
            return  # with tini the script cannot read the terminal any longer; dumb-init never took it
        script = f"{init.path} -- sh -c 'exit 3'; echo status $?; read answer; echo got $answer"
        with Terminal("sh", "-c", script) as terminal:
            terminal.read_until("status 3")
            terminal.type(b"yes\n")
            terminal.read_until("got yes")
            assert terminal.status() == 0

    def test_also_after_a_shell_that_was_killed(self, ours: Init) -> None:
        script = f"{ours.path} -- bash -i; echo status $?; read answer; echo got $answer"
        with Terminal("sh", "-c", script) as terminal:
            terminal.type(b"sh -c 'kill -KILL '$$\n")
            terminal.read_until("status 137")
            terminal.type(b"yes\n")
            terminal.read_until("got yes")

    def test_writing_is_not_stopped_by_tostop(self, ours: Init) -> None:
        with shell() as terminal:
            terminal.type(b"stty tostop\n")
            terminal.type(words(ours.path, "-v -- sh -c 'kill -KILL $$'"))
            terminal.read_until("ended with status 137")
            terminal.wait_for_foreground("bash")

    def test_init_below_init(self, ours: Init) -> None:
        with shell() as terminal:
            terminal.type(words(ours.path, "--", ours.path, "-- sleep 1000"))
            terminal.wait_for_foreground("sleep")
            terminal.type(CTRL_Z)
            terminal.read_until("Stopped")
            terminal.type(b"fg\n")
            terminal.wait_for_foreground("sleep")
            terminal.type(CTRL_C)
            terminal.wait_for_foreground("bash")
            terminal.type(b"echo status $?\n")
            terminal.read_until("status 130")

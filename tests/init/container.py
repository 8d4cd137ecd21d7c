"""Run an init as PID 1 of a fresh PID namespace, or as an ordinary process, and talk to what runs under it."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from tests.support.process.waiting import wait_for

WAIT_S = 60.0
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def children_of(pid: int) -> list[int]:
    """Return the PIDs of a process's children, as seen from here."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def state_of(pid: int) -> str:
    """Return the state letter of a process: R, S, T (stopped), Z (zombie), ...; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def name_of(pid: int) -> str:
    """Return the name of a process, as the kernel has it."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Running:
    """A started init; use it with ``with``. What is still alive in the end is killed."""

    def __init__(  # noqa: PLR0913 - the ways to start a process are many
        self,
        command: Sequence[str | Path],
        *,
        as_pid_1: bool = True,
        prefix: Sequence[str | Path] = (),
        preexec: Callable[[], object] | None = None,
        environ: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start ``command``, an init with its options and its child; ``prefix`` is what execs it."""
        self.as_pid_1 = as_pid_1
        self._lines = b""
        words = [*(NAMESPACE if as_pid_1 else ()), *prefix, *command]
        self.process = subprocess.Popen(
            [str(word) for word in words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=preexec,  # noqa: PLW1509 - the test process has no threads
            env=environ,
            bufsize=0,
            pass_fds=pass_fds,
            start_new_session=preexec is None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in [self.process.pid, *self.descendants()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def descendants(self) -> list[int]:
        """Return all processes below the one that was started."""
        found: list[int] = []
        todo = [self.process.pid]
        while todo:
            below = children_of(todo.pop())
            found += below
            todo += below
        return found

    @property
    def init_pid(self) -> int:
        """The PID of the init, as seen from here."""
        if not self.as_pid_1:
            return self.process.pid
        return wait_for(lambda: children_of(self.process.pid), "init to start")[0]

    @property
    def child_pid(self) -> int:
        """The PID of its oldest child, as seen from here."""
        return wait_for(lambda: children_of(self.init_pid), "the child to start")[0]

    def send(self, *signals: int) -> None:
        """Send signals to the init."""
        pid = self.init_pid
        for number in signals:
            os.kill(pid, number)

    def line(self) -> str:
        """Return the next line of the output, without its end; nothing at the end of the output."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + WAIT_S
        while b"\n" not in self._lines:
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            assert readable, f"waited {WAIT_S:g} s for a line"
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return ""
            self._lines += more
        first, _, self._lines = self._lines.partition(b"\n")
        return first.decode()

    def lines(self, count: int) -> list[str]:
        """Return the next ``count`` lines."""
        return [self.line() for _ in range(count)]

    def status(self) -> int:
        """Wait for the end and return the exit status; negative when a signal ended the init itself."""
        return self.process.wait(WAIT_S)

    def errors(self) -> str:
        """Return what is on standard error; call it after the end."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


def run(command: Sequence[str | Path], *, as_pid_1: bool = True) -> tuple[int, str, str]:
    """Run an init to its end; return exit status, output and errors."""
    with Running(command, as_pid_1=as_pid_1) as running:
        output, errors = running.process.communicate(timeout=WAIT_S)
        return running.process.returncode, output.decode(), errors.decode()

"""Starts a command through the wrapper, to be attacked, and ends it afterwards."""

import contextlib
import os
import select
import signal
import time
from pathlib import Path
from typing import NoReturn, Self

from doctor.attack.remains import obstacle_to_dumps
from doctor.attack.target import Target
from strongroom.errors import StrongroomError
from strongroom.linux.process import die_with_parent
from strongroom.names import PREFIX
from wrapper.main import main as run
from wrapper.supervise import VARIABLES

_START_TIMEOUT_S = 120.0  # a launch has limits of its own
_SETTLE_S = 5.0  # how long a program may go on starting before it is attacked all the same
_GLANCE_S = 0.05
_QUIET_GLANCES = 4  # this many in a row at which it waits for something
_END_S = 10.0


class LaunchError(StrongroomError):
    """The command did not start, or ended too early.

    Attributes:
        status: the exit status for it.
    """

    def __init__(self, message: str, status: int, *, hint: str = "") -> None:
        """Take message, status and hint."""
        super().__init__(message, hint=hint)
        self.status = status


class Launched:
    """A command that runs while the block lasts.

    Its stdin is a pipe on which nothing comes, its stdout is our stderr.

    Attributes:
        pid: the command.
    """

    def __init__(self, words: list[str]) -> None:
        """Take what would follow ``strongroom run``."""
        self._words = words
        self.pid = 0

    def __enter__(self) -> Self:
        """Start it, and wait until it has become quiet.

        Raises:
            LaunchError: it ended.
        """
        stdin, self._stdin = os.pipe()
        executed, executing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become_command(self._words, stdin)
        os.close(stdin)
        os.close(executing)
        try:
            select.select([executed], [], [], _START_TIMEOUT_S)  # ready when exec has closed the other end
            self._settle()
        except BaseException:
            self._kill()
            raise
        finally:
            os.close(executed)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._kill()

    def crash(self, target: Target) -> str:
        """End it by SIGABRT, if no core dump is to be expected, and return whether there was one.

        Returns:
            "" when this was not tried, or it did not end of that.
        """
        if not obstacle_to_dumps(target):
            return ""
        os.kill(self.pid, signal.SIGABRT)
        end = self._end_within(_END_S)
        if end is None or end.si_code not in {os.CLD_KILLED, os.CLD_DUMPED}:
            return ""
        return "core dumped" if end.si_code == os.CLD_DUMPED else "no core"

    def _settle(self) -> None:
        quiet = 0
        deadline = time.monotonic() + _SETTLE_S
        while quiet < _QUIET_GLANCES and time.monotonic() < deadline:
            end = self._end()
            if end:
                status = end.si_status if end.si_code == os.CLD_EXITED else 128 + end.si_status
                msg = f"the command ended with status {status} before it could be attacked"
                raise LaunchError(msg, status or 1, hint="attack a program that keeps running, such as a server")
            state = Path(f"/proc/{self.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            quiet = quiet + 1 if state == "S" else 0
            time.sleep(_GLANCE_S)

    def _end(self) -> os.waitid_result | None:
        """Return how it ended, or None. It stays a zombie, so that its number stays its own until all is over."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def _end_within(self, seconds: float) -> os.waitid_result | None:
        deadline = time.monotonic() + seconds
        while not self._end() and time.monotonic() < deadline:
            time.sleep(_GLANCE_S / 10)
        return self._end()

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._stdin)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the group may be gone, or somebody else's
            os.killpg(self.pid, signal.SIGTERM)
            self._end_within(_END_S)
            os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _become_command(words: list[str], stdin: int) -> NoReturn:
    try:
        die_with_parent()
        os.setsid()  # a group of its own, so that all of it can be ended
        for name in (*VARIABLES, PREFIX + "SAVE_LAUNCH"):  # those are about the container's own launch
            os.environ.pop(name, None)
        os.dup2(stdin, 0)
        os.dup2(2, 1)
        os._exit(run(words))
    finally:
        os._exit(1)

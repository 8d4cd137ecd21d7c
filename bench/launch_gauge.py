"""Times a launch: from exec of what launches to the first instruction of ``main``, with processor time and memory."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from bench.launchers import Launcher
from bench.suite import FailedError, compile_program

_TIMEOUT_S: Final = 120


class LaunchGauge:
    """Runs launches and reads what the two small programs wrote."""

    def __init__(self, directory: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Compile the one that launches, into the directory."""
        self._timeout_s = timeout_s
        self._launch = str(compile_program("launch", directory))
        self._first_file = directory / "first.txt"
        self._used_file = directory / "used.txt"
        self.cpu_s = 0.0
        self.peak_bytes = 0

    def start(self, launcher: Launcher, *, secrets: int) -> tuple[int, int]:
        """Launch once and return when it was exec'd and when ``main`` began, in nanoseconds.

        Raises:
            FailedError: the program did not run to its end with all its secrets.
        """
        self._first_file.unlink(missing_ok=True)
        said_all = self._run(launcher)
        begin, user, system, peak, status = map(int, self._used_file.read_text().split())
        found = self._first_file.read_text().split() if self._first_file.exists() else ["0", "-1"]
        if status or int(found[1]) != secrets:
            said = said_all.decode(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
            msg = f"{launcher.command[0]}: ended with {status}, {found[1]} of {secrets} secrets arrived: {said[0]}"
            raise FailedError(msg)
        self.cpu_s = (user + system) / 1e6
        self.peak_bytes = peak * 1024
        return begin, int(found[0])

    def _run(self, launcher: Launcher) -> bytes:
        """Run to the end, or end all that was started; returns what was said."""
        with subprocess.Popen(
            [self._launch, str(self._used_file), *launcher.command],
            env={**launcher.environ, "BENCH_FIRST": str(self._first_file)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group that can be ended as a whole
        ) as process:
            try:
                output, errors = process.communicate(timeout=self._timeout_s)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise FailedError(f"{launcher.command[0]}: did not end within {self._timeout_s:g} s") from None
        return errors or output

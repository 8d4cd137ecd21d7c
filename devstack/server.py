"""A server as a child process on loopback: how it is found, given ports, started, waited for and ended.

Ports are taken below those that the kernel gives to outgoing connections: one of these could be used by somebody else's
connection between the look at it and the server's start.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

from strongroom.errors import ConfigError, PeerError
from strongroom.linux.process import die_with_parent

_PORTS: Final = range(15_000, 32_000)  # Linux gives out 32768 and above (net.ipv4.ip_local_port_range)
_INHERITED: Final = ("PATH", "HOME", "TMPDIR", "LANG")
_POLL_S: Final = 0.02


class ServerProcess:
    """One server: it ends with the process that started it, and with the block of this context manager.

    Attributes:
        directory: private, of its files.
        log_file: what it writes to stdout and stderr.
        process: that was started last.
    """

    START_TIMEOUT_S: ClassVar = 120.0  # a cold start takes a second or two, on a busy machine far more
    START_ATTEMPTS: ClassVar = 5
    STOP_TIMEOUT_S: ClassVar = 10.0

    process: subprocess.Popen[bytes]

    def __init__(self, name: str, directory: Path) -> None:
        """Make the directory, with mode 0700, if it does not exist. ``name`` is that of the log, and in messages."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = name
        self.directory = directory
        self.log_file = directory / f"{name.lower()}.log"

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    def pause(self) -> None:
        """Stop the process in its tracks: connections are accepted by the kernel and never answered."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # a moment later, where it is running

    def resume(self) -> None:
        """Let a paused process go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the server as an orchestrator would; after STOP_TIMEOUT_S by force."""
        if self.running:
            self.resume()
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.STOP_TIMEOUT_S)
        self.kill()

    def restart(self) -> None:
        """Start a stopped or killed server again, on the same ports.

        Raises:
            PeerError: it does not come up in time.
        """
        self.stop()
        self._launch()
        self._wait_until_it_answers()

    def _start(self) -> None:
        """Start it on free ports. Somebody may take one of them before the server does: then on others."""
        for left in reversed(range(self.START_ATTEMPTS)):
            self._choose_ports()
            self._launch()
            try:
                self._wait_until_it_answers()
            except BaseException as error:
                ended = not self.running
                self.stop()
                if not (ended and left and isinstance(error, PeerError)):
                    raise
            else:
                return

    def _choose_ports(self) -> None:
        """Choose the ports of the next start, unless it was given them."""

    def _launch(self) -> None:
        """Spawn the server with its configuration."""
        raise NotImplementedError

    def _answers(self) -> bool:
        """Return whether it serves."""
        raise NotImplementedError

    def _spawn(
        self,
        command: Sequence[str | Path],
        environ: Mapping[str, str] | None = None,
        *,
        pass_fds: Sequence[int] = (),
        cwd: Path | None = None,
    ) -> None:
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A session of its own: Ctrl-C on the terminal ends the parent, which ends the server in its own order.
            self.process = subprocess.Popen(
                command,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=pass_fds,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads that hold locks here
                cwd=cwd or self.directory,
            )
        finally:
            os.close(log)

    def _wait_until_it_answers(self) -> None:
        """Wait for a server that was just started.

        Raises:
            PeerError: it has ended, or takes longer than START_TIMEOUT_S; the message has the end of its log.
        """
        deadline = time.monotonic() + self.START_TIMEOUT_S
        while not self._answers():
            if not self.running:
                msg = (
                    f"{self.name} ended with status {self.process.returncode} when it was started: {self._last_lines()}"
                )
                raise PeerError(msg, hint=f"see {self.log_file}")
            if time.monotonic() > deadline:
                msg = f"{self.name} does not answer; see {self.log_file}"
                raise PeerError(msg, hint="the machine may be too busy: start it again")
            time.sleep(_POLL_S)

    def _last_lines(self) -> str:
        return " | ".join(self.log_file.read_text(errors="replace").strip().splitlines()[-3:]) or "it printed nothing"


def find_program(name: str) -> Path:
    """Return the path of a program: beside this interpreter, or on PATH.

    Raises:
        ConfigError: there is none.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if found is None:
        msg = f"{name}: not found beside {sys.executable} nor on PATH"
        raise ConfigError(msg, hint="install it with: pip install 'strongroom[dev]'")
    return Path(found)


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on, on the loopback address."""
    with contextlib.ExitStack() as stack:
        probes: list[socket.socket] = []
        while len(probes) < count:
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", random.choice(_PORTS)))  # noqa: S311 - nothing is secret about it
                probes.append(probe)
        return [probe.getsockname()[1] for probe in probes]


def free_port() -> int:
    """Return a port that nobody listens on, on the loopback address."""
    return free_ports(1)[0]

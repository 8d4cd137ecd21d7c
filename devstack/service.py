"""A service of ours as a child process on loopback: started, waited for, and ended as an orchestrator would."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from devstack.authority import write_private
from strongroom.errors import PeerError
from strongroom.linux.process import die_with_parent

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG")


def inherited_environ() -> dict[str, str]:
    """Return what of this process's environment servers of development get."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


class ServiceProcess:
    """One ``python -m PACKAGE --config FILE``: listening when the constructor returns. A context manager.

    Attributes:
        directory: of its files.
        process: that was started.
        config_file: its settings.
        log_file: what it writes to stdout and stderr.
        addresses: host and port of each of its ports, by name.
    """

    module = ""  # what ``python -m`` runs, where it is another than the package

    def __init__(self, package: str, directory: Path, settings: Mapping[str, object]) -> None:
        """Write the settings to a file and start the service with it.

        Args:
            package: what ``python -m`` runs.
            directory: private directory for its configuration and log.
            settings: by name, as the file has them; the addresses are chosen here unless given.

        Raises:
            PeerError: it does not come up in time; the message has the last lines of its log.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.config_file = directory / f"{package}.toml"
        self.log_file = directory / f"{package}.log"
        loopback = {"listen": "127.0.0.1:0", "health_listen": "127.0.0.1:0"}
        write_private(self.config_file, to_toml({**loopback, **settings}).encode())
        self._package = package
        self.addresses = self._start()

    def __enter__(self) -> Self:
        """Return the running service."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the service."""
        self.stop()

    @property
    def health_address(self) -> str:
        """Host and port of /readyz and /metrics."""
        return self.addresses["health"]

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def stop(self) -> None:
        """End it as an orchestrator would; after STOP_TIMEOUT_S by force."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again after it has ended, with the same settings; free ports are chosen anew.

        Raises:
            PeerError: it does not come up in time.
        """
        self.addresses = self._start()

    def _start(self) -> dict[str, str]:
        command = [sys.executable, "-m", self.module or self._package]
        reading, writing = os.pipe()
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.process = subprocess.Popen(
                [*command, "--config", self.config_file, "--ready-fd", str(writing)],
                env=inherited_environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads that hold locks here
                cwd=Path(__file__).resolve().parents[1],
            )
        finally:
            os.close(writing)
            os.close(log)
        with os.fdopen(reading, "rb") as ready:
            readable, _, _ = select.select([ready], [], [], START_TIMEOUT_S)
            line = ready.readline() if readable else b""
        if not line:
            self.stop()
            last = self.log_file.read_text(errors="replace").strip().splitlines()[-3:]
            msg = f"{self._package} does not come up: {' | '.join(last) or 'it printed nothing'}"
            raise PeerError(msg, hint=f"see {self.log_file}")
        addresses: dict[str, str] = json.loads(line)
        return addresses


def to_toml(values: Mapping[str, object]) -> str:
    """Return a TOML table of texts, numbers and truth values; JSON's are TOML's, too."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())

"""A bridge as a child process on loopback, for development, the demo and tests."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from cli.dev.authority import write_private
from strongroom.errors import PeerError
from wrapper.libc import die_with_parent

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0


class BridgeProcess:
    """One ``python -m bridge``: started and listening when the constructor returns. A context manager."""

    def __init__(self, directory: Path, settings: Mapping[str, object]) -> None:
        """Write the settings to a file and start the bridge with it.

        Args:
            directory: private directory for its configuration and log.
            settings: settings by name, as ``bridge.toml`` has them; the addresses are chosen here unless given.

        Raises:
            PeerError: it does not come up in time; the message has the last line of its log.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.config_file = directory / "bridge.toml"
        self.log_file = directory / "bridge.log"
        loopback = {"listen": "127.0.0.1:0", "health_listen": "127.0.0.1:0"}
        # JSON's strings, numbers and booleans are TOML's, too.
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in {**loopback, **settings}.items()]
        write_private(self.config_file, "".join(lines).encode())
        self._start()

    def __enter__(self) -> Self:
        """Return the running bridge."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the bridge."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def stop(self) -> None:
        """End the bridge as an orchestrator would; after STOP_TIMEOUT_S by force."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def _start(self) -> None:
        reading, writing = os.pipe()
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        environ = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bridge", "--config", str(self.config_file), "--ready-fd", str(writing)],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads that hold locks here
                cwd=Path(__file__).resolve().parents[2],
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
            msg = f"the bridge does not come up: {' | '.join(last) or 'it printed nothing'}"
            raise PeerError(msg, hint=f"see {self.log_file}")
        event = json.loads(line)
        self.address: str = event["https"]
        self.health_address: str = event["health"]

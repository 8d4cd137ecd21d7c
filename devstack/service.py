"""A service of ours as a child process on loopback: started, waited for, and ended as an orchestrator would."""

import json
import os
import select
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from devstack.authority import write_private
from devstack.server import ServerProcess
from strongroom.errors import PeerError


class ServiceProcess(ServerProcess):
    """One ``python -m PACKAGE --config FILE``: listening when the constructor returns. A context manager.

    Attributes:
        config_file: its settings.
        addresses: host and port of each of its ports, by name.
    """

    STOP_TIMEOUT_S: ClassVar = 30.0

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
        super().__init__(package, directory)
        self.config_file = directory / f"{package}.toml"
        loopback = {"listen": "127.0.0.1:0", "health_listen": "127.0.0.1:0"}
        write_private(self.config_file, to_toml({**loopback, **settings}).encode())
        self.addresses = self._listen()

    @property
    def health_address(self) -> str:
        """Host and port of /readyz and /metrics."""
        return self.addresses["health"]

    def restart(self) -> None:
        """Start it again after it has ended, with the same settings; free ports are chosen anew.

        Raises:
            PeerError: it does not come up in time.
        """
        self.addresses = self._listen()

    def _listen(self) -> dict[str, str]:
        reading, writing = os.pipe()
        try:
            command = [sys.executable, "-m", self.module or self.name]
            command += ["--config", str(self.config_file), "--ready-fd", str(writing)]
            self._spawn(command, pass_fds=(writing,), cwd=Path(__file__).resolve().parents[1])
        finally:
            os.close(writing)
        with os.fdopen(reading, "rb") as ready:
            readable, _, _ = select.select([ready], [], [], self.START_TIMEOUT_S)
            line = ready.readline() if readable else b""
        if not line:
            self.stop()
            raise PeerError(f"{self.name} does not come up: {self._last_lines()}", hint=f"see {self.log_file}")
        addresses: dict[str, str] = json.loads(line)
        return addresses


def to_toml(values: Mapping[str, object]) -> str:
    """Return a TOML table of texts, numbers and truth values; JSON's are TOML's, too."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


class BridgeProcess(ServiceProcess):
    """One ``python -m bridge``; its settings are those of ``bridge.toml``."""

    def __init__(self, directory: Path, settings: Mapping[str, object]) -> None:
        """Start it; see ServiceProcess."""
        super().__init__("bridge", directory, settings)

    @property
    def address(self) -> str:
        """Host and port of its HTTPS."""
        return self.addresses["https"]

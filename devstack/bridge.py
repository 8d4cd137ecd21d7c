"""A bridge as a child process on loopback, for development, the demo and tests."""

from collections.abc import Mapping
from pathlib import Path

from devstack.service import ServiceProcess


class BridgeProcess(ServiceProcess):
    """One ``python -m bridge``: started and listening when the constructor returns. A context manager."""

    def __init__(self, directory: Path, settings: Mapping[str, object]) -> None:
        """Write the settings to a file and start the bridge with it.

        Args:
            directory: private directory for its configuration and log.
            settings: settings by name, as ``bridge.toml`` has them; the addresses are chosen unless given.

        Raises:
            PeerError: it does not come up in time; the message has the last lines of its log.
        """
        super().__init__("bridge", directory, settings)

    @property
    def address(self) -> str:
        """Host and port of its HTTPS."""
        return self.addresses["https"]

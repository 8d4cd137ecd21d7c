"""The end of systemd's that services tell their state to (sd_notify(3))."""

import socket
import sys

PATIENCE_S = 30.0


class Systemd:
    """The end that systemd holds."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(PATIENCE_S)

    def close(self) -> None:
        self._socket.close()

    def next(self) -> tuple[str, int]:
        """Return the next message and the process that sent it."""
        message, ancillary, _, _ = self._socket.recvmsg(4096, 64)
        return message.decode(), int.from_bytes(ancillary[0][2][:4], sys.byteorder)

    def until(self, wanted: str) -> list[str]:
        """Return messages up to one that begins so."""
        messages = [self.next()[0]]
        while not messages[-1].startswith(wanted):
            messages.append(self.next()[0])
        return messages

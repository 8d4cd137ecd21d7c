"""Ports for servers that have to be told which one to take.

They are taken below those that the kernel gives to outgoing connections: one of these could be used by somebody else's
connection between this look and the server's start.
"""

import contextlib
import random
import socket
from typing import Final

_PORTS: Final = range(15_000, 32_000)  # Linux gives out 32768 and above (net.ipv4.ip_local_port_range)


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

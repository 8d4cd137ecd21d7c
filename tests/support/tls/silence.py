"""A client of TLS that says nothing more, not even goodbye."""

import contextlib
import socket
import ssl

WAIT_S = 20.0  # less than the 30 s that asyncio waits for the other side's goodbye


def wait_for_the_end(connection: ssl.SSLSocket) -> None:
    """Wait until the server has ended a connection whose client no longer takes part in TLS.

    Raises:
        TimeoutError: it keeps it.
    """
    with socket.socket(fileno=connection.detach()) as silent, contextlib.suppress(ConnectionError):
        silent.settimeout(WAIT_S)
        while silent.recv(1000):  # its last words, which nobody answers
            pass

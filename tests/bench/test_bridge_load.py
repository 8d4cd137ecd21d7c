"""Many launches at once: who is told to come back does, and the pause counts."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.bridge_load import BridgeConnection, Caller
from devstack.authority import Authority
from strongroom.errors import PeerError

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Answering(Caller):
    """Calls a server over TLS that gives these answers, one for each connection."""

    def __init__(self, directory: Path, answers: Iterator[bytes]) -> None:
        authority = Authority(directory)
        issued = authority.issue_server("bridge")
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.load_cert_chain(issued.cert, issued.key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._address = self._listening.getsockname()
        self._context = ssl.create_default_context(cafile=str(authority.ca_file))
        self._answers = answers
        threading.Thread(target=self._serve, daemon=True).start()

    def connect(self) -> BridgeConnection:
        plain = socket.create_connection(self._address, timeout=30)
        return BridgeConnection(self._context.wrap_socket(plain, server_hostname="localhost"))

    def _serve(self) -> None:
        for answer in self._answers:
            peer, _ = self._listening.accept()
            with self._server.wrap_socket(peer, server_side=True) as secure:
                secure.recv(1 << 16)
                secure.sendall(answer)
        self._listening.close()


@pytest.fixture
def answering(tmp_path: Path) -> Callable[[list[bytes]], Caller]:
    return lambda answers: Answering(tmp_path, iter(answers))


def test_who_is_told_to_come_back_does_and_the_pause_counts(answering: Callable[[list[bytes]], Caller]) -> None:
    begin = time.perf_counter()

    (waited,) = answering([BUSY, OK]).launches_at_once(1, b"POST / HTTP/1.1\r\n\r\n")

    assert 1 <= waited <= time.perf_counter() - begin


def test_a_refusal_without_a_pause_is_no_sample(answering: Callable[[list[bytes]], Caller]) -> None:
    refusing = answering([b"HTTP/1.1 403 Forbidden\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", OK])

    with pytest.raises(PeerError, match="403 Forbidden"):
        refusing.launches_at_once(1, b"POST / HTTP/1.1\r\n\r\n")

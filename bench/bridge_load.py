"""A client of the bridge that costs little: requests are made before, answers are read and dropped, TLS is real."""

import json
import re
import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final, Self

from bench.launchers import KEYS_PER_PATH
from bench.suite import FailedError
from devstack.stack import DevStack
from strongroom.launch.bundle import BUNDLE_URL_PATH

TIMEOUT_S: Final = 60.0
_BUSY: Final = re.compile(rb"HTTP/1\.1 503 [^\r]*\r\n(?:[^\r]+\r\n)*?(?i:retry-after): ([0-9]+)\r\n")
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n")


class NoRoomError(FailedError):
    """The bridge has no room for a request now."""

    def __init__(self, pause_s: float) -> None:
        """Take the pause that it asks for."""
        super().__init__(f"the bridge has no room, and asks to come back in {pause_s:g} s")
        self.pause_s = pause_s


def bundle_request(secrets: int) -> bytes:
    """Return the request of a launch with this many secrets, as ``launchers.store_secrets`` stored them."""
    places = (divmod(number, KEYS_PER_PATH) for number in range(secrets))
    entries = [
        {"name": f"SECRET_{number}", "parts": [{"path": f"kv/shop/bench-{path}", "key": f"K{key}"}]}
        for number, (path, key) in enumerate(places)
    ]
    body = json.dumps({"entries": entries}).encode()
    head = f"POST {BUNDLE_URL_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Caller:
    """Makes connections to one bridge as one workload."""

    def __init__(self, stack: DevStack, address: str) -> None:
        """Take the certificates of the stack and the address of a bridge."""
        host, _, port = address.rpartition(":")
        self._address = host, int(port)
        self._context = ssl.create_default_context(cafile=str(stack.authority.ca_file))
        self._context.load_cert_chain(stack.client.cert, stack.client.key)

    def connect(self) -> "BridgeConnection":
        """Connect, with a handshake."""
        plain = socket.create_connection(self._address, timeout=TIMEOUT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return BridgeConnection(self._context.wrap_socket(plain, server_hostname="localhost"))

    def launches_at_once(self, count: int, request: bytes) -> list[float]:
        """Let this many callers connect and ask at the same moment; returns the seconds that each waited.

        Who is told to come back later does, as a wrapper would: one workload gets no more than its share of the bridge.
        """
        line = Barrier(count)

        def launch(_: int) -> float:
            line.wait()
            begin = time.perf_counter()
            while True:
                try:
                    with self.connect() as connection:
                        connection.ask(request)
                except NoRoomError as busy:
                    if time.perf_counter() - begin > TIMEOUT_S:
                        raise
                    time.sleep(busy.pause_s)
                else:
                    return time.perf_counter() - begin

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(launch, range(count)))


class BridgeConnection:
    """One connection; a context manager."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        """Take a connected socket."""
        self._tls = tls

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._tls.close()

    def ask(self, request: bytes) -> float:
        """Send a request, read the answer, and return the seconds that this took.

        Raises:
            NoRoomError: the bridge has no room now.
            FailedError: it refuses, or its answer makes no sense.
        """
        begin = time.perf_counter()
        self._tls.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, _, body = data.partition(b"\r\n\r\n")
        if busy := _BUSY.match(head + b"\r\n"):
            raise NoRoomError(float(busy[1]))
        length = _LENGTH.search(head + b"\r\n")
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise FailedError(f"the bridge answers {head[:60]!r} to the load generator")
        left = int(length[1]) - len(body)
        while left > 0:
            left -= len(self._some())
        return time.perf_counter() - begin

    def _some(self) -> bytes:
        piece = self._tls.recv(1 << 16)
        if not piece:
            raise FailedError("the bridge closed the connection in the middle of an answer")
        return piece


def streams(connections: Sequence[BridgeConnection], request: bytes, each: int) -> tuple[float, list[float]]:
    """Ask over kept-alive connections side by side; returns the seconds of the whole and of each request."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(len(connections)) as pool:
        times = pool.map(lambda connection: [connection.ask(request) for _ in range(each)], connections)
        collected = [seconds for some in times for seconds in some]
    return time.perf_counter() - begin, collected

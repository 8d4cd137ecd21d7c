"""S3 requests over a plain socket: what a client sees of an answer, down to how its connection ends."""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION
from s3proxy.s3api.canonical import UNSIGNED_PAYLOAD, encode_path, encode_query
from s3proxy.s3api.signer import Signer, StoreCredential
from strongroom.secret import Secret

TIMEOUT_S = 60
_SAID_OF_THE_KNOWN = b"<Code>InvalidArgument</Code>", b"No key policy of the proxy covers this name."
_NO_BODY = {204, 304}


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: 0 when the connection ended before there was one.
        headers: names in lower case.
        body: as far as it came.
        complete: it is as long as was announced, and the connection did not break before.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    @property
    def ok(self) -> bool:
        """Whether a client takes it for a good answer."""
        return self.complete and 200 <= self.status < 300


class RawClient:
    """A client of a proxy that trusts nothing but bytes: one connection per request, read until it ends.

    Attributes:
        head: of the last answer, as it came.
    """

    _last_of_connection = True

    def __init__(self, proxy: ProxyProcess) -> None:
        """Take the proxy and its only client's credentials."""
        self.head = b""
        self._host, _, port = proxy.address.rpartition(":")
        self._port = int(port)
        self._signer = Signer(StoreCredential(proxy.access_key, Secret(proxy.secret_key.encode()), None), region=REGION)

    def close(self) -> None:
        """Close what is kept, which is nothing."""
        return

    def send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        bucket: str,
        key: str = "",
        *,
        query: tuple[tuple[str, str], ...] = (),
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a request and read what comes until the connection ends."""
        raw_path, raw_query = encode_path(bucket, key), encode_query(query)
        host = f"{self._host}:{self._port}"
        sent = dict(headers or {}) | ({"content-length": str(len(body))} if method in {"PUT", "POST"} else {})
        sent |= self._signer.sign(
            method,
            host=host,
            raw_path=raw_path,
            raw_query=raw_query,
            headers=dict(headers or {}),
            payload_sha256=UNSIGNED_PAYLOAD,
            now=datetime.now(UTC),
        )
        target = raw_path + (f"?{raw_query}" if raw_query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *["Connection: close"] * self._last_of_connection]
        head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in sent.items())]) + "\r\n\r\n"
        return self.exchange(method, [head.encode() + body])

    def exchange(self, method: str, pieces: Sequence[bytes]) -> Answer:
        """Send a request that is put together already, piece by piece, and read what comes until the end."""
        received, clean = bytearray(), True
        with socket.create_connection((self._host, self._port), timeout=TIMEOUT_S) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                while data := connection.recv(1 << 18):
                    received += data
            except (ConnectionResetError, BrokenPipeError):
                clean = False
        self.head = bytes(received).partition(b"\r\n\r\n")[0]
        return _parse(method, bytes(received), clean=clean)


class KeepingClient(RawClient):
    """The same on a connection that is kept, and whose client the proxy knows: there requests may go fast."""

    _last_of_connection = False

    def __init__(self, proxy: ProxyProcess) -> None:
        """Take the proxy and its only client's credentials."""
        super().__init__(proxy)
        self._connection: socket.socket | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self) -> socket.socket:
        """Return a connection whose client the proxy knows."""
        if self._connection is None:
            self._connection = socket.create_connection((self._host, self._port), timeout=TIMEOUT_S)
            greeting = self.send("GET", "greeting", "key", query=(("attributes", ""),))
            assert any(told in greeting.body for told in _SAID_OF_THE_KNOWN), greeting  # by the proxy alone
        return self._connection

    def exchange(self, method: str, pieces: Sequence[bytes]) -> Answer:
        """Send a request that is put together already, piece by piece, and read its answer."""
        connection, received, clean = self.connect(), bytearray(), True
        try:
            for piece in pieces:
                connection.sendall(piece)
            while _is_missing(method, received) and (data := connection.recv(1 << 18)):
                received += data
        except (ConnectionResetError, BrokenPipeError):
            clean = False
        received = _final(received)
        self.head = bytes(received).partition(b"\r\n\r\n")[0]
        answer = _parse(method, bytes(received), clean=clean)
        if not answer.complete or answer.headers.get("connection") == "close":
            self.close()
        return answer


def _final(received: bytearray) -> bytearray:
    """Leave an interim answer out."""
    return received[received.index(b"\r\n\r\n") + 4 :] if received.startswith(b"HTTP/1.1 100 ") else received


def _is_missing(method: str, received: bytearray) -> bool:
    """Return whether something of an answer is still to come; one without a length lasts as long as its connection."""
    head, separator, body = bytes(_final(received)).partition(b"\r\n\r\n")
    if not separator:
        return True
    if method == "HEAD" or int(head.split()[1]) in _NO_BODY:
        return False
    found = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    return found is None or len(body) < int(found[1])


def _parse(method: str, received: bytes, *, clean: bool) -> Answer:
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return Answer(0, {}, b"", complete=False)
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(status_line.split()[1])
    if method == "HEAD" or status in _NO_BODY:
        return Answer(status, headers, body, complete=clean and not body)
    # Anyone who announces no length ends the body with the connection: a reset is all there is to tell by.
    announced = int(headers["content-length"]) if "content-length" in headers else len(body)
    return Answer(status, headers, body, complete=clean and len(body) == announced)

"""S3 requests over a plain socket: what a client sees of an answer, down to how its connection ends."""

import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION
from s3proxy.s3api.canonical import UNSIGNED_PAYLOAD, encode_path, encode_query
from s3proxy.s3api.signer import Signer, StoreCredential
from strongroom.secret import Secret

TIMEOUT_S = 60
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
    """A client of a proxy that trusts nothing but bytes: one connection per request, read until it ends."""

    def __init__(self, proxy: ProxyProcess) -> None:
        """Take the proxy and its only client's credentials."""
        self._host, _, port = proxy.address.rpartition(":")
        self._port = int(port)
        self._signer = Signer(StoreCredential(proxy.access_key, Secret(proxy.secret_key.encode()), None), region=REGION)

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
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
        head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in sent.items())]) + "\r\n\r\n"
        received, clean = bytearray(), True
        with socket.create_connection((self._host, self._port), timeout=TIMEOUT_S) as connection:
            try:
                connection.sendall(head.encode() + body)
                while data := connection.recv(1 << 18):
                    received += data
            except (ConnectionResetError, BrokenPipeError):
                clean = False
        return _parse(method, bytes(received), clean=clean)


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

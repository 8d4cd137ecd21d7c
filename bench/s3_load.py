"""A load generator for S3 that costs next to nothing, so that it is not what is measured.

Requests are signed before the clock starts, plain ones (SigV4, UNSIGNED-PAYLOAD) or those of clients (``shapes``).
Bodies go out with sendfile(2) from memory, and bodies of answers are dropped in the kernel (MSG_TRUNC, tcp(7)) but for
the first of each object, which is compared with what was stored. Every target gets the same bytes but for Host,
signature and the ids of calls. One thread and connection per stream.
"""

import concurrent.futures
import hashlib
import os
import re
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NoReturn, Self
from urllib.parse import urlsplit

from bench.payload import ONE_WRITE_BYTES, Payload
from bench.shapes import REGION, Client, Place, User, is_asked_for, is_framed, signed_head
from bench.suite import FailedError
from s3proxy.s3api.canonical import encode_path, encode_query
from s3proxy.s3api.signer import Signer, StoreCredential
from strongroom.secret import Secret

TIMEOUT_S: Final = 120
_HEAD_END: Final = b"\r\n\r\n"
_LEAVE: Final = b"HTTP/1.1 100 "
_LENGTH: Final = re.compile(rb"(?im)^content-length:[ ]*([0-9]+)\r?$")
_ETAG: Final = re.compile(rb"(?im)^etag:[ ]*(\S+)\r?$")
_DROP_BYTES: Final = 1 << 20


@dataclass
class Endpoint:
    """An S3 server and a user of it."""

    url: str
    access_key: str
    secret_key: str

    @property
    def address(self) -> str:
        """The URL, as a proxy in front of it calls it."""
        return self.url


@dataclass(frozen=True)
class Request:
    """A request that is ready to be sent.

    Attributes:
        head: of the request.
        body: that follows it.
        asks: whether the body waits for ``100 Continue``.
    """

    head: bytes
    body: Payload | None = None
    asks: bool = False

    @property
    def first_bytes(self) -> bytes:
        """What leaves with the first write."""
        return self.head + self.body.small if self.body and not self.asks else self.head


class Requests:
    """Makes signed requests for one endpoint and bucket."""

    def __init__(self, endpoint: Endpoint, bucket: str) -> None:
        """Take where they go."""
        self._host = urlsplit(endpoint.url).netloc
        self._bucket = bucket
        self._user = User(access_key=endpoint.access_key, secret_key=endpoint.secret_key)
        self._signer = Signer(StoreCredential(endpoint.access_key, Secret(endpoint.secret_key.encode())), REGION)

    def get(self, key: str, query: str = "") -> Request:
        """Return a GetObject."""
        return Request(self._head("GET", key, query))

    def put(self, key: str, body: Payload, query: str = "") -> Request:
        """Return a PutObject."""
        return Request(self._head("PUT", key, query, length=body.size), body)

    def get_by(self, client: Client, key: str) -> Request:
        """Return a GetObject as a client sends it."""
        return Request(self._head_by(client, "GET", key))

    def put_by(self, client: Client, key: str, body: Payload) -> Request:
        """Return a PutObject as a client sends it; the body keeps what it looks like on the way."""
        head = self._head_by(client, "PUT", key, body)
        return Request(head, body.framed() if is_framed(client, "PUT") else body, is_asked_for(client, "PUT"))

    def post(self, key: str, query: str, body: Payload | None = None) -> Request:
        """Return a POST, as multipart uploads have them."""
        return Request(self._head("POST", key, query, length=body.size if body else 0), body)

    def list(self, prefix: str, token: str = "") -> Request:
        """Return a ListObjectsV2 of up to 1,000 keys; the token is that of the page before."""
        query = [("list-type", "2"), ("prefix", prefix), *([("continuation-token", token)] if token else [])]
        return Request(self._head("GET", "", encode_query(query)))

    def make_bucket(self) -> Request:
        """Return a CreateBucket."""
        return Request(self._head("PUT", "", "", length=0))

    def _head_by(self, client: Client, method: str, key: str, body: Payload | None = None) -> bytes:
        place = Place(host=self._host, path=encode_path(self._bucket, key))
        return signed_head(
            client, method, place, self._user, now=datetime.now(UTC), invocation=str(uuid.uuid4()), body=body
        )

    def _head(self, method: str, key: str, query: str, *, length: int | None = None) -> bytes:
        path = encode_path(self._bucket, key)
        headers = self._signer.sign(
            method, host=self._host, raw_path=path, raw_query=query, headers={}, now=datetime.now(UTC)
        )
        headers["host"] = self._host
        if length is not None:
            headers["content-length"] = str(length)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path}{'?' + query if query else ''} HTTP/1.1\r\n{lines}\r\n".encode()


class Connection:
    """One kept-alive connection; a context manager."""

    def __init__(self, url: str) -> None:
        """Connect."""
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # by the kernel: Python's own costs a poll(2) each time
            self._socket.setsockopt(socket.SOL_SOCKET, way, struct.pack("ll", TIMEOUT_S, 0))
        self._room = bytearray(_DROP_BYTES)

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def timed(self, request: Request) -> float:
        """Send a request, wait for the whole answer, and return the seconds that this took.

        Raises:
            FailedError: the answer is not a success.
        """
        first = request.first_bytes
        begin = time.perf_counter()
        self._send(first, request)
        body, left, status, head = self._answer_head()
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            body += self._room[: self._some(left)] if left else b""
            _refuse(head, body)
        while left:
            left -= self._some(left, socket.MSG_TRUNC)
        return time.perf_counter() - begin

    def fetch(self, request: Request) -> bytes:
        """Send a request and return the body of the answer.

        Raises:
            FailedError: the answer is not a success.
        """
        pieces: list[bytes] = []
        self._read(request, pieces.append)
        return b"".join(pieces)

    def put_part(self, request: Request) -> str:
        """Send a request and return the ETag of the answer.

        Raises:
            FailedError: the answer is not a success, or has none.
        """
        found = _ETAG.search(self._read(request, lambda _: None))
        if found is None:
            raise FailedError("the server answers without an ETag")
        return found[1].decode()

    def sha256(self, request: Request) -> bytes:
        """Send a request and return the digest of the body of the answer.

        Raises:
            FailedError: the answer is not a success.
        """
        digest = hashlib.sha256()
        self._read(request, digest.update)
        return digest.digest()

    def _read(self, request: Request, take: Callable[[bytes], object]) -> bytes:
        self._send(request.first_bytes, request)
        body, left, status, head = self._answer_head()
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            body += self._room[: self._some(left)] if left else b""
            _refuse(head, body)
        take(body)
        while left:
            size = self._some(left)
            take(bytes(memoryview(self._room)[:size]))
            left -= size
        return head

    def _send(self, first: bytes, request: Request) -> None:
        self._socket.sendall(first)
        body = request.body
        if request.asks:
            self._await_leave()
        if body is None or (body.small and not request.asks):
            return
        if body.small:
            self._socket.sendall(body.small)
            return
        offset = 0
        while offset < body.size:
            place = offset % body.block
            count = min(body.block - place, body.size - offset)
            offset += os.sendfile(self._socket.fileno(), body.descriptor, place, count)

    def _await_leave(self) -> None:
        """Wait for 100 Continue; a client would send the body after a second without it, and measure nothing."""
        data = b""
        while not data.endswith(_HEAD_END):
            data += memoryview(self._room)[: self._some(ONE_WRITE_BYTES)]
            if not _LEAVE.startswith(data[: len(_LEAVE)]):
                head, _, body = data.partition(_HEAD_END)
                _refuse(head, body)

    def _some(self, at_most: int, flags: int = 0) -> int:
        size = self._socket.recv_into(self._room, min(at_most, _DROP_BYTES), flags)
        if not size:
            raise FailedError("the server closed the connection in the middle of an answer")
        return size

    def _answer_head(self) -> tuple[bytes, int, int, bytes]:
        """Return what came of the body already, how much is missing, the status, and the head."""
        data = b""
        while (end := data.find(_HEAD_END)) < 0:
            size = self._some(ONE_WRITE_BYTES)
            data += memoryview(self._room)[:size]
        head, body = data[:end], data[end + len(_HEAD_END) :]
        status = int(head[9:12])
        if status == HTTPStatus.CONTINUE:
            raise FailedError("the server answers 100 Continue without being asked")
        length = _LENGTH.search(head)
        if length is None and status != HTTPStatus.NO_CONTENT:
            raise FailedError(f"the server answers {status} without a Content-Length")
        return body, (int(length[1]) if length else 0) - len(body), status, head


def _refuse(head: bytes, body: bytes) -> NoReturn:
    """Tell what the server says instead of a success; the first kilobyte tells it."""
    line = head.partition(b"\r\n")[0].decode("latin-1")
    raise FailedError(f"the server answers {line!r} {body[:1000].decode('utf-8', 'replace')}")


def at_once(url: str, streams: Sequence[Iterable[Request]]) -> tuple[float, list[float]]:
    """Run streams of requests side by side, each on its own connection.

    Returns:
        The seconds from the first request to the last answer, and the seconds of each request.

    Raises:
        FailedError: an answer is not a success.
    """
    connections = [Connection(url) for _ in streams]
    try:
        with concurrent.futures.ThreadPoolExecutor(len(streams)) as pool:
            begin = time.perf_counter()
            jobs = [
                pool.submit(lambda one, requests: [one.timed(request) for request in requests], connection, requests)
                for connection, requests in zip(connections, streams, strict=True)
            ]
            times = [seconds for job in jobs for seconds in job.result()]
            return time.perf_counter() - begin, times
    finally:
        for connection in connections:
            connection.close()

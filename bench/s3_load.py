"""A load generator for S3 that costs next to nothing, so that it is not what is measured.

Requests are signed before the clock starts (SigV4, UNSIGNED-PAYLOAD). Bodies go out with sendfile(2) from memory, and
bodies of answers are dropped in the kernel (MSG_TRUNC, tcp(7)) but for the first of each object, which is compared with
what was stored. Every target gets the same bytes but for Host and signature. One thread and connection per stream.
"""

import concurrent.futures
import hashlib
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NoReturn, Self
from urllib.parse import urlsplit

from bench.suite import FailedError
from s3proxy.s3api.canonical import encode_path, encode_query
from s3proxy.s3api.signer import Signer, StoreCredential
from strongroom.secret import Secret

REGION: Final = "us-east-1"
TIMEOUT_S: Final = 120
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"(?im)^content-length:[ ]*([0-9]+)\r?$")
_ETAG: Final = re.compile(rb"(?im)^etag:[ ]*(\S+)\r?$")
_ONE_WRITE: Final = 1 << 16  # bodies up to this size leave together with their head
_DROP_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 1 << 24


@dataclass(frozen=True)
class Endpoint:
    """An S3 server and a user of it."""

    url: str
    access_key: str
    secret_key: str


class Payload:
    """Random bytes in memory, ready for sendfile(2). Large ones repeat a block, which no server here looks for."""

    def __init__(self, size: int, content: bytes = b"") -> None:
        """Make this many random bytes: what cannot be compressed cannot be made to look quick. Or take the content."""
        content = content or os.urandom(min(size, _BLOCK_BYTES))
        self.size = size or len(content)
        self.block = len(content)
        self.descriptor = os.memfd_create("payload", os.MFD_CLOEXEC)
        os.write(self.descriptor, content)
        self.small = content if self.size <= _ONE_WRITE else b""

    def sha256(self) -> bytes:
        """Return the digest of all its bytes."""
        digest, content = hashlib.sha256(), os.pread(self.descriptor, self.block, 0)
        for _ in range(self.size // self.block if self.block else 0):
            digest.update(content)
        digest.update(content[: self.size % self.block if self.block else 0])
        return digest.digest()

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.descriptor)


@dataclass(frozen=True)
class Request:
    """A request that is ready to be sent."""

    head: bytes
    body: Payload | None = None

    @property
    def first_bytes(self) -> bytes:
        """What leaves with the first write."""
        return self.head + self.body.small if self.body else self.head


class Requests:
    """Makes signed requests for one endpoint and bucket."""

    def __init__(self, endpoint: Endpoint, bucket: str) -> None:
        """Take where they go."""
        self._host = urlsplit(endpoint.url).netloc
        self._bucket = bucket
        self._signer = Signer(StoreCredential(endpoint.access_key, Secret(endpoint.secret_key.encode())), REGION)

    def get(self, key: str, query: str = "") -> Request:
        """Return a GetObject."""
        return Request(self._head("GET", key, query))

    def put(self, key: str, body: Payload, query: str = "") -> Request:
        """Return a PutObject."""
        return Request(self._head("PUT", key, query, length=body.size), body)

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
        self._send(first, request.body)
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
        self._send(request.first_bytes, request.body)
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

    def _send(self, first: bytes, body: Payload | None) -> None:
        self._socket.sendall(first)
        if body is not None and not body.small:
            offset = 0
            while offset < body.size:
                place = offset % body.block
                count = min(body.block - place, body.size - offset)
                offset += os.sendfile(self._socket.fileno(), body.descriptor, place, count)

    def _some(self, at_most: int, flags: int = 0) -> int:
        size = self._socket.recv_into(self._room, min(at_most, _DROP_BYTES), flags)
        if not size:
            raise FailedError("the server closed the connection in the middle of an answer")
        return size

    def _answer_head(self) -> tuple[bytes, int, int, bytes]:
        """Return what came of the body already, how much is missing, the status, and the head."""
        data = b""
        while (end := data.find(_HEAD_END)) < 0:
            size = self._some(_ONE_WRITE)
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

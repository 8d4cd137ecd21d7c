"""A small S3 server over TLS that keeps every byte of each request that it gets."""

import hashlib
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from devstack.authority import Authority

_LENGTH = re.compile(rb"(?im)^content-length: *([0-9]+)\r$")


@dataclass(frozen=True)
class Seen:
    """A request: its head with the empty line behind it, its body as it was framed, and the content."""

    head: bytes
    body: bytes
    content: bytes


class Recorder:
    """Keeps what is put, and gives it back; a context manager would be longer than ``close``.

    Attributes:
        host: name and port.
        ca_file: of the authority of its certificate.
        seen: the requests, in order.
    """

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        issued = authority.issue_server("recorder")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(issued.cert, issued.key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._stored: dict[bytes, bytes] = {}
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.ca_file = authority.ca_file
        self.seen: list[Seen] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept nobody any longer."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def find(self, method: str, path: str) -> Seen:
        """Return the only request with this method for a path."""
        begin = f"{method} {path}".encode()
        (found,) = (one for one in self.seen if re.match(re.escape(begin) + rb"[ ?]", one.head))
        return found

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with self._tls.wrap_socket(peer, server_side=True) as secure, secure.makefile("rb") as reading:
            while head := _head(reading):
                if b"expect: 100-continue\r\n" in head.lower():
                    secure.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                body, content = _body(reading, head)
                self.seen.append(Seen(head, body, content))
                secure.sendall(self._answer(head, content))

    def _answer(self, head: bytes, content: bytes) -> bytes:
        method, target, _ = head.split(b" ", 2)
        key = target.partition(b"?")[0]
        if method == b"PUT":
            self._stored[key] = content
        if key not in self._stored:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        stored = self._stored[key]
        lines = [
            b"HTTP/1.1 200 OK",
            b"Content-Length: %d" % (0 if method == b"PUT" else len(stored)),
            b'ETag: "%b"' % hashlib.md5(stored).hexdigest().encode(),  # noqa: S324 - what an ETag is
            b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (stored if method == b"GET" else b"")


def _head(reading: BufferedReader) -> bytes:
    lines = b""
    while line := reading.readline():
        lines += line
        if line == b"\r\n":
            return lines
    return b""


def _body(reading: BufferedReader, head: bytes) -> tuple[bytes, bytes]:
    """Return a body as it came, and without its framing."""
    if found := _LENGTH.search(head):
        body = reading.read(int(found[1]))
        return body, body
    if b"transfer-encoding: chunked\r\n" not in head.lower():
        return b"", b""
    body, outer = _chunks(reading)
    return body, outer if b"aws-chunked" not in head else _aws_chunks(outer)


def _chunks(reading: BufferedReader) -> tuple[bytes, bytes]:
    raw, content = b"", b""
    while True:
        line = reading.readline()
        data = reading.read(int(line, 16) + 2)
        raw, content = raw + line + data, content + data[:-2]
        if len(data) == len(b"\r\n"):
            return raw, content


def _aws_chunks(stream: bytes) -> bytes:
    content = b""
    while True:
        line, _, stream = stream.partition(b"\r\n")
        size = int(line, 16)
        if not size:
            return content
        content, stream = content + stream[:size], stream[size + 2 :]

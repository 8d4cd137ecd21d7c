"""A bridge that plays scripts: a TLS server on loopback that obeys the HTTP contract, or breaks it on purpose."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Self

from strongroom.launch.answer import Layout, encode_layout
from strongroom.launch.bundle import FILES_MEDIA_TYPE, REGION_MEDIA_TYPE, decode_request
from strongroom.launch.problem import PROBLEM_MEDIA_TYPE
from strongroom.launch.region import encode

Script = Callable[[ssl.SSLSocket], None]

_LONG_S = 30.0  # far above what any test waits; a server thread must not outlive its test for ever


def read_request(connection: ssl.SSLSocket) -> tuple[bytes, bytes]:
    """Return head and body of the request on a connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += _more(connection)
    return head, body


def _more(connection: ssl.SSLSocket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionAbortedError
    return data


def response(status: int, body: bytes, *headers: str, media_type: str = REGION_MEDIA_TYPE) -> bytes:
    """Return a whole response."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def problem(status: int, *headers: str, detail: str = "", failures: list[dict[str, str]] | None = None) -> bytes:
    """Return a whole problem response."""
    body = json.dumps({"title": "T", "status": status, "detail": detail, "failures": failures or []}).encode()
    return response(status, body, *headers, media_type=PROBLEM_MEDIA_TYPE)


def answer(*pieces: bytes) -> Script:
    """A script that reads the request and sends these pieces, each in TLS records of its own."""

    def play(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        for piece in pieces:
            connection.sendall(piece)

    return play


def bundle(values: Mapping[str, bytes]) -> Script:
    """A script that answers a bundle request from a table by the names of variables, as the bridge would."""

    def play(connection: ssl.SSLSocket) -> None:
        request = decode_request(read_request(connection)[1])
        wanted = [entry.name for entry in request.entries if entry.name in values]
        if request.from_paths:
            wanted += [name for name in values if name not in wanted and name not in request.exclude]
        if not request.has_files:
            connection.sendall(response(200, encode((name, values[name]) for name in wanted)))
            return
        files = {entry.name: values[entry.name] for entry in request.entries if entry.as_file and entry.name in wanted}
        image = encode((name, values[name]) for name in wanted if name not in files)
        connection.sendall(response(200, with_files(image, files), media_type=FILES_MEDIA_TYPE))

    return play


def with_files(image: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return the body of an answer with files."""
    layout = Layout(len(image), {name: len(content) for name, content in files.items()})
    return b"".join([encode_layout(layout), image, *files.values()])


class FakeBridge:
    """A listening socket whose connections play the scripts in turn, the last one for ever."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        *scripts: Script,
        family: socket.AddressFamily = socket.AF_INET,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._context = context
        self._scripts = list(scripts)
        self._stopping = threading.Event()
        self._listener = socket.create_server((host if family == socket.AF_INET else "::1", port), family=family)
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        host = host if family == socket.AF_INET else "[::1]"
        self.url = f"https://{host}:{self.port}"
        self.connections = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):  # wakes accept()
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_LONG_S)
        self._listener.close()

    def until_stopped(self) -> None:
        """For scripts: hold the connection open until the test is over."""
        self._stopping.wait(_LONG_S)

    def wait_stopped(self, timeout_s: float) -> bool:
        """For scripts that drip: wait this long, or return True when the test is over."""
        return self._stopping.wait(timeout_s)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._start(self._play, plain, script)

    def _play(self, plain: socket.socket, script: Script) -> None:
        plain.settimeout(_LONG_S)
        with contextlib.suppress(OSError), plain:
            if self._context is None:
                script(plain)  # type: ignore[arg-type]  # a script for a server without TLS
                return
            with self._context.wrap_socket(plain, server_side=True) as connection:
                script(connection)


@contextlib.contextmanager
def refusing(host: str = "127.0.0.1") -> Iterator[int]:
    """Yield a port of a loopback address at which nobody listens, nor will: it is bound."""
    with socket.socket() as held:
        held.bind((host, 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def full_backlog(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Yield a port of a loopback address where connecting neither succeeds nor fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener, contextlib.ExitStack() as stack:
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):  # listen(0) holds one or two; the rest hang, which is the point
            client = stack.enter_context(socket.socket(family))
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]

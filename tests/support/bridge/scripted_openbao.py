"""A server that answers what a test says, byte by byte, and keeps what it was sent."""

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Final

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n")
Answer = Callable[[socket.socket], None]


class ScriptedOpenBao:
    """Answers request after request; the last answer stands for all that follow.

    Attributes:
        requests: all that came, of all connections, in their order.
        connections: how many there were.
    """

    def __init__(self, *answers: bytes | Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        """Listen.

        Args:
            answers: what to send, or what to do with the connection; after b"" it is closed.
            tls: None for plain HTTP.
            host: to listen at.
        """
        self._answers = list(answers)
        self._tls = tls
        self._listener = socket.create_server((host, 0))
        self._open: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = self._listener.getsockname()[1]
        self.address = f"{'https' if tls else 'http'}://{host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def end_connections(self) -> None:
        """Close all connections, as a server does that has waited for long."""
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop."""
        self._listener.close()
        self.end_connections()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError):
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection:
                self._open.append(connection)
                while request := _request_from(connection):
                    self.requests.append(request)
                    answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
                    if answer == b"":
                        return
                    if isinstance(answer, bytes):
                        connection.sendall(answer)
                    else:
                        answer(connection)
                        return


@contextlib.contextmanager
def scripted(*answers: bytes | Answer, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedOpenBao]:
    """Run one."""
    server = ScriptedOpenBao(*answers, tls=tls)
    try:
        yield server
    finally:
        server.close()


def answer(body: bytes, head: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Return an answer with a body."""
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def cut(sent: bytes, *, reset: bool = False) -> Answer:
    """Return what sends something, and ends the connection by FIN or RST."""

    def act(connection: socket.socket) -> None:
        connection.sendall(sent)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return act


def then_silence(sent: bytes, let: threading.Event) -> Answer:
    """Return what sends something and nothing more until the test lets it."""

    def act(connection: socket.socket) -> None:
        connection.sendall(sent)
        let.wait(30)

    return act


def _request_from(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            return b""
        data += piece
    length = _LENGTH.search(data)
    whole = data.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
    while len(data) < whole:
        data += connection.recv(1 << 16)
    return data

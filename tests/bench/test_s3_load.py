"""The load generator: what it sends, what it refuses, and that it does not lose count."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bench.payload import Payload
from bench.s3_load import Connection, Endpoint, Requests, at_once
from strongroom.errors import PeerError

Answer = Callable[[bytes, bytes], bytes]


class Server:
    """Reads whole requests and answers each with what a function of head and body gives; b"" ends the connection."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.seen: list[tuple[bytes, bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as reading:
            while head := b"".join(itertools.takewhile(_is_header, iter(reading.readline, b""))):
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
                )
                body = reading.read(length)
                self.seen.append((head, body))
                answer = self._answer(head, body)
                if not answer:
                    return
                peer.sendall(answer)


def _is_header(line: object) -> bool:
    return line != b"\r\n"


def ok(body: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def requests(server: Server) -> Requests:
    return Requests(Endpoint(server.url, "AK", "SK"), "bucket")


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, (1 << 24) + 12_345])
def test_a_body_arrives_whole(serve: Callable[[Answer], Server], size: int) -> None:
    server = serve(lambda _head, _body: ok())
    payload = Payload(size)

    with Connection(server.url) as connection:
        connection.timed(requests(server).put("key", payload))
        connection.timed(requests(server).get("key"))

    (head, body), (second, _) = server.seen
    assert head.startswith(b"PUT /bucket/key HTTP/1.1\r\n")
    assert b"x-amz-content-sha256: UNSIGNED-PAYLOAD" in head
    assert len(body) == size
    assert second.startswith(b"GET /bucket/key HTTP/1.1\r\n")
    payload.close()


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_001])
def test_answers_are_read_to_their_end(serve: Callable[[Answer], Server], size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    server = serve(lambda _head, _body: ok(body[:size]))

    with Connection(server.url) as connection:
        connection.timed(requests(server).get("key"))
        assert connection.fetch(requests(server).get("key")) == body[:size]


def test_a_request_takes_as_long_as_the_server_waits(serve: Callable[[Answer], Server]) -> None:
    def wait(_head: bytes, _body: bytes) -> bytes:
        time.sleep(0.05)
        return ok(b"late")

    slow, quick = serve(wait), serve(lambda _head, _body: ok(b"soon"))
    with Connection(slow.url) as waiting, Connection(quick.url) as other:
        pairs = [(waiting.timed(requests(slow).get("key")), other.timed(requests(quick).get("key"))) for _ in range(9)]

    assert all(late >= 0.05 for late, _ in pairs)
    # The quickest of each kind: what a busy machine adds to the others is no server's.
    assert 0.03 < min(late for late, _ in pairs) - min(soon for _, soon in pairs) < 0.25


def test_a_page_of_a_listing_continues_the_one_before(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda _head, _body: ok())

    with Connection(server.url) as connection:
        connection.timed(requests(server).list("some/"))
        connection.timed(requests(server).list("some/", "a/b+c="))

    first, second = (head.partition(b"\r\n")[0] for head, _ in server.seen)
    assert b"continuation-token" not in first
    assert b"continuation-token=a%2Fb%2Bc%3D" in second


@pytest.mark.parametrize("size", [1, 100_000, (1 << 24) + 5])
def test_a_payload_knows_its_digest(serve: Callable[[Answer], Server], size: int) -> None:
    stored: list[bytes] = []

    def store(head: bytes, body: bytes) -> bytes:
        if head.startswith(b"PUT"):
            stored.append(body)
        return ok() if head.startswith(b"PUT") else ok(stored[-1])

    server, payload = serve(store), Payload(size)
    with Connection(server.url) as connection:
        connection.timed(requests(server).put("key", payload))
        assert connection.sha256(requests(server).get("key")) == payload.sha256()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n", "503 Slow Down"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "without a Content-Length"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "100 Continue"),
        (b"", "closed the connection"),
    ],
)
def test_what_is_no_success_is_no_sample(serve: Callable[[Answer], Server], answer: bytes, words: str) -> None:
    server = serve(lambda _head, _body: answer)

    with Connection(server.url) as connection, pytest.raises(PeerError, match=words):
        connection.timed(requests(server).get("key"))


def test_a_body_is_sent_only_after_leave() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        payload = Payload(1024)
        request = Requests(Endpoint(url, "AK", "SK"), "bucket").put_by("boto3", "key", payload)
        seen: list[bytes] = []

        def refuse() -> None:
            peer, _ = listening.accept()
            with peer, peer.makefile("rb") as reading:
                seen.extend(itertools.takewhile(_is_header, iter(reading.readline, b"")))
                peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                seen.append(reading.read())

        server = threading.Thread(target=refuse, daemon=True)
        server.start()
        with Connection(url) as connection, pytest.raises(PeerError, match="403 Forbidden"):
            connection.timed(request)
        server.join()

    assert b"Expect: 100-continue\r\n" in seen
    assert seen[-1] == b""
    payload.close()


def test_a_body_follows_when_leave_comes_in_pieces() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        payload = Payload(1024)
        request = Requests(Endpoint(url, "AK", "SK"), "bucket").put_by("boto3", "key", payload)
        body = b"".join(payload.framed().pieces())
        seen: list[bytes] = []

        def take() -> None:
            peer, _ = listening.accept()
            with peer, peer.makefile("rb") as reading:
                list(itertools.takewhile(_is_header, iter(reading.readline, b"")))
                for piece in (b"HTTP/1.", b"1 100 Continue\r\n", b"\r\n"):
                    peer.sendall(piece)
                seen.append(reading.read(len(body)))
                peer.sendall(ok())

        server = threading.Thread(target=take, daemon=True)
        server.start()
        with Connection(url) as connection:
            connection.timed(request)
        server.join()

    assert seen == [body]
    payload.close()


def test_calls_of_a_client_differ(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda _head, _body: ok())

    one, other = (requests(server).get_by("javascript", "key").head for _ in range(2))

    assert one != other
    assert len(one) == len(other)


def test_streams_run_side_by_side_and_each_request_is_counted(serve: Callable[[Answer], Server]) -> None:
    together = threading.Barrier(4, timeout=30)

    def answer(_head: bytes, _body: bytes) -> bytes:
        together.wait()  # passes only when four requests are at the server at once
        return ok()

    server = serve(answer)
    seconds, times = at_once(server.url, [[requests(server).get("key")] * 3 for _ in range(4)])

    assert len(times) == 12
    assert seconds >= max(times)

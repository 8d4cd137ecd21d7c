"""Large answers of OpenBao: one at a time, an end to each, and small ones beside them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from strongroom.errors import UnavailableError, UndeliverableError
from strongroom.openbao.connection import Call, Endpoint, OpenBao
from tests.support.process.waiting import wait_for

MIB = 1 << 20


class Sizes(BaseHTTPRequestHandler):
    """Answers ``/v1/N`` with N bytes in all, the last of them when the test lets it."""

    protocol_version = "HTTP/1.1"
    let = threading.Event()
    begun = threading.Semaphore(0)

    def do_GET(self) -> None:
        size = int(self.path.rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        body = b'{"k":"' + b"x" * (size - 8) + b'"}'
        try:
            self.wfile.write(body[:-1])
            self.begun.release()
            if size > MIB:
                self.let.wait(20)
            self.wfile.write(body[-1:])
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def openbao() -> Iterator[OpenBao]:
    Sizes.let.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sizes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield OpenBao(Endpoint(f"http://127.0.0.1:{server.server_port}"))
    finally:
        Sizes.let.set()
        server.shutdown()
        server.server_close()
        thread.join()


def get(openbao: OpenBao, size: int, *, within_s: float = 20.0) -> int:
    call = Call(operation="read", method="GET", path=str(size), deadline=time.monotonic() + within_s)
    return len(str(openbao.exchange(call).document["k"])) + 8


def test_an_answer_of_openbao_that_never_ends_is_not_taken(openbao: OpenBao) -> None:
    Sizes.let.set()
    with pytest.raises(UndeliverableError, match="more than 34 MiB"):
        get(openbao, 64 * MIB)
    assert get(openbao, 100) == 100


def test_large_answers_of_openbao_come_one_at_a_time_and_small_ones_beside_them(openbao: OpenBao) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(get, openbao, 3 * MIB)
        assert Sizes.begun.acquire(timeout=20)
        assert get(openbao, MIB // 2) == MIB // 2
        wait_for(lambda: not openbao._large._value, "the first one has its turn")
        with pytest.raises(UnavailableError, match="another large secret"):
            get(openbao, 3 * MIB, within_s=2)
        Sizes.let.set()
        assert first.result() == 3 * MIB
    assert get(openbao, 3 * MIB) == 3 * MIB

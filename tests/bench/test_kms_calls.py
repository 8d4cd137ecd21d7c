"""Counting calls of the KMS: a proxy that does not count is not a proxy without calls."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.per_object import REQUESTS, count_kms_calls
from bench.s3_load import Endpoint
from bench.s3_targets import Target
from bench.suite import Run
from strongroom.errors import PeerError
from tests.bench.runs import result

Count = Callable[[int], tuple[int, int]]
NAME = "strongroom_s3proxy_bucket_keys_total"


class Proxy(ThreadingHTTPServer):
    """Answers every request with nothing, and /metrics with what a function of the number of requests gives."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, count: Count, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.count, self.name, self.seen = count, name, 0
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy
    wbufsize = -1  # head and body in one piece

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def do_GET(self) -> None:
        body = b""
        if self.path == "/metrics":
            hits, misses = self.server.count(self.server.seen)
            body = "".join(
                f'{self.server.name}{{result="{kind}"}} {number}.0\n'
                for kind, number in (("hit", hits), ("miss", misses))
            ).encode()
        else:
            with self.server.lock:
                self.server.seen += 1
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., Target]]:
    servers = []

    def start(count: Count, name: str = NAME) -> Target:
        server = Proxy(count, name)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        return Target(Endpoint(f"http://{address}", "AK", "SK"), 1, health=address)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(directory=tmp_path, cache=tmp_path, quick=True, result=result(), tell=lambda *_: None)


def test_the_first_calls_of_a_proxy_and_those_of_a_warm_one_are_told_apart(
    serve: Callable[..., Target], run: Run
) -> None:
    count_kms_calls(run, serve(lambda seen: (max(seen - 3, 0), min(seen, 3))), suite="s")

    assert {claim.name: (claim.value.value, claim.aim) for claim in run.result.claims} == {
        "s/KMS calls of the first 1,000 requests": (3, None),
        "s/KMS calls per 1,000 requests": (0, 1),
    }


def test_a_call_for_each_request_misses_the_aim(serve: Callable[..., Target], run: Run) -> None:
    count_kms_calls(run, serve(lambda seen: (0, seen)), suite="s")

    assert run.result.claims[-1].value.value == REQUESTS
    assert run.result.claims[-1].is_met is False


@pytest.mark.parametrize(
    ("count", "name"),
    [(lambda seen: (seen, 0), "renamed_total"), (lambda seen: (seen // 2, 0), NAME), (lambda _: (9000, 9), NAME)],
    ids=["another name", "too few", "stands still"],
)
def test_a_proxy_that_does_not_count_each_request_is_refused(
    serve: Callable[..., Target], run: Run, count: Count, name: str
) -> None:
    with pytest.raises(PeerError, match="bucket keys in 1000 requests"):
        count_kms_calls(run, serve(count, name), suite="s")

"""Clients that go, or take nothing: nobody else is blamed, and nothing of the proxy is held for them."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for
from tests.support.s3.relay import Exchange, StoreRelay

BUCKET = "gone"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST
IDLE_S = 2.0
REFUSED = b"GET /bucket/%s HTTP/1.1\r\nHost: h\r\n\r\n" % (b"k" * 7000)  # which the refusal names


@pytest.fixture
def relay(store: SeaweedServer) -> Iterator[StoreRelay]:
    with StoreRelay(store.address) as relay:
        yield relay


@pytest.fixture
def watched(tmp_path: Path, store: SeaweedServer, relay: StoreRelay) -> Iterator[ProxyProcess]:
    """A proxy whose log is read, behind the relay."""
    settings = {"store_address": relay.address, "body_idle_timeout_s": IDLE_S}
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        yield proxy


def events(proxy: ProxyProcess, name: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in proxy.log_file.read_text().splitlines() if line.endswith("}"))
    return [line for line in lines if line.get("event") == name]


def connect(proxy: ProxyProcess, *, buffer_bytes: int = 0) -> socket.socket:
    host, _, port = proxy.address.rpartition(":")
    client = socket.socket()
    if buffer_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    client.connect((host, int(port)))
    return client


@pytest.mark.parametrize("size", [100, 1 << 20], ids=["in one packet", "in pieces"])
def test_a_client_that_goes_while_the_store_answers_is_not_held_against_the_store(
    watched: ProxyProcess, relay: StoreRelay, size: int
) -> None:
    reached, gone = threading.Event(), threading.Event()

    def hold(exchange: Exchange, head: bytes) -> bytes:
        if exchange.method == "GET" and exchange.target.startswith(f"/{BUCKET}/"):  # and none of the proxy's own
            reached.set()
            gone.wait(60)
        return head

    with contextlib.closing(client_of(watched.url, watched.access_key, watched.secret_key)) as s3:
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="k", Body=bytes(size))
        url = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k"}))
        relay.rewrite = hold
        with connect(watched) as client:
            client.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
            assert reached.wait(60)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        gone.set()
        wait_for(lambda: [e for e in events(watched, "request") if e["operation"] == "GetObject"], "the request's end")
        s3.delete_object(Bucket=BUCKET, Key="k")
        s3.delete_bucket(Bucket=BUCKET)
    (request,) = [event for event in events(watched, "request") if event["operation"] == "GetObject"]
    assert request["status"] == 0
    assert request["sent"] == 0
    assert not events(watched, "request_failed")


def test_a_client_that_takes_no_refusals_is_cut(watched: ProxyProcess) -> None:
    """Without credentials: it could hold a place of each other client otherwise."""
    pending = REFUSED
    with connect(watched, buffer_bytes=4096) as client:  # full after a few refusals
        client.settimeout(IDLE_S)

        def is_cut() -> bool:
            """Ask on for as long as anything is taken; a proxy that is only busy takes more later."""
            nonlocal pending
            try:
                while True:
                    pending = pending[client.send(pending) :] or REFUSED
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_for(is_cut, "the connection to be cut", timeout_s=60)

"""Clients that send or take slowly, or that nobody knows: others are served at once, and the slow ones are cut off."""

import contextlib
import http.client
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from devstack.authority import write_private
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for
from tests.support.s3.relay import Exchange, StoreRelay

pytestmark = pytest.mark.early

MIB = 1 << 20
BUCKET = "slow-clients"
SMALL = b"small"
FORM = (
    b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=bb\r\nContent-Length: %d\r\n\r\n"
    b"--bb\r\nContent-Disposition: form-data; name=a\r\n\r\n"
)
LONG_S = 600.0
INTERVAL_S = 2.0  # a busy machine keeps a client of ours from sending for longer than a fraction of a second
Start = Callable[..., ProxyProcess]


@pytest.fixture
def start(tmp_path: Path, store: SeaweedServer) -> Iterator[Start]:
    """Start a proxy with settings, and with a small and a large object behind it."""
    with contextlib.ExitStack() as stack:

        def make(**settings: str | float) -> ProxyProcess:
            proxy = stack.enter_context(ProxyProcess(tmp_path / "proxy", store, settings=settings))
            with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3:
                with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
                    s3.create_bucket(Bucket=BUCKET)
                s3.put_object(Bucket=BUCKET, Key="small", Body=SMALL)
                s3.put_object(Bucket=BUCKET, Key="large", Body=os.urandom(16 * MIB))
            return proxy

        yield make


@pytest.fixture
def held() -> Iterator[list[socket.socket]]:
    """Sockets that are closed at the end."""
    sockets: list[socket.socket] = []
    yield sockets
    for one in sockets:
        one.close()


def connect(proxy: ProxyProcess, held: list[socket.socket], data: bytes) -> socket.socket:
    host, _, port = proxy.address.rpartition(":")
    one = socket.create_connection((host, int(port)), timeout=60)
    held.append(one)
    one.sendall(data)
    return one


def presigned(proxy: ProxyProcess, operation: str, key: str) -> str:
    with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key, signature_version="s3v4")) as s3:
        url = urlsplit(s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key}))
    return f"{url.path}?{url.query}"


def request(proxy: ProxyProcess, operation: str, key: str, length: int = 0) -> bytes:
    method = {"put_object": "PUT", "get_object": "GET"}[operation]
    head = f"{method} {presigned(proxy, operation, key)} HTTP/1.1\r\nHost: {proxy.address}\r\n"
    return (head + (f"Content-Length: {length}\r\n" if length else "") + "\r\n").encode()


def require_others_served(proxy: ProxyProcess) -> None:
    """Ask for what is short, without a second try, and for readiness."""
    with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3:
        assert s3.get_object(Bucket=BUCKET, Key="small")["Body"].read() == SMALL
        assert s3.head_object(Bucket=BUCKET, Key="large")["ContentLength"] == 16 * MIB
        assert {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]} >= {"small", "large"}
        s3.put_object(Bucket=BUCKET, Key="also-small", Body=SMALL)
    wait_for(lambda: json.loads(ask_health(proxy, "/readyz"))["ready"], "readiness, in which the store may be slow")


def ask_health(proxy: ProxyProcess, path: str) -> str:
    connection: Any = http.client.HTTPConnection(proxy.health_address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read().decode()  # type: ignore[no-any-return]


def metric(proxy: ProxyProcess, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", ask_health(proxy, "/metrics"), re.MULTILINE)
    return float(found[1]) if found else 0.0


def shed(proxy: ProxyProcess, reason: str) -> float:
    return metric(proxy, f'strongroom_s3proxy_shed_total{{reason="{reason}"}}')


def in_flight(proxy: ProxyProcess) -> float:
    return metric(proxy, "strongroom_s3proxy_requests_in_flight")


def until_closed(one: socket.socket) -> bytes:
    """Return what comes until the proxy has closed a connection."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while data := one.recv(1 << 16):
            got += data
    return got


def test_forms_of_unknown_senders_take_neither_places_nor_memory_from_known_ones(
    start: Start, held: list[socket.socket]
) -> None:
    proxy = start(max_unknown_requests=8, max_requests=8, short_body_timeout_s=LONG_S)
    for number in range(40):
        connect(proxy, held, FORM % (BUCKET.encode(), MIB if number % 2 else 100 * MIB))
    wait_for(lambda: shed(proxy, "unknown_requests") >= 32, "the forms above the limit to be refused")
    assert metric(proxy, "strongroom_s3proxy_memory_reserved_bytes") <= 8 * MIB
    require_others_served(proxy)


def test_a_form_without_a_signature_is_refused_when_its_fields_have_come_and_takes_no_place_of_known_ones(
    start: Start, held: list[socket.socket]
) -> None:
    """The anonymous principal may be given READ and LIST only: with these, too, its forms stay those of nobody."""
    proxy = start(max_unknown_requests=4, max_requests=2, short_body_timeout_s=LONG_S, reload_interval_s=0.05)
    with (proxy.directory / "credentials.toml").open("a") as file:
        file.write(f'\n[[anonymous]]\nbuckets = ["{BUCKET}"]\nrights = ["read", "list"]\n')
    get = b"GET /%s/small HTTP/1.1\r\nHost: x\r\n\r\n" % BUCKET.encode()
    wait_for(lambda: connect(proxy, held, get).recv(12) == b"HTTP/1.1 200", "the grant to be in force")
    field = b'--bb\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
    for _ in range(4):
        connect(proxy, held, FORM % (BUCKET.encode(), 100 * MIB))
    wait_for(lambda: in_flight(proxy) == 4, "all places of unknown senders to be taken")
    require_others_served(proxy)
    assert metric(proxy, "strongroom_s3proxy_memory_reserved_bytes") <= 8 * MIB
    for form in held[-4:]:
        form.sendall(b"b\r\n" + field % b"key" + b"k\r\n" + field % b"file" + b"the file begins")
    for form in held[-4:]:
        assert form.recv(1000).startswith(b"HTTP/1.1 403 ")
    wait_for(lambda: in_flight(proxy) == 0, "their places to be free")
    assert metric(proxy, "strongroom_s3proxy_memory_reserved_bytes") == 0


def test_the_fields_of_a_form_have_one_deadline_however_they_drip(start: Start, held: list[socket.socket]) -> None:
    proxy = start(short_body_timeout_s=2.0)
    form = connect(proxy, held, FORM % (BUCKET.encode(), 80_000))
    form.settimeout(0.1)
    answer = b""
    while not answer:
        with contextlib.suppress(TimeoutError):
            form.sendall(b"a")
            answer = form.recv(1000)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"RequestTimeout" in answer
    wait_for(lambda: shed(proxy, "short_body") == 1, "it to be counted")


def test_slow_uploads_leave_connections_to_the_store_for_what_is_short(start: Start, held: list[socket.socket]) -> None:
    proxy = start(store_connections=8, body_idle_timeout_s=LONG_S, body_rate_interval_s=LONG_S)
    for number in range(12):
        connect(proxy, held, request(proxy, "put_object", f"slow-{number}", 20 * MIB) + bytes(300_000))
    wait_for(lambda: metric(proxy, 'strongroom_s3proxy_store_seconds_count{outcome="busy"}') >= 6, "six to be refused")
    require_others_served(proxy)
    assert in_flight(proxy) >= 6  # the slow ones go on


def test_readers_that_take_nothing_leave_connections_to_the_store_for_what_is_short(
    start: Start, held: list[socket.socket]
) -> None:
    proxy = start(store_connections=8, body_idle_timeout_s=LONG_S, body_rate_interval_s=LONG_S)
    for _ in range(12):
        connect(proxy, held, request(proxy, "get_object", "large"))
    wait_for(lambda: metric(proxy, 'strongroom_s3proxy_store_seconds_count{outcome="busy"}') >= 6, "six to be refused")
    require_others_served(proxy)


def test_a_sender_below_the_least_rate_is_told_and_cut_off(start: Start, held: list[socket.socket]) -> None:
    proxy = start(body_rate_interval_s=INTERVAL_S, body_least_bytes_s=1000)
    slow = connect(proxy, held, request(proxy, "put_object", "slow", 20 * MIB) + bytes(MIB))
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.05):
                slow.sendall(b"1")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        assert b"RequestTimeout" in until_closed(slow)
    finally:
        stop.set()
        dripping.join()
    wait_for(lambda: shed(proxy, "body") == 1, "it to be counted")
    wait_for(lambda: in_flight(proxy) == 0, "its place to be free")


def test_a_steady_sender_above_the_least_rate_is_not_cut_off(start: Start, held: list[socket.socket]) -> None:
    proxy = start(body_rate_interval_s=INTERVAL_S, body_least_bytes_s=1000, body_idle_timeout_s=60.0)
    body = os.urandom(MIB + 1)
    steady = connect(proxy, held, request(proxy, "put_object", "steady", len(body)) + body[:-100_000])
    begin = time.monotonic()
    for at in range(len(body) - 100_000, len(body), 2000):  # for several intervals
        time.sleep(0.1)
        steady.sendall(body[at : at + 2000])
    assert time.monotonic() - begin > 2 * INTERVAL_S
    assert steady.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_reader_that_takes_nothing_is_cut_off(start: Start, held: list[socket.socket]) -> None:
    proxy = start(body_rate_interval_s=INTERVAL_S)
    reader = connect(proxy, held, request(proxy, "get_object", "large"))
    wait_for(lambda: shed(proxy, "answer") == 1, "it to be cut off")
    assert len(until_closed(reader)) < 16 * MIB
    wait_for(lambda: in_flight(proxy) == 0, "its place to be free")


def test_a_reader_that_takes_slowly_but_enough_gets_everything(start: Start, held: list[socket.socket]) -> None:
    proxy = start(body_rate_interval_s=INTERVAL_S, body_idle_timeout_s=60.0)
    reader = connect(
        proxy, held, request(proxy, "get_object", "large").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    )
    got = 0
    while data := reader.recv(1 << 18):
        got += len(data)
        time.sleep(0.08)  # for several intervals
    assert got > 16 * MIB


def test_silent_connections_are_displaced_and_cut_off(start: Start, held: list[socket.socket]) -> None:
    proxy = start(max_unknown_connections=8, head_timeout_s=2.0)
    for _ in range(60):
        connect(proxy, held, b"")
    require_others_served(proxy)
    wait_for(lambda: shed(proxy, "displaced") + shed(proxy, "handshake") >= 60, "all of them to be gone")
    assert all(until_closed(one) == b"" for one in held)


OPEN_FOR_ALL = """\
[[credential]]
access_key_id = "owner"
secret_key = "owner-secret-key"

[[credential.grant]]
buckets = ["*"]
rights = ["read", "write", "list", "delete", "admin"]

[[anonymous]]
buckets = ["*"]
rights = ["read"]
"""


@pytest.mark.parametrize(("method", "status"), [("PUT", b"403"), ("GET", b"200")], ids=["refused", "served"])
def test_strangers_that_announce_a_body_and_send_none_make_room_at_once(
    tmp_path: Path, store: SeaweedServer, held: list[socket.socket], method: str, status: bytes
) -> None:
    """They are read from for a while, so that those that still send a body can read what they are told."""
    write_private(tmp_path / "open.toml", OPEN_FOR_ALL.encode())
    settings = {
        "max_connections": 16,
        "max_unknown_connections": 8,
        "credentials_file": str(tmp_path / "open.toml"),
    }
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        with contextlib.closing(client_of(proxy.url, "owner", "owner-secret-key")) as s3:
            with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
                s3.create_bucket(Bucket=BUCKET)
            s3.put_object(Bucket=BUCKET, Key="small", Body=SMALL)
        head = f"{method} /{BUCKET}/small HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
        for _ in range(60):
            stranger = connect(proxy, held, head)
            assert stranger.recv(12) == b"HTTP/1.1 " + status
        assert shed(proxy, "displaced") >= 30
        with contextlib.closing(client_of(proxy.url, "owner", "owner-secret-key")) as s3:
            assert s3.get_object(Bucket=BUCKET, Key="small")["Body"].read() == SMALL


def test_readiness_blames_the_connections_and_not_the_store_when_all_are_in_use(
    tmp_path: Path, store: SeaweedServer, held: list[socket.socket]
) -> None:
    with StoreRelay(store.address) as relay:
        settings = {"store_address": relay.address, "store_connections": 1}
        with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
            reached, go_on = threading.Event(), threading.Event()

            def hold(exchange: Exchange, head: bytes) -> bytes:
                if exchange.method == "HEAD" and exchange.target.startswith(f"/{BUCKET}/"):  # and none of the proxy's
                    reached.set()
                    go_on.wait(60)
                return head

            relay.rewrite = hold
            with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3:
                url = urlsplit(s3.generate_presigned_url("head_object", Params={"Bucket": BUCKET, "Key": "any"}))
            head = f"HEAD {url.path}?{url.query} HTTP/1.1\r\nHost: {proxy.address}\r\n\r\n".encode()
            connect(proxy, held, head)
            assert reached.wait(60)
            store_part = json.loads(ask_health(proxy, "/readyz"))["store"]
            go_on.set()
            assert store_part == {"ok": False, "detail": "all 1 connections to the store are in use"}
            wait_for(lambda: json.loads(ask_health(proxy, "/readyz"))["store"]["ok"], "it to be ready again")

"""The fast path from outside: what goes fast, what is handed over, and that nothing it takes is kept."""

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for
from tests.support.s3.relay import Exchange, Fault, Harm
from tests.support.s3.twins import Twins, Wish, pieces_of

BUCKET = "fast"
CHUNK = 1 << 16
SMALL = b"x" * 40
EXPECT = {"expect": "100-continue"}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[Twins]:
    with Twins(tmp_path_factory.mktemp("fast"), store, settings={"store_idle_timeout_s": 5.0}) as running:
        client = client_of(running.fast.url, running.fast.access_key, running.fast.secret_key)
        client.create_bucket(Bucket=BUCKET)
        for key, body in (("small", SMALL), ("chunk", os.urandom(CHUNK)), ("long", os.urandom(3 * CHUNK))):
            client.put_object(Bucket=BUCKET, Key=key, Body=body)
        client.close()
        for proxy in (running.fast, running.general):  # each has a bucket key of its own for what it seals
            assert running.send_to(proxy, put("warm")).answer.ok
        yield running


def get(key: str, **headers: str) -> Wish:
    return Wish(method="GET", path=f"/{BUCKET}/{key}", headers=headers)


def put(key: str, size: int = 40, **more: Any) -> Wish:
    return Wish(method="PUT", path=f"/{BUCKET}/{key}", size=size, **more)


@contextlib.contextmanager
def leaving(twins: Twins, *reasons: str) -> Iterator[None]:
    """Assert that the fast path leaves exactly these requests, in the block, to the general one."""
    assert twins.send_to(twins.fast, get("small")).answer.ok  # so both its connections are there and at rest
    before = twins.left()
    yield
    assert twins.left() - before == Counter(reasons)


def is_for_clients(exchange: Exchange) -> bool:
    """Return whether the store is asked for a client: the proxies look at their keys by themselves."""
    return exchange.target.startswith(f"/{BUCKET}/")


def asked_since(twins: Twins, before: int) -> list[Exchange]:
    """Return what the store was asked for clients behind this many exchanges."""
    return [one for one in twins.relay.exchanges[before:] if is_for_clients(one)]


@pytest.mark.parametrize("payload", ["unsigned", "hashed", "trailer", "signed", "signed-trailer"])
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK])
def test_what_sdks_put_goes_fast_however_they_sign_it(twins: Twins, payload: str, size: int) -> None:
    with leaving(twins):
        told = twins.send_to(twins.fast, put("of%20an%20SDK%2B%C3%BC", size, payload=payload))
    assert told.answer.ok
    assert twins.send_to(twins.general, get("of%20an%20SDK%2B%C3%BC")).answer.body == b"x" * size


@pytest.mark.parametrize("payload", ["trailer", "signed-trailer"])
@pytest.mark.parametrize("size", [0, 1, CHUNK])
@pytest.mark.parametrize("chunk", [1 << 20, 100])
def test_what_boto3_puts_goes_fast_in_chunks_of_http(twins: Twins, chunk: int, size: int, payload: str) -> None:
    with leaving(twins):
        told = twins.send_to(twins.fast, put("in-chunks", size, payload=payload, chunk=chunk, headers=EXPECT))
    assert told.answer.ok
    assert twins.send_to(twins.general, get("in-chunks")).answer.body == b"x" * size


def test_a_body_of_unknown_length_is_not_kept_beyond_what_goes_fast(twins: Twins) -> None:
    """It says that it has 40 bytes, and goes on: the general path refuses it, as soon as it is more than a chunk."""
    wish = put("endless", payload="trailer", chunk=1 << 20)
    [raw] = pieces_of(wish, twins.fast)
    head, _, _ = raw.partition(b"\r\n\r\n")
    client = twins.clients[0]
    with leaving(twins, "size"):
        connection = client.connect()
        connection.sendall(head + b"\r\n\r\n20000\r\n" + b"x" * (CHUNK + 9000))
        answer = client.exchange("PUT", [b"x"])
    assert answer.status == 400
    assert b"<Code>InvalidRequest</Code>" in answer.body


@pytest.mark.parametrize(
    ("sent", "is_taken"),
    [
        (b"gzip, chunked", True),
        (b"Chunked", True),
        (b"chunked\r\ntransfer-encoding: chunked", False),
        (b"chunked\r\ncontent-length: 9", False),
    ],
)
def test_a_coding_that_is_not_plainly_one_does_not_go_fast(twins: Twins, sent: bytes, is_taken: bool) -> None:  # noqa: FBT001
    [raw] = pieces_of(put("coding", payload="trailer", chunk=1 << 20), twins.fast)
    raw = raw.replace(b"transfer-encoding: chunked", b"transfer-encoding: " + sent, 1)
    twins.clients[0].connect()  # which greets the proxy
    before = twins.left()
    answer = twins.clients[0].exchange("PUT", [raw])
    assert answer.ok is is_taken
    assert twins.left() - before == Counter(["message"] * is_taken)  # the others are no HTTP


@pytest.mark.parametrize("chunk", [0, 1 << 20])
def test_a_body_that_is_longer_than_it_says_is_refused_by_the_general_path(twins: Twins, chunk: int) -> None:
    wish = put("longer", 41, payload="trailer", chunk=chunk, headers={"x-amz-decoded-content-length": "40"})
    told = twins.send(wish)
    assert {one.answer.status for one in told} == {400}
    assert told[0].answer.body.partition(b"<RequestId>")[0] == told[1].answer.body.partition(b"<RequestId>")[0]


@pytest.mark.parametrize(
    "wish",
    [
        get("small", **{"x-amz-checksum-mode": "ENABLED", "accept-encoding": "identity", "user-agent": "Boto3/1.40"}),
        get("chunk"),
        get("small", range="bytes=3-9"),
        get("long", range="bytes=65530-65540"),
        Wish(method="GET", path=f"/{BUCKET}/%73mall", query=(("x-id", "GetObject"),)),
        Wish(method="GET", path=f"/{BUCKET}/small", sign="presigned"),
        Wish(method="GET", path=f"/{BUCKET}/small", sign="presigned", query=(("response-content-type", "text/html"),)),
        Wish(method="HEAD", path=f"/{BUCKET}/long"),
        get("small", **{"if-none-match": '"another"'}),
    ],
)
def test_what_sdks_read_goes_fast(twins: Twins, wish: Wish) -> None:
    with leaving(twins):
        told = twins.send_to(twins.fast, wish)
    assert told.answer.ok
    assert told.view == twins.send_to(twins.general, wish).view


def test_boto3_goes_fast_once_its_connection_is_known(twins: Twins) -> None:
    client = client_of(twins.fast.url, twins.fast.access_key, twins.fast.secret_key)
    with leaving(twins, "client"):
        for number in range(5):
            key = f"dir with blanks/{number},ü"
            client.put_object(Bucket=BUCKET, Key=key, Body=b"x" * number, Metadata={"a": "b"})
            assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"x" * number
            assert client.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == number
    client.close()


@pytest.mark.parametrize(
    ("wish", "reason", "status"),
    [
        (get("none"), "answer", 404),
        (get("small", **{"if-match": '"another"'}), "answer", 412),
        (get("small", range="bytes=40-"), "answer", 416),
        (get("long"), "answer", 200),
        (get("long", range="bytes=0-65536"), "size", 206),
        (get("small", **{"if-range": '"another"', "range": "bytes=0-1"}), "condition", 200),
        (Wish(method="GET", path=f"/{BUCKET}/small", query=(("partNumber", "1"),)), "query", 200),
        (Wish(method="GET", path=f"/{BUCKET}/small", query=(("tagging", ""),)), "operation", 200),
        (Wish(method="GET", path=f"/{BUCKET}/folder/"), "name", 404),
        (Wish(method="GET", path=f"/{BUCKET}/small", sign="wrong"), "refused", 403),
        (put("long", CHUNK + 1), "size", 200),
        (put("short", payload="hashed", harm=7), "body", 400),
        (put("short", payload="trailer", harm=7, chunk=1 << 20), "body", 400),
        (put("unframed", chunk=1 << 20), "refused", 411),
        (put("new", headers={"if-none-match": "*"}), "condition", 200),
    ],
)
def test_what_is_not_plain_takes_the_general_path_once(twins: Twins, wish: Wish, reason: str, status: int) -> None:
    with leaving(twins, reason):
        before = len(twins.relay.exchanges)
        told = twins.send_to(twins.fast, wish)
    assert told.answer.status == status
    asked = Counter((one.method, one.target) for one in asked_since(twins, before))
    assert all(count == 1 for count in asked.values()), "nothing was asked of the store a second time"


def test_a_body_that_comes_late_is_handed_over_and_taken_all_the_same(twins: Twins) -> None:
    wish = put("late", 1000)
    [raw] = pieces_of(wish, twins.fast)
    client = twins.clients[0]
    with leaving(twins, "slow"):
        connection = client.connect()
        connection.sendall(raw[:-900])
        before = twins.left()
        wait_for(lambda: twins.left() - before, "the fast path gives it up")
        answer = client.exchange("PUT", [raw[-900:]])
    assert answer.ok
    assert twins.send_to(twins.general, get("late")).answer.body == wish.body


def stalling(method: str) -> Any:
    def plan(exchange: Exchange) -> Fault | None:
        return Fault(Harm.STALL_ANSWER, 0) if exchange.method == method and is_for_clients(exchange) else None

    return plan


@pytest.mark.parametrize("wish", [get("small"), put("stalled")], ids=["get", "put"])
def test_a_store_that_does_not_answer_is_given_up_in_its_time_and_was_asked_once(twins: Twins, wish: Wish) -> None:
    with leaving(twins, "slow"):
        before = len(twins.relay.exchanges)
        twins.relay.plan = stalling(wish.method)
        try:
            told = twins.send_to(twins.fast, wish)
        finally:
            twins.relay.plan = lambda _: None
            twins.relay.release()
    assert told.answer.status == 503
    assert b"<Code>SlowDown</Code>" in told.answer.body
    assert len(asked_since(twins, before)) == 1


@pytest.mark.parametrize("harm", [Harm.RESET_ANSWER, Harm.END_ANSWER])
@pytest.mark.parametrize("after", [0, 40, 500])
def test_a_get_whose_answer_breaks_is_told_as_on_the_general_path(twins: Twins, harm: Harm, after: int) -> None:
    told = []
    for proxy in (twins.fast, twins.general):
        twins.clients[proxy is twins.general].connect()
        twins.relay.plan = lambda exchange: Fault(harm, after) if exchange.method == "GET" else None
        try:
            told.append(twins.send_to(proxy, get("small")).view)
        finally:
            twins.relay.plan = lambda _: None
    assert told[0] == told[1]


def test_a_put_that_the_store_refuses_is_sent_once_and_its_answer_told(twins: Twins) -> None:
    with leaving(twins, "answer"):
        before = len(twins.relay.exchanges)
        twins.relay.plan = lambda exchange: Fault(Harm.REFUSE) if exchange.method == "PUT" else None
        try:
            told = twins.send_to(twins.fast, put("refused"))
        finally:
            twins.relay.plan = lambda _: None
    assert told.answer.status == 500
    assert [one.method for one in asked_since(twins, before)] == ["PUT"]


def idle(twins: Twins) -> bool:
    """Return whether the proxy with the fast path holds nothing."""
    with urlopen(f"http://{twins.fast.health_address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return all(f"strongroom_s3proxy_{name} 0.0" in lines for name in ("requests_in_flight", "memory_reserved_bytes"))


@pytest.mark.parametrize("wish", [get("small"), put("gone")], ids=["get", "put"])
def test_a_client_that_goes_while_the_store_is_asked_leaves_nothing_behind(twins: Twins, wish: Wish) -> None:
    client = twins.clients[0]
    asked: list[Exchange] = []

    def plan(exchange: Exchange) -> Fault | None:
        if exchange.method != wish.method or not is_for_clients(exchange):
            return None
        asked.append(exchange)
        return Fault(Harm.STALL_ANSWER, 0)

    def let_go() -> bool:
        twins.relay.release()  # again: the answer may not have come as far as where it is held
        return idle(twins)

    with leaving(twins):
        connection = client.connect()
        twins.relay.plan = plan
        try:
            connection.sendall(b"".join(pieces_of(wish, twins.fast)))
            wait_for(lambda: asked, "the store is asked")
            client.close()
            wait_for(lambda: not idle(twins), "what is held shows in the gauges, which are set once a second")
        finally:
            twins.relay.plan = lambda _: None
        wait_for(let_go, "nothing is held")
    assert twins.send_to(twins.fast, get("small")).answer.body == SMALL


@pytest.mark.parametrize("wish", [get("small"), put("before")], ids=["get", "put"])
def test_what_comes_behind_a_request_that_is_held_is_answered_next(twins: Twins, wish: Wish) -> None:
    may_answer = threading.Event()
    asked: list[Exchange] = []

    def plan(exchange: Exchange) -> Fault | None:
        if exchange.method == wish.method and is_for_clients(exchange) and not asked:
            asked.append(exchange)
            may_answer.wait(30)  # in the relay's thread: nothing is answered before
        return None

    twins.send_to(twins.fast, get("small"))
    connection = twins.clients[0].connect()
    twins.relay.plan = plan
    try:
        connection.sendall(b"".join(pieces_of(wish, twins.fast)))
        wait_for(lambda: asked, "the store is asked")
        connection.sendall(b"".join(pieces_of(get("chunk"), twins.fast)))
    finally:
        may_answer.set()
        twins.relay.plan = lambda _: None
    assert answers_on(connection, 2) == [(200, 40 if wish.method == "GET" else 0), (200, CHUNK)]


def answers_on(connection: socket.socket, count: int) -> list[tuple[int, int]]:
    """Return the status of each of the next answers, and the length of its body."""
    answers = []
    with connection.makefile("rb") as reading:  # one, as it may read on into the next answer
        for _ in range(count):
            status = int(reading.readline().split()[1])
            length = int(http.client.parse_headers(reading)["content-length"])
            answers.append((status, len(reading.read(length))))
    return answers


def test_requests_in_a_row_on_one_connection_are_answered_in_their_order(twins: Twins) -> None:
    wishes = [get("small"), put("row", 5), get("chunk"), get("none"), get("small")]
    raw = b"".join(piece for wish in wishes for piece in pieces_of(wish, twins.fast))
    host, _, port = twins.fast.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        for begin in range(0, len(raw), 333):
            connection.sendall(raw[begin : begin + 333])
        answers = answers_on(connection, len(wishes))
    assert [status for status, _ in answers] == [200, 200, 200, 404, 200]
    assert [size for _, size in answers[:3]] == [40, 0, CHUNK]


def records_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_records_and_log_are_those_of_the_general_path(tmp_path: Path, store: SeaweedServer) -> None:
    """All but times and ids."""
    wishes = [
        put("recorded", 100, payload="trailer"), get("recorded"), get("recorded", range="bytes=1-5"), get("none"),
        Wish(method="HEAD", path=f"/{BUCKET}/recorded"),
        Wish(method="GET", path=f"/{BUCKET}/recorded", sign="presigned"),
        put("recorded", payload="hashed", harm=3), get("recorded", **{"user-agent": "agent/1"}),
    ]  # fmt: skip
    with Twins(tmp_path, store) as twins:
        for wish in wishes * 2:
            twins.send(wish)
        files = [tmp_path / f"{name}.jsonl" for name in ("fast", "general")]
        wait_for(lambda: all(len(records_of(file)) > 2 * len(wishes) for file in files), "all is recorded")
        assert sum(twins.left().values()) < len(wishes)
    own = {"time", "request_id", "requester", "total_time_ms", "store_request_ids"}
    records = [
        [
            {k: v for k, v in one.items() if k not in own} | {"asked": len(one["store_request_ids"])}
            for one in records_of(file)[2:]  # behind what tells who the client is, and the first key of all
        ]
        for file in files
    ]
    assert records[0] == records[1]
    logged = []
    for proxy in ("fast", "general"):
        lines = [json.loads(line) for line in (tmp_path / proxy / "s3proxy.log").read_text().splitlines()]
        kept = ("event", "operation", "status", "received", "sent", "code", "reason")
        logged.append([{k: one.get(k) for k in kept} for one in lines if one["event"].startswith("request")])
    assert logged[0] == logged[1]


def test_the_setting_switches_it_off(twins: Twins) -> None:
    with urlopen(f"http://{twins.general.health_address}/metrics") as answer:
        assert b"general_path_total{" not in answer.read()


def test_a_drain_lets_what_is_under_way_come_to_its_end(tmp_path: Path, store: SeaweedServer) -> None:
    with Twins(tmp_path, store) as twins:
        assert twins.send_to(twins.fast, put("drained")).answer.ok
        client = twins.clients[0]
        connection = client.connect()
        asked: list[Exchange] = []
        may_answer = threading.Event()

        def plan(exchange: Exchange) -> Fault | None:
            if exchange.method == "GET" and is_for_clients(exchange):
                asked.append(exchange)
                may_answer.wait(30)  # in the relay's thread: the moment is the case
            return None

        twins.relay.plan = plan
        connection.sendall(b"".join(pieces_of(get("drained"), twins.fast)))
        wait_for(lambda: asked, "the store is asked")
        twins.fast.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in twins.fast.log_file.read_text(), "the drain has begun")
        may_answer.set()
        answer = client.exchange("GET", [])
        assert answer.ok
        assert answer.body == SMALL
        assert answer.headers["connection"] == "close"

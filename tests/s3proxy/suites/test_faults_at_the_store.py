"""The store fails at random points of requests: what was acknowledged stands, and nothing else does.

The numbers are small here; STRONGROOM_TEST_FAULTS raises them for a run by hand.
"""

import json
import os
import random
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.s3proxy.suites.conftest import FAST, make_bucket
from tests.support.process.waiting import wait_for
from tests.support.s3.raw import Answer, KeepingClient, RawClient
from tests.support.s3.relay import QUIET, Exchange, Fault, Harm, StoreRelay

ROUNDS = int(os.environ.get("STRONGROOM_TEST_FAULTS", "300"))
BUCKET = "faults"
LEAST = 5 << 20
IDLE_S = 1.0
BROKEN = (Harm.RESET_REQUEST, Harm.REFUSE, Harm.RESET_ANSWER, Harm.END_ANSWER)


class World(NamedTuple):
    """A proxy whose way to the store leads over a relay."""

    relay: StoreRelay
    proxy: ProxyProcess
    raw: RawClient
    client: Any
    bare: Any


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any, way: str) -> Iterator[World]:
    with StoreRelay(store.address) as relay:
        settings: dict[str, object] = {"store_address": relay.address, "store_idle_timeout_s": IDLE_S}
        settings |= {"body_idle_timeout_s": 5.0, "fast_path": way == FAST}
        with ProxyProcess(tmp_path_factory.mktemp("faults"), store, settings=settings | QUIET) as proxy:
            client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
            make_bucket(bare, BUCKET)
            client.put_object(Bucket=BUCKET, Key="first", Body=b"makes the bucket key")
            relay.settle()
            raw = KeepingClient(proxy) if way == FAST else RawClient(proxy)
            yield World(relay, proxy, raw, client, bare)
            raw.close()
            client.close()


class Once:
    """Lets one fault happen to the n-th request of an operation."""

    def __init__(self, fault: Fault, *, skip: int = 0, method: str = "") -> None:
        self._fault, self._skip, self._method = fault, skip, method
        self.happened = False

    def __call__(self, exchange: Exchange) -> Fault | None:
        if self.happened or (self._method and exchange.method != self._method):
            return None
        self._skip -= 1
        if self._skip >= 0:
            return None
        self.happened = True
        return self._fault


class Model:
    """What may stand under each name: one body, or several after a write whose outcome nobody was told."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self._world, self._dice = world, dice
        self.possible: dict[str, set[bytes | None]] = {}
        self.outcomes: dict[tuple[str, bool], int] = {}

    def write(self, key: str, body: bytes | None, *, acknowledged: bool) -> None:
        before = self.possible.get(key, {None})
        arrived = any(_may_have_arrived(exchange, key) for exchange in self._world.relay.exchanges)
        self.possible[key] = {body} if acknowledged else before | {body} if arrived else before
        self.check(key)

    def check(self, key: str) -> None:
        """Read a name with a store that works, and know from now on what stands there."""
        self._world.relay.plan = lambda _: None
        answer = self._world.raw.send("GET", BUCKET, key)
        found = None if answer.status == 404 else answer.body
        assert answer.status == 404 or answer.ok, answer.status
        expected = self.possible[key]
        assert found in expected, f"{key}: {_told(found)} where {[_told(body) for body in expected]} may stand"
        self.possible[key] = {found}


def _may_have_arrived(exchange: Exchange, key: str) -> bool:
    """Return whether the store had all of a request that makes, replaces or removes an object."""
    path, _, query = exchange.target.partition("?")
    makes = exchange.method == "POST" and "uploadId=" in query
    changes = exchange.method in {"PUT", "DELETE"} and "partNumber" not in query
    whole = exchange.harm is not Harm.REFUSE and len(exchange.body) == exchange.length
    return path == f"/{BUCKET}/{key}" and (makes or changes) and whole


def _told(body: bytes | None) -> str:
    return "nothing" if body is None else f"{len(body)} bytes {body[:8]!r}"


def test_random_faults_lose_nothing_and_show_nothing(world: World) -> None:
    dice = random.Random(2026)  # noqa: S311 - moments, no keys
    model = Model(world, dice)
    seen: set[tuple[str, Harm, bool]] = set()
    for number in range(ROUNDS):
        key = f"k{dice.randrange(8)}"
        operation = dice.choices(("put", "put large", "get", "delete", "copy", "multipart"), (4, 4, 4, 2, 2, 2))[0]
        body = b"%d:" % number + dice.randbytes(1_300_000 if operation == "put large" else 100)
        harm = dice.choice(BROKEN)
        after = dice.choice((0, 1, dice.randrange(400), dice.randrange(1_300_000)))
        once = Once(Fault(harm, after), skip=dice.randrange({"multipart": 9, "copy": 3}.get(operation, 2)))
        world.relay.exchanges.clear()
        model.possible.setdefault(key, {None})
        world.relay.plan = once
        if operation == "get":
            answer = world.raw.send("GET", BUCKET, key)
            _require_right_or_error(answer, model.possible[key])
            model.check(key)
            good = answer.ok
        elif operation == "delete":
            good = world.raw.send("DELETE", BUCKET, key).status == 204
            model.write(key, None, acknowledged=good)
        elif operation == "copy":
            source = f"k{dice.randrange(8)}"
            (copied,) = model.possible.get(source, {None})
            good = world.raw.send("PUT", BUCKET, key, headers={"x-amz-copy-source": f"/{BUCKET}/{source}"}).ok
            assert not good or copied is not None
            model.write(key, copied, acknowledged=good)
        elif operation == "multipart":
            body = dice.randbytes(LEAST) + body
            good = _multipart(world, key, body)
            model.write(key, body, acknowledged=good)
        else:
            good = world.raw.send("PUT", BUCKET, key, body=body).ok
            model.write(key, body, acknowledged=good)
        if once.happened:
            seen.add((operation, harm, good))
    for key in model.possible:
        model.check(key)
    _require_no_orphans(world, set(model.possible))
    assert {harm for _, harm, _ in seen} == set(BROKEN), "each harm was done"
    assert {operation for operation, _, good in seen if not good} >= {"put", "put large", "get"}


def _multipart(world: World, key: str, body: bytes) -> bool:
    """Upload a body in two parts, in one attempt; abort if it fails, as SDKs do."""
    name: dict[str, Any] = {"Bucket": BUCKET, "Key": key}
    try:
        name["UploadId"] = world.client.create_multipart_upload(**name)["UploadId"]
        parts = []
        for number, piece in enumerate((body[:LEAST], body[LEAST:]), start=1):
            etag = world.client.upload_part(**name, PartNumber=number, Body=piece)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        world.client.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
    except (ClientError, BotoCoreError):
        return False
    return True


def _require_right_or_error(answer: Answer, possible: set[bytes | None]) -> None:
    (expected,) = possible
    if answer.ok:
        assert answer.body == expected
    elif answer.status in {200, 206}:
        assert expected is not None
        assert expected.startswith(answer.body), "bytes that were never written"
    else:
        assert answer.status in ({0, 500, 503} if expected is not None else {0, 404, 500, 503}), answer.status


def _require_no_orphans(world: World, keys: set[str]) -> None:
    """Abort what was left open; then nothing may be left but the objects, and what a lifecycle rule expires."""
    for upload in world.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        world.client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    assert "Uploads" not in world.bare.list_multipart_uploads(Bucket=BUCKET)
    listed = {item["Key"] for item in world.bare.list_objects_v2(Bucket=BUCKET).get("Contents", [])}
    assert listed <= keys | {"first"}
    own = world.bare.list_objects_v2(Bucket="strongroom-system").get("Contents", [])
    assert {item["Key"].partition("/")[0] for item in own} <= {"keyring", "uploads"}


STALLS = {
    "a small PUT": ("PUT", 100, Fault(Harm.STALL_REQUEST, 50)),
    "a large PUT": ("PUT", 40 << 20, Fault(Harm.STALL_REQUEST, 1000)),  # more than all buffers between take
    "the answer to a PUT": ("PUT", 100, Fault(Harm.STALL_ANSWER, 0)),
    "the head of the answer to a PUT": ("PUT", 6 << 20, Fault(Harm.STALL_ANSWER, 20)),
    "the answer to a GET": ("GET", 0, Fault(Harm.STALL_ANSWER, 0)),
    "the body of a GET": ("GET", 0, Fault(Harm.STALL_ANSWER, 900_000)),
    "the answer to a HEAD": ("HEAD", 0, Fault(Harm.STALL_ANSWER, 0)),
    "the answer to a DELETE": ("DELETE", 0, Fault(Harm.STALL_ANSWER, 0)),
}


@pytest.mark.parametrize("stall", STALLS)
def test_a_store_that_stalls_is_not_waited_for_without_end(world: World, stall: str) -> None:
    method, size, fault = STALLS[stall]
    body = random.Random(5).randbytes(1_300_000)  # noqa: S311 - a body
    assert world.raw.send("PUT", BUCKET, "stalled", body=body).ok
    once = Once(fault, method=method)
    world.relay.plan = once
    try:
        answer = world.raw.send(method, BUCKET, "stalled", body=b"n" * size)
    finally:
        world.relay.plan = lambda _: None
        world.relay.release()
    assert once.happened
    assert not answer.ok
    assert answer.status in {503, 200} if method == "GET" else answer.status == 503, answer
    assert body.startswith(answer.body) or answer.status == 503
    after = world.raw.send("GET", BUCKET, "stalled")
    if fault.harm is Harm.STALL_REQUEST or method in {"GET", "HEAD"}:
        assert after.body == body
    else:
        assert after.status == 404 or after.body in {body, b"n" * size}


@pytest.mark.parametrize("size", [1000, 3 << 20], ids=["small", "large"])
def test_a_client_that_goes_away_in_its_upload_changes_nothing(world: World, size: int) -> None:
    assert world.raw.send("PUT", BUCKET, "leaving", body=b"stays").ok
    url = urlsplit(world.proxy.url)
    signed = world.client.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "leaving"})
    target = signed.removeprefix(world.proxy.url)
    for sent in (0, 1, size // 2, size - 1):
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
            head = f"PUT {target} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {size}\r\n\r\n"
            connection.sendall(head.encode() + b"x" * sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):  # until the proxy has given up
                pass
        assert world.raw.send("GET", BUCKET, "leaving").body == b"stays"


@pytest.mark.parametrize("harm", [Harm.RESET_ANSWER, Harm.END_ANSWER])
def test_a_conditional_write_whose_answer_is_lost_is_not_told_to_have_failed(world: World, harm: Harm) -> None:
    """It is not sent again behind the client's back: its own object would be what stands in its way."""
    assert world.raw.send("PUT", BUCKET, "warm", body=b"leaves an idle connection to the store").ok
    world.raw.send("DELETE", BUCKET, "lost-answer")
    once = Once(Fault(harm, 0), method="PUT")
    world.relay.plan = once
    try:
        answer = world.raw.send("PUT", BUCKET, "lost-answer", headers={"if-none-match": "*"}, body=b"once")
    finally:
        world.relay.plan = lambda _: None
    assert once.happened
    assert answer.status == 503, answer
    assert world.raw.send("GET", BUCKET, "lost-answer").body == b"once"


@pytest.mark.parametrize("harm", [Harm.RESET_ANSWER, Harm.END_ANSWER])
def test_a_store_that_dies_in_its_answer_is_blamed_and_not_the_proxy(world: World, harm: Harm) -> None:
    body = random.Random(6).randbytes(3 << 20)  # noqa: S311 - a body
    assert world.raw.send("PUT", BUCKET, "dies", body=body).ok
    seen = len(world.proxy.log_file.read_text())
    once = Once(Fault(harm, 2 << 20), method="GET")
    world.relay.plan = once
    try:
        answer = world.raw.send("GET", BUCKET, "dies")
    finally:
        world.relay.plan = lambda _: None
    assert once.happened
    assert not answer.ok

    def told() -> list[dict[str, object]]:
        lines = [json.loads(line) for line in world.proxy.log_file.read_text()[seen:].splitlines()]
        return [line for line in lines if line["event"] in {"request_failed", "object_refused"}]

    wait_for(told, "the failure to be logged")
    assert [(line["level"], line["reason"]) for line in told()] == [("warning", "the connection to the store broke")]

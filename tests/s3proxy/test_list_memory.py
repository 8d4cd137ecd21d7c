"""What is read of the store as a whole counts in the memory budget by the length that it turns out to have."""

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.raw import Answer, RawClient
from tests.support.s3.relay import Exchange, Fault, Harm, StoreRelay

pytestmark = pytest.mark.early

BUCKET = "long-names"
LONG = "/".join(["\u00fc" * 110] * 4)  # 880 bytes, and three times that where they are percent-encoded
KEYS = 400
PAGE = (("encoding-type", "url"), ("list-type", "2"))
MEMORY = 9 << 20  # of which 5.6 MiB are for what is not short: room for one of these answers
OPEN = "passed-on"
POLICY = f"""\
[[policy]]
name = "main"
kek = "file"
buckets = ["{BUCKET}"]

[[policy]]
name = "open"
kek = "file"
buckets = ["{OPEN}"]
mode = "passthrough"
"""
PART = f"<Part><PartNumber>1</PartNumber><ETag>{'e' * 32}</ETag><Size>9000000</Size></Part>"
NAME = "n" * 100
DELETE = b"<Delete><Object><Key>k</Key></Object></Delete>"
DELETE_MD5 = {"content-md5": base64.b64encode(hashlib.md5(DELETE, usedforsecurity=False).digest()).decode()}

Send = Callable[[RawClient], Answer]


class World(NamedTuple):
    """A proxy with little memory whose way to the store leads over a relay."""

    relay: StoreRelay
    raw: RawClient


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[World]:
    with contextlib.suppress(bare.exceptions.BucketAlreadyOwnedByYou, bare.exceptions.BucketAlreadyExists):
        bare.create_bucket(Bucket=BUCKET)
    with StoreRelay(store.address) as relay:
        settings = {"store_address": relay.address, "memory_bytes": MEMORY}
        with ProxyProcess(tmp_path_factory.mktemp("lists"), store, policy=POLICY, settings=settings) as proxy:
            client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
            client.put_object(Bucket=BUCKET, Key="small", Body=b"x")
            client.close()
            yield World(relay, RawClient(proxy))


def list_objects(raw: RawClient) -> Answer:
    return raw.send("GET", BUCKET, query=PAGE)


def list_parts(raw: RawClient) -> Answer:
    return raw.send("GET", BUCKET, "k", query=(("uploadId", "u"),))


def list_parts_passed_on(raw: RawClient) -> Answer:
    return raw.send("GET", OPEN, "k/", query=(("uploadId", "u"),))


def list_buckets(raw: RawClient) -> Answer:
    return raw.send("GET", "")


def delete(raw: RawClient) -> Answer:
    return raw.send("POST", BUCKET, query=(("delete", ""),), body=DELETE, headers=DELETE_MD5)


def the_second_has_to_wait(world: World, send: Send, method: str, target: str) -> None:
    """Have an answer of the store stop on its way, and another one like it come meanwhile."""

    def stall(one: Exchange) -> Fault | None:
        is_meant = one.method == method and one.target.startswith(target) and one.target != f"/{BUCKET}/small"
        return Fault(Harm.STALL_ANSWER, 1_000_000) if is_meant else None

    world.relay.plan = stall
    with ThreadPoolExecutor(2) as threads:
        sent = [threads.submit(send, world.raw) for _ in range(2)]
        answered, waiting = wait(sent, timeout=30, return_when=FIRST_COMPLETED)
        try:
            assert len(waiting) == 1
            refused = answered.pop().result()
            assert refused.status == 503
            assert b"<Code>SlowDown</Code>" in refused.body
            assert world.raw.send("GET", BUCKET, "small").body == b"x"
        finally:
            world.relay.release()
    world.relay.plan = lambda _: None
    assert send(world.raw).ok


def test_long_pages_wait_for_memory_and_leave_the_rest_to_others(world: World, bare: Any) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: bare.put_object(Bucket=BUCKET, Key=f"{LONG}/{n:03}", Body=b"x"), range(KEYS)))
    page = list_objects(world.raw)
    assert page.ok
    assert len(page.body) > 1_000_000
    the_second_has_to_wait(world, list_objects, "GET", f"/{BUCKET}?")


@pytest.mark.parametrize(
    ("root", "item", "send", "method", "target"),
    [
        ("ListPartsResult", PART, list_parts, "GET", f"/{BUCKET}/k?"),
        ("ListPartsResult", PART, list_parts_passed_on, "GET", f"/{OPEN}/k"),
        ("ListAllMyBucketsResult", f"<Owner>{NAME}</Owner>", list_buckets, "GET", "/"),
        ("DeleteResult", f"<Deleted><Key>{NAME}</Key></Deleted>", delete, "POST", f"/{BUCKET}?delete"),
    ],
    ids=["parts", "parts as they are", "buckets", "deleted keys"],
)
def test_long_documents_do_so_as_well(  # noqa: PLR0913, PLR0917 - of the exchange
    world: World, root: str, item: str, send: Send, method: str, target: str
) -> None:
    """A list of 3.8 MB of parts took 17 MB for each client that did not take its answer, and counted as 0.8 MB."""
    document = f"<{root}>{item * ((2 << 20) // len(item))}</{root}>".encode()

    def forge(one: Exchange) -> bytes | None:
        is_meant = one.method == method and one.target.startswith(target) and one.target != f"/{BUCKET}/small"
        return document if is_meant else None

    world.relay.forge = forge
    the_second_has_to_wait(world, send, method, target)

"""Pages of the store that are read as a whole count in the memory budget by the length that they turn out to have."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.raw import RawClient
from tests.support.s3.relay import Fault, Harm, StoreRelay

BUCKET = "long-names"
LONG = "/".join(["\u00fc" * 110] * 4)  # 880 bytes, and three times that where they are percent-encoded
KEYS = 400
PAGE = (("encoding-type", "url"), ("list-type", "2"))
MEMORY = 9 << 20  # of which 5.6 MiB are for what is not short: room for one of these pages


class World(NamedTuple):
    """A proxy with little memory whose way to the store leads over a relay."""

    relay: StoreRelay
    raw: RawClient


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[World]:
    bare.create_bucket(Bucket=BUCKET)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: bare.put_object(Bucket=BUCKET, Key=f"{LONG}/{n:03}", Body=b"x"), range(KEYS)))
    with StoreRelay(store.address) as relay:
        settings = {"store_address": relay.address, "memory_bytes": MEMORY}
        with ProxyProcess(tmp_path_factory.mktemp("lists"), store, settings=settings) as proxy:
            client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
            client.put_object(Bucket=BUCKET, Key="small", Body=b"x")
            client.close()
            yield World(relay, RawClient(proxy))


def test_long_pages_wait_for_memory_and_leave_the_rest_to_others(world: World) -> None:
    page = world.raw.send("GET", BUCKET, query=PAGE)
    assert page.ok
    assert len(page.body) > 1_000_000
    world.relay.plan = lambda one: Fault(Harm.STALL_ANSWER, 1_000_000) if one.target.startswith(f"/{BUCKET}?") else None
    with ThreadPoolExecutor(2) as threads:
        lists = [threads.submit(world.raw.send, "GET", BUCKET, query=PAGE) for _ in range(2)]
        answered, waiting = wait(lists, return_when=FIRST_COMPLETED)
        assert len(waiting) == 1
        refused = answered.pop().result()
        assert refused.status == 503
        assert b"<Code>SlowDown</Code>" in refused.body
        assert world.raw.send("GET", BUCKET, "small").body == b"x"
        world.relay.release()
    world.relay.plan = lambda _: None
    assert world.raw.send("GET", BUCKET, query=PAGE).ok

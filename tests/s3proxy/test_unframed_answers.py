"""Answers of the store that do not tell how long they are, about objects that are not sealed: no length is made up."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from cli.dev.s3proxy import ProxyProcess
from cli.dev.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3_raw import RawClient
from tests.support.store_relay import Exchange, Fault, Harm, StoreRelay

POLICY = """\
[[policy]]
name = "open"
kek = "file"
buckets = ["*"]
mode = "passthrough"
"""
NAME = "unframed", "k"
CONTENT = bytes(range(256)) * 1024


class World(NamedTuple):
    """A proxy whose way to the store leads over a relay."""

    relay: StoreRelay
    raw: RawClient


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[World]:
    with StoreRelay(store.address) as relay:
        directory = tmp_path_factory.mktemp("unframed")
        with ProxyProcess(directory, store, policy=POLICY, settings={"store_address": relay.address}) as proxy:
            client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
            client.create_bucket(Bucket=NAME[0])
            client.put_object(Bucket=NAME[0], Key=NAME[1], Body=CONTENT)
            client.close()
            yield World(relay, RawClient(proxy))


def without_length(_: Exchange, head: bytes) -> bytes:
    return re.sub(rb"(?im)^Content-Length:[^\r]*\r\n", b"", head)


def test_head_tells_no_length_that_the_store_does_not_tell(world: World) -> None:
    assert world.raw.send("HEAD", *NAME).headers["content-length"] == str(len(CONTENT))
    world.relay.rewrite = without_length
    try:
        answer = world.raw.send("HEAD", *NAME)
    finally:
        world.relay.rewrite = lambda _, head: head
    assert answer.ok
    assert "etag" in answer.headers
    assert not {"content-length", "transfer-encoding"} & answer.headers.keys()


@pytest.mark.parametrize("harm", [Harm.RESET_ANSWER, Harm.END_ANSWER])
@pytest.mark.parametrize("after", [2000, 200_000])
def test_an_answer_that_only_ends_with_its_connection_is_not_passed_on(world: World, harm: Harm, after: int) -> None:
    world.relay.rewrite, world.relay.plan = without_length, lambda _: Fault(harm, after)
    try:
        answer = world.raw.send("GET", *NAME)
    finally:
        world.relay.rewrite, world.relay.plan = (lambda _, head: head), (lambda _: None)
    assert answer.status == 502, "what came of it would count as all of it"
    assert world.raw.send("GET", *NAME).body == CONTENT

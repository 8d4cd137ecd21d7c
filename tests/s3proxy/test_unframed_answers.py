"""Answers of the store that do not tell how long they are, about objects that are not sealed: no length is made up."""

import contextlib
import http.client
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.raw import RawClient
from tests.support.s3.relay import QUIET, Exchange, Fault, Harm, StoreRelay

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
    s3: Any
    address: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[World]:
    with StoreRelay(store.address) as relay:
        directory = tmp_path_factory.mktemp("unframed")
        with (
            ProxyProcess(directory, store, policy=POLICY, settings={"store_address": relay.address} | QUIET) as proxy,
            contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client,
        ):
            client.create_bucket(Bucket=NAME[0])
            client.put_object(Bucket=NAME[0], Key=NAME[1], Body=CONTENT)
            relay.settle()
            yield World(relay, RawClient(proxy), client, proxy.address)


def without_length(_: Exchange, head: bytes) -> bytes:
    return re.sub(rb"(?im)^Content-Length:[^\r]*\r\n", b"", head)


def in_chunks(exchange: Exchange, head: bytes) -> bytes:
    if exchange.method != "GET":
        return head
    return re.sub(rb"(?im)^Content-Length:[^\r]*", b"Transfer-Encoding: chunked", head)


@pytest.fixture
def chunked(world: World) -> Iterator[World]:
    """A world whose store answers in chunks."""
    world.relay.rewrite = in_chunks
    yield world
    world.relay.rewrite, world.relay.plan = (lambda _, head: head), (lambda _: None)


@contextlib.contextmanager
def asked(world: World, key: str, version: int = 11) -> Iterator[http.client.HTTPResponse]:
    url = urlsplit(world.s3.generate_presigned_url("get_object", Params={"Bucket": NAME[0], "Key": key}))
    connection = http.client.HTTPConnection(world.address, timeout=60)
    connection._http_vsn, connection._http_vsn_str = version, f"HTTP/1.{version % 10}"  # type: ignore[attr-defined]
    with contextlib.closing(connection):
        connection.request("GET", f"{url.path}?{url.query}", headers={"Host": world.address})
        yield connection.getresponse()


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


@pytest.mark.parametrize("length", [0, 5, len(CONTENT)], ids=["empty", "small", "big"])
@pytest.mark.parametrize("version", [10, 11], ids=["HTTP/1.0", "HTTP/1.1"])
def test_an_answer_in_chunks_reads_as_it_is(chunked: World, length: int, version: int) -> None:
    """To a client of HTTP/1.0, which knows no chunks, the end of the connection is the end of what is streamed."""
    chunked.s3.put_object(Bucket=NAME[0], Key="read", Body=CONTENT[:length])
    with asked(chunked, "read", version) as answer:
        assert answer.status == 200
        assert answer.read() == CONTENT[:length]
        is_short = length < len(CONTENT)
        assert answer.getheader("Content-Length") == (str(length) if is_short else None)
        assert answer.getheader("Transfer-Encoding") == (None if is_short or version == 10 else "chunked")


@pytest.mark.parametrize("harm", [Harm.RESET_ANSWER, Harm.END_ANSWER])
@pytest.mark.parametrize("version", [10, 11], ids=["HTTP/1.0", "HTTP/1.1"])
def test_an_answer_in_chunks_that_breaks_off_is_not_whole_for_the_client(
    chunked: World, harm: Harm, version: int
) -> None:
    for after in (2000, 200_000):
        chunked.relay.plan = lambda _, after=after: Fault(harm, after)  # type: ignore[misc]
        with asked(chunked, NAME[1], version) as answer:
            if answer.status == 200:
                assert after > 2000, "it was sent before it was known how it goes on"
                with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                    answer.read()
            else:
                assert answer.status in {502, 503}


@pytest.mark.parametrize("version", [10, 11], ids=["HTTP/1.0", "HTTP/1.1"])
def test_an_answer_in_chunks_reaches_the_client_while_the_store_still_sends(chunked: World, version: int) -> None:
    chunked.relay.plan = lambda _: Fault(Harm.STALL_ANSWER, 200_000)
    with asked(chunked, NAME[1], version) as answer:
        assert answer.read(100_000) == CONTENT[:100_000]
        chunked.relay.release()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()

"""A store that tells of objects what is not so: ranges, sizes, numbers of parts, endings. Nothing wrong comes out.

Answers are changed on their way by a relay, since a store that obeys S3 cannot be made to give them.
"""

import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.s3proxy.suites.conftest import FAST, make_bucket
from tests.support.s3.raw import Answer, KeepingClient, RawClient
from tests.support.s3.relay import QUIET, Exchange, Fault, Harm, StoreRelay

BUCKET = "lies"
CHUNK = 1 << 16
LEAST = 5 << 20
_dice = random.Random(4)  # noqa: S311 - bodies, no keys
WHOLE = _dice.randbytes(5 * CHUNK + 9)
PARTS = _dice.randbytes(LEAST), _dice.randbytes(3000)
MULTI = b"".join(PARTS)


def multipart(client: Any, name: dict[str, str]) -> None:
    upload = name | {"UploadId": client.create_multipart_upload(**name)["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(PARTS, start=1)
    ]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


class World(NamedTuple):
    """A proxy whose way to the store leads over a relay, with two objects."""

    relay: StoreRelay
    raw: RawClient
    client: Any


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any, way: str) -> Iterator[World]:
    with StoreRelay(store.address) as relay:
        directory = tmp_path_factory.mktemp("lies")
        settings = {"store_address": relay.address, "fast_path": way == FAST}
        with ProxyProcess(directory, store, settings=settings | QUIET) as proxy:
            client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
            make_bucket(bare, BUCKET)
            client.put_object(Bucket=BUCKET, Key="whole", Body=WHOLE)
            multipart(client, {"Bucket": BUCKET, "Key": "multi"})
            relay.settle()
            raw = KeepingClient(proxy) if way == FAST else RawClient(proxy)
            yield World(relay, raw, client)
            raw.close()
            client.close()


def replaced(name: bytes, value: Callable[[bytes], bytes]) -> Callable[[Exchange, bytes], bytes]:
    """Return what changes one header of the answers to GET and HEAD."""
    pattern = re.compile(rb"(?im)^(" + name + rb": )([^\r]*)")

    def rewrite(exchange: Exchange, head: bytes) -> bytes:
        if exchange.method not in {"GET", "HEAD"}:
            return head
        return pattern.sub(lambda match: match[1] + value(match[2]), head)

    return rewrite


def moved(by: int) -> Callable[[bytes], bytes]:
    """Return what moves a Content-Range."""

    def move(value: bytes) -> bytes:
        first, last, size = (int(number) for number in re.findall(rb"\d+", value))
        return b"bytes %d-%d/%d" % (max(first + by, 0), max(last + by, 0), size)

    return move


LIES: dict[str, Callable[[Exchange, bytes], bytes]] = {
    "the range begins a chunk later": replaced(b"content-range", moved(CHUNK + 16)),
    "the range begins a chunk before": replaced(b"content-range", moved(-CHUNK - 16)),
    "the range begins a byte later": replaced(b"content-range", moved(1)),
    "the object is longer": replaced(b"content-range", lambda value: value + b"0"),
    "the object is shorter": replaced(b"content-range", lambda value: value[:-1]),
    "the range is none": replaced(b"content-range", lambda _: b"bytes */1"),
    "the range is nonsense": replaced(b"content-range", lambda _: b"lines 1-2"),
    "it has one part more": replaced(b"etag", lambda value: re.sub(rb"-(\d+)", rb"-\g<1>0", value)),
    "it has one part less": replaced(b"etag", lambda value: re.sub(rb"-\d+", b"-1", value)),
    "it is not a multipart object": replaced(b"etag", lambda value: re.sub(rb"-\d+", b"", value)),
    "it has parts": replaced(b"etag", lambda value: re.sub(rb"^\"([0-9a-f]+)\"$", rb'"\1-3"', value)),
    "the entry is that of nothing": replaced(b"x-amz-meta-seg1", lambda _: b"AAAA"),
    "a good answer to what failed": lambda _, head: re.sub(rb"^HTTP/1.1 206 \w+", b"HTTP/1.1 200 OK", head),
    "a range where the whole was asked for": lambda _, head: re.sub(rb"^HTTP/1.1 200 ", b"HTTP/1.1 206 ", head),
}

READS: tuple[tuple[str, bytes, tuple[int, int] | None], ...] = (
    ("whole", WHOLE, None),
    ("whole", WHOLE, (0, 9)),
    ("whole", WHOLE, (CHUNK - 1, CHUNK)),
    ("whole", WHOLE, (3 * CHUNK, len(WHOLE) - 1)),
    ("multi", MULTI, None),
    ("multi", MULTI, (0, 9)),
    ("multi", MULTI, (LEAST - 1, LEAST + 1)),
    ("multi", MULTI, (LEAST + 5, len(MULTI) - 1)),
)


def require_right_or_error(answer: Answer, expected: bytes) -> None:
    """Assert that a good answer is the right one, and that what came of another was true as far as it went."""
    if answer.ok:
        assert answer.body == expected
    elif answer.status in {200, 206}:
        assert expected.startswith(answer.body)
    else:
        assert answer.status in {0, 416, 500, 502, 503}, answer


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_an_object(lying: World, lie: str) -> None:
    for key, body, range_ in READS:
        first, last = range_ or (0, len(body) - 1)
        headers = {"range": f"bytes={first}-{last}"} if range_ else {}
        lying.relay.rewrite = LIES[lie]
        try:
            answer = lying.raw.send("GET", BUCKET, key, headers=headers)
            head = lying.raw.send("HEAD", BUCKET, key)
        finally:
            lying.relay.rewrite = lambda _, unchanged: unchanged
        require_right_or_error(answer, body[first : last + 1])
        if head.status == 200:
            assert head.headers["content-length"] == str(len(body))
        assert lying.raw.send("GET", BUCKET, key, headers=headers).body == body[first : last + 1]


@pytest.mark.parametrize(("key", "body", "range_"), [read for read in READS if read[2] is not None])
def test_a_store_that_denies_bytes_that_it_has(lying: World, key: str, body: bytes, range_: tuple[int, int]) -> None:
    """Who resumes a download would take 416 for the end of it."""
    first, last = range_
    lying.relay.rewrite = lambda _, head: re.sub(rb"^HTTP/1.1 206 [^\r]*", b"HTTP/1.1 416 None", head)
    try:
        answer = lying.raw.send("GET", BUCKET, key, headers={"range": f"bytes={first}-{last}"})
    finally:
        lying.relay.rewrite = lambda _, unchanged: unchanged
    assert answer.status >= 500
    assert lying.raw.send("GET", BUCKET, key, headers={"range": f"bytes={first}-{last}"}).body == body[first : last + 1]


def test_a_range_where_all_was_asked_for(lying: World) -> None:
    """Header and footer, which count for all of it only, would not be looked at."""

    def rewrite(_: Exchange, head: bytes) -> bytes:
        length = re.search(rb"(?im)^content-length: (\d+)", head)
        if length is None or not head.startswith(b"HTTP/1.1 200 "):
            return head
        size = int(length[1])
        line = b"206 Partial Content\r\nContent-Range: bytes 0-%d/%d\r\n" % (size - 1, size)
        return re.sub(rb"200 [^\r]*\r\n", line, head, count=1)

    lying.relay.rewrite = rewrite
    try:
        answer = lying.raw.send("GET", BUCKET, "whole")
    finally:
        lying.relay.rewrite = lambda _, unchanged: unchanged
    assert answer.status >= 500
    assert lying.raw.send("GET", BUCKET, "whole").body == WHOLE


@pytest.mark.parametrize("harm", [Harm.END_ANSWER, Harm.RESET_ANSWER])
def test_an_answer_that_ends_early_at_and_off_borders(lying: World, harm: Harm) -> None:
    """Also where the connection ends as if all was well: the length was announced, and chunks are missing."""
    sealed = CHUNK + 16
    for key, body, range_ in READS:
        first, last = range_ or (0, len(body) - 1)
        headers = {"range": f"bytes={first}-{last}"} if range_ else {}
        for after in (300, 2000, 256 + sealed, 256 + 2 * sealed, 256 + 5 * sealed, LEAST, LEAST + 16_640):
            happened: list[int] = []

            def plan(exchange: Exchange, after: int = after, happened: list[int] = happened) -> Fault | None:
                if exchange.method != "GET" or happened:
                    return None
                happened.append(after)
                return Fault(harm, after)

            lying.relay.plan = plan
            try:
                answer = lying.raw.send("GET", BUCKET, key, headers=headers)
            finally:
                lying.relay.plan = lambda _: None
            assert happened
            require_right_or_error(answer, body[first : last + 1])


@pytest.mark.parametrize("range_", [None, (0, 9), (LEAST, LEAST + 9)], ids=["all", "begin", "border"])
def test_an_object_that_is_replaced_while_it_is_read(lying: World, bare: Any, range_: tuple[int, int] | None) -> None:
    """Neither a mixture of both, nor a condition that the client never made: it is told to come again."""
    name = {"Bucket": BUCKET, "Key": "replaced"}
    multipart(lying.client, name)
    first, last = range_ or (0, len(MULTI) - 1)
    headers = {"range": f"bytes={first}-{last}"} if range_ else {}
    requests = []

    def replace_before_the_third_request(exchange: Exchange) -> None:
        requests.append(exchange)
        if len(requests) == 3:
            bare.put_object(**name, Body=b"another object")

    lying.relay.plan = replace_before_the_third_request
    try:
        answer = lying.raw.send("GET", BUCKET, "replaced", headers=headers)
    finally:
        lying.relay.plan = lambda _: None
    assert len(requests) == 3, "the entry, the manifest, the parts"
    assert answer.status == 503
    assert b"<Code>SlowDown</Code>" in answer.body
    assert "retry-after" in answer.headers


def test_an_object_that_is_replaced_after_its_etag_was_compared_with_if_range(lying: World, bare: Any) -> None:
    """Or who resumes a download would put the end of another object behind the beginning of this one."""
    name = {"Bucket": BUCKET, "Key": "resumed"}
    lying.client.put_object(**name, Body=WHOLE[::-1])
    other = bare.get_object(**name)
    sealed = {"Body": other["Body"].read(), "Metadata": other["Metadata"]}
    etag = lying.client.put_object(**name, Body=WHOLE)["ETag"]
    requests = []

    def replace_before_the_second_request(exchange: Exchange) -> None:
        requests.append(exchange)
        if len(requests) == 2:
            bare.put_object(**name, **sealed)

    lying.relay.plan = replace_before_the_second_request
    try:
        answer = lying.raw.send("GET", BUCKET, "resumed", headers={"range": "bytes=9-", "if-range": etag})
    finally:
        lying.relay.plan = lambda _: None
    assert len(requests) == 2
    assert answer.status == 503
    assert b"<Code>SlowDown</Code>" in answer.body
    again = lying.raw.send("GET", BUCKET, "resumed", headers={"range": "bytes=9-", "if-range": etag})
    assert (again.status, again.body) == (200, WHOLE[::-1])

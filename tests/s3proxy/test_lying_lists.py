"""Lists that a store makes up, as a client of the proxy gets them: never much more than the store has sent."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from strongroom.sealed.sizes import whole_stored_bytes
from tests.support.s3.raw import Answer, RawClient
from tests.support.s3.relay import QUIET, StoreRelay

BUCKET = "lied-about"


class World(NamedTuple):
    """A proxy whose store is asked over a relay."""

    relay: StoreRelay
    raw: RawClient

    def list_parts(self, key: str, page: str) -> Answer:
        """Have ListParts answered by the store with a page."""
        self.relay.forge = lambda _: f"<ListPartsResult>{page}</ListPartsResult>".encode()
        return self.raw.send("GET", BUCKET, key, query=(("uploadId", "u"),))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[World]:
    with contextlib.suppress(bare.exceptions.BucketAlreadyOwnedByYou, bare.exceptions.BucketAlreadyExists):
        bare.create_bucket(Bucket=BUCKET)
    with StoreRelay(store.address) as relay:
        settings = {"store_address": relay.address, **QUIET}
        with ProxyProcess(tmp_path_factory.mktemp("lies"), store, settings=settings) as proxy:
            relay.settle()
            yield World(relay, RawClient(proxy))


def test_an_etag_is_shown_once_for_each_entry(world: World) -> None:
    entry = f"<Key>a</Key><Size>{whole_stored_bytes(10)}</Size>{'<ETag></ETag>' * 2000}<ETag>{'e' * 30_000}</ETag>"
    world.relay.forge = lambda _: f"<ListBucketResult><Contents>{entry}</Contents></ListBucketResult>".encode()
    assert world.raw.send("GET", BUCKET, query=(("list-type", "2"),)).status == 502


def test_attempts_at_a_part_are_shown_with_what_the_store_says_of_each_of_them(world: World) -> None:
    """What was said of the last was shown with each: 125 KB became 52 MB."""
    said = [f"{number}{'x' * 30_000 * (number == 400)}" for number in range(401)]
    page = "".join(
        f"<Part><PartNumber>1</PartNumber><Size>9000000</Size><ETag>{number}</ETag><LastModified>{text}</LastModified></Part>"
        for number, text in enumerate(said)
    )
    answer = world.list_parts("k", page)
    assert answer.ok
    assert len(answer.body) < 2 * len(page)
    assert all(f"<LastModified>{text}</LastModified>".encode() in answer.body for text in said)


def test_the_key_of_an_upload_is_shown_once(world: World) -> None:
    """Where it ends in a slash it may have another name at the store, and was put instead of each that was told."""
    answer = world.list_parts("k" * 500 + "/", "<Key/>" * 5000)
    assert answer.ok
    assert answer.body.count(b"<Key>") == 1

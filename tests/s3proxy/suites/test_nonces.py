"""No pair of key and nonce seals two things, whatever is retried, uploaded again, cut off or copied.

All that the proxy sends to the store is watched on its way, what never arrives as well. One bucket key serves the
whole test, so that nothing but the salts keeps the keys of segments apart. The very same bytes may be
sent twice: the kept copy of a small part, and a request again whose connection broke before the answer began.
"""

import base64
import contextlib
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.s3proxy.suites.sealed_pairs import Pairs
from tests.support.s3.relay import QUIET, Exchange, Fault, Harm, StoreRelay
from tests.support.s3.rules import content_so_far

BUCKET = "nonces"
LEAST = 5 << 20
HARMS = (Harm.RESET_REQUEST, Harm.REFUSE, Harm.RESET_ANSWER, Harm.END_ANSWER)


@pytest.fixture(scope="module")
def relay(store: SeaweedServer) -> Iterator[StoreRelay]:
    with StoreRelay(store.address) as running:
        yield running


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, relay: StoreRelay
) -> Iterator[ProxyProcess]:
    directory = tmp_path_factory.mktemp("watched")
    with ProxyProcess(directory, store, settings={"store_address": relay.address} | QUIET) as running:
        yield running


@pytest.fixture(scope="module")
def client(watched: ProxyProcess, relay: StoreRelay) -> Iterator[Any]:
    with contextlib.closing(client_of(watched.url, watched.access_key, watched.secret_key)) as running:
        running.create_bucket(Bucket=BUCKET)
        running.put_object(Bucket=BUCKET, Key="first", Body=b"makes the bucket key")
        relay.settle()
        yield running


class Harmful:
    """Harms about every third request that writes, by dice."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - moments, no keys

    def __call__(self, exchange: Exchange) -> Fault | None:
        if exchange.method not in {"PUT", "POST"} or self._dice.random() < 0.65:
            return None
        return Fault(self._dice.choice(HARMS), self._dice.randrange(max(exchange.length, 200)))


def tried(call: Any, **parameters: Any) -> Any:
    """Make a request until it succeeds, as SDKs do."""
    for _ in range(30):
        with contextlib.suppress(ClientError, BotoCoreError):
            return call(**parameters)
    pytest.fail("no attempt of 30 came through")


def write_a_lot(client: Any) -> None:
    name: dict[str, Any] = {"Bucket": BUCKET, "Key": "same"}
    for _ in range(12):  # the same body under the same name, again and again
        tried(client.put_object, **name, Body=b"the same body")
        tried(client.put_object, **name, Body=b"x" * (1_200_000))
        tried(client.copy_object, Bucket=BUCKET, Key="copy", CopySource=name)
        tried(client.copy_object, **name, CopySource=name, MetadataDirective="REPLACE", Metadata={"a": "b"})
    source = {"Bucket": BUCKET, "Key": "multi"}
    for last in (b"short", b"l" * LEAST):
        upload = source | {"UploadId": tried(client.create_multipart_upload, **source)["UploadId"]}
        for _ in range(3):  # parts that replace each other, with the same bytes and with others
            for body in (b"a" * LEAST, b"b" * LEAST):
                first = tried(client.upload_part, **upload, PartNumber=1, Body=body)["ETag"]
            for body in (b"other", last):
                second = tried(client.upload_part, **upload, PartNumber=2, Body=body)["ETag"]
        parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
        tried(client.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
        assert client.get_object(**source)["Body"].read() == b"b" * LEAST + last
        tried(client.copy_object, Bucket=BUCKET, Key="multi-copy", CopySource=source)


def test_no_pair_of_key_and_nonce_seals_two_things(watched: ProxyProcess, relay: StoreRelay, client: Any) -> None:
    begin = len(relay.exchanges)
    relay.plan = Harmful(seed=2026)
    try:
        write_a_lot(client)
    finally:
        relay.plan = lambda _: None
    seen = relay.exchanges[begin:]
    pairs = Pairs(base64.b64decode((watched.directory / "kek").read_bytes()))
    for exchange in seen:
        body = content_so_far(exchange)
        if body.startswith(b"SEG1"):
            pairs.add_body(body)
        entry = exchange.headers.get("x-amz-meta-seg1")
        if entry:
            bucket, _, key = unquote(exchange.target.partition("?")[0]).lstrip("/").partition("/")
            pairs.add_entry(entry, bucket=bucket, key=key)
    harmed = [exchange for exchange in seen if exchange.harm]
    assert {exchange.harm for exchange in harmed} == set(HARMS), "each harm was done"
    cut = [exchange for exchange in harmed if len(exchange.body) < exchange.length]
    assert any(content_so_far(exchange).startswith(b"SEG1") for exchange in cut)
    bucket_keys = {header[16:32] for header in pairs.headers.values()}
    assert len(bucket_keys) == 1, "the salts alone keep the keys apart"
    assert len(pairs.headers) > 50
    assert pairs.opened > 1000
    assert pairs.repeated < len(pairs.ciphertexts) / 10

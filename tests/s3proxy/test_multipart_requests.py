"""What reading a multipart object costs at the store, in requests."""

import os
from pathlib import Path

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.multipart import LEAST, upload
from tests.support.s3.relay import QUIET, Exchange, StoreRelay

BUCKET = "multipart-requests"


def test_what_is_known_is_not_read_again(tmp_path: Path, store: SeaweedServer) -> None:
    name = {"Bucket": BUCKET, "Key": "key"}
    body = os.urandom(2 * LEAST)
    with (
        StoreRelay(store.address) as relay,
        ProxyProcess(tmp_path / "proxy", store, settings={"store_address": relay.address} | QUIET) as proxy,
    ):
        s3 = client_of(proxy.url, proxy.access_key, proxy.secret_key)
        s3.create_bucket(Bucket=name["Bucket"])
        upload(s3, name["Bucket"], name["Key"], {1: body[:LEAST], 2: body[LEAST:]})
        relay.settle()
        asked = []
        for first in (LEAST + 70_000, LEAST + 400_000):
            relay.exchanges.clear()
            got = s3.get_object(**name, Range=f"bytes={first}-{first + 9}")
            assert got["Body"].read() == body[first : first + 10]
            asked.append(sizes(relay))
        chunk = 65_536 + 16
        assert asked == [
            [chunk, 464, 256, chunk],  # as of a whole object; then the manifest, the part's header, the chunk
            [0, chunk],
        ]
        s3.put_object(**name, Body=body[:100_000])
        for expected in ([0, chunk], [chunk]):  # until it is known that another kind of object stands there
            relay.exchanges.clear()
            assert s3.get_object(**name, Range="bytes=0-9")["Body"].read() == body[:10]
            assert sizes(relay) == expected
        s3.close()


def sizes(relay: StoreRelay) -> list[int]:
    """Return how many bytes each request for the bucket's objects asks for; the proxy reads its own records besides."""
    return [size_of(exchange) for exchange in relay.exchanges if exchange.target.startswith(f"/{BUCKET}/")]


def size_of(exchange: Exchange) -> int:
    """Return how many bytes a request asks for; none is HEAD."""
    if exchange.method == "HEAD":
        return 0
    begin, _, last = exchange.headers["range"].removeprefix("bytes=").partition("-")
    return 1 + int(last) - int(begin)

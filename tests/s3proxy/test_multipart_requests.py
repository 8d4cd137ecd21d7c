"""What reading a multipart object costs at the store, in requests."""

import os
from pathlib import Path

from cli.dev.s3proxy import ProxyProcess
from cli.dev.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.multipart import LEAST, upload
from tests.support.store_relay import StoreRelay


def test_manifest_and_headers_of_parts_are_read_once(tmp_path: Path, store: SeaweedServer) -> None:
    name = {"Bucket": "multipart-requests", "Key": "key"}
    body = os.urandom(2 * LEAST)
    with (
        StoreRelay(store.address) as relay,
        ProxyProcess(tmp_path / "proxy", store, settings={"store_address": relay.address}) as proxy,
    ):
        s3 = client_of(proxy.url, proxy.access_key, proxy.secret_key)
        s3.create_bucket(Bucket=name["Bucket"])
        upload(s3, name["Bucket"], name["Key"], {1: body[:LEAST], 2: body[LEAST:]})
        asked = []
        for first in (LEAST + 70_000, LEAST + 400_000):
            relay.exchanges.clear()
            got = s3.get_object(**name, Range=f"bytes={first}-{first + 9}")
            assert got["Body"].read() == body[first : first + 10]
            ranges = [exchange.headers.get("range", "").removeprefix("bytes=") for exchange in relay.exchanges]
            asked.append([1 + int(last) - int(begin) for begin, last in (text.split("-") for text in ranges)])
        chunk = 65_536 + 16
        assert asked == [
            [chunk, 464, 256, chunk],  # as of a whole object; then the manifest, the part's header, the chunk
            [chunk, chunk],
        ]
        s3.close()

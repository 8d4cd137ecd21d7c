"""What goes to the store carries a checksum, as S3 demands wherever Object Lock may apply."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.relay import Exchange, StoreRelay
from tests.support.s3.rules import content_of, require_s3_rules

BUFFERED = 4096
PART = 5 << 20
POLICY = """
[[policy]]
name = "vouched"
kek = "file"
buckets = ["vouched"]

[[policy]]
name = "open"
kek = "file"
mode = "passthrough"
buckets = ["vouched-open"]
"""


@dataclass
class World:
    relay: StoreRelay
    s3: Any
    payload: str

    def sent(self, target: str) -> list[Exchange]:
        return [one for one in self.relay.exchanges if one.method == "PUT" and one.target.partition("?")[0] == target]


@pytest.fixture(params=["unsigned", "signed"])
def world(tmp_path: Path, store: SeaweedServer, bare: Any, request: pytest.FixtureRequest) -> Iterator[World]:
    for bucket in ("vouched", "vouched-open"):
        with contextlib.suppress(bare.exceptions.BucketAlreadyExists, bare.exceptions.BucketAlreadyOwnedByYou):
            bare.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    settings = {"store_payload": request.param, "buffered_body_bytes": BUFFERED}
    with (
        StoreRelay(store.address) as relay,
        ProxyProcess(
            tmp_path / "proxy", store, policy=POLICY, settings=settings | {"store_address": relay.address}
        ) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        relay.exchanges.clear()
        yield World(relay, s3, request.param)


@pytest.mark.parametrize("bucket", ["vouched", "vouched-open"])
def test_every_body_carries_a_checksum(world: World, bucket: str) -> None:
    s3 = world.s3
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2030-01-01T00:00:00Z"}
    for size in (0, 1, BUFFERED, BUFFERED + 1, 1 << 20, (3 << 20) + 1):
        body = os.urandom(size)
        s3.put_object(Bucket=bucket, Key=f"o{size}", Body=body, **lock)
        assert s3.get_object(Bucket=bucket, Key=f"o{size}")["Body"].read() == body
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/o{1 << 20}")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    body = os.urandom(PART) + b"the rest"
    parts = []
    for number, piece in enumerate((body[:PART], body[PART:]), 1):
        part = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == body
    s3.put_object_retention(
        Bucket=bucket, Key="m", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": "2030-01-01T00:00:00Z"}
    )
    s3.put_object_legal_hold(Bucket=bucket, Key="m", LegalHold={"Status": "OFF"})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}]})
    assert require_s3_rules(world.relay.exchanges) >= 6 + 2 + 2 + 1
    begun = [one for one in world.relay.exchanges if one.method == "POST" and one.target == f"/{bucket}/m?uploads="]
    assert begun
    assert all(one.headers["x-amz-checksum-algorithm"] == "CRC64NVME" for one in begun)
    if bucket == "vouched-open":
        assert content_of(world.sent(f"/{bucket}/m")[0]) == body[:PART]


def test_a_content_coding_comes_back_without_the_framing(world: World) -> None:
    for bucket in ("vouched", "vouched-open"):
        s3_object = {"Bucket": bucket, "Key": "coded"}
        world.s3.put_object(**s3_object, Body=b"x" * (3 << 20), ContentEncoding="gzip")
        assert world.s3.head_object(**s3_object)["ContentEncoding"] == "gzip"
        world.s3.put_object(**s3_object, Body=b"x" * (3 << 20))
        assert "ContentEncoding" not in world.s3.head_object(**s3_object)
        assert "ContentEncoding" not in world.s3.get_object(**s3_object)


def test_bodies_are_signed_whatever_their_size(world: World) -> None:
    world.s3.put_object(Bucket="vouched", Key="large", Body=b"x" * (1 << 20))
    (put,) = world.sent("/vouched/large")
    expected = {
        "unsigned": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "signed": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    }
    assert put.headers["x-amz-content-sha256"] == expected[world.payload]
    assert put.headers["x-amz-trailer"] == "x-amz-checksum-crc64nvme"


@pytest.mark.parametrize("payload", ["unsigned", "signed"])
def test_a_store_that_knows_no_such_checksums_gets_md5(
    tmp_path: Path, store: SeaweedServer, bare: Any, payload: str
) -> None:
    with contextlib.suppress(bare.exceptions.BucketAlreadyExists, bare.exceptions.BucketAlreadyOwnedByYou):
        bare.create_bucket(Bucket="plainly")
    settings = {"store_payload": payload, "store_checksums": "no", "buffered_body_bytes": BUFFERED}
    with (
        StoreRelay(store.address) as relay,
        ProxyProcess(tmp_path / "proxy", store, settings=settings | {"store_address": relay.address}) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        s3.put_object(Bucket="plainly", Key="small", Body=b"x" * BUFFERED)
        s3.put_object(Bucket="plainly", Key="large", Body=b"x" * (BUFFERED + 1))
        assert s3.get_object(Bucket="plainly", Key="large")["Body"].read() == b"x" * (BUFFERED + 1)
        puts = {one.target: one.headers for one in relay.exchanges if one.method == "PUT"}
        require_s3_rules(one for one in relay.exchanges if one.target == "/plainly/small")
    assert "content-md5" in puts["/plainly/small"]
    large = puts["/plainly/large"]
    assert not any("checksum" in name or name in {"content-md5", "x-amz-trailer"} for name in large)
    expected = {"unsigned": "UNSIGNED-PAYLOAD", "signed": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    assert large["x-amz-content-sha256"] == expected[payload]

"""Whose bucket a client expects is a condition: the store decides it before anything is read or written."""

from collections.abc import Iterator
from typing import Any

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.relay import QUIET, StoreRelay

TO, FROM = "owner-to", "owner-from"
MINE, THEIRS = "111111111111", "222222222222"
LONG = b"x" * (5 << 20)


@pytest.fixture(scope="module")
def relay(store: SeaweedServer) -> Iterator[StoreRelay]:
    with StoreRelay(store.address) as running:
        yield running


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, relay: StoreRelay) -> Iterator[Any]:
    settings = {"store_address": relay.address} | QUIET
    with ProxyProcess(tmp_path_factory.mktemp("owner"), store, settings=settings) as proxy:
        running = client_of(proxy.url, proxy.access_key, proxy.secret_key)
        for bucket in (TO, FROM):
            running.create_bucket(Bucket=bucket)
            for key in ("k", "d/"):
                running.put_object(Bucket=bucket, Key=key, Body=b"content")
            parts(running, bucket)
        relay.settle()
        yield running
        running.close()


def parts(client: Any, bucket: str) -> None:
    upload = {
        "Bucket": bucket,
        "Key": "m",
        "UploadId": client.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"],
    }
    listed = [
        {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate((LONG, b"end"), start=1)
    ]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})


@pytest.fixture
def upload(client: Any) -> dict[str, str]:
    return {"Key": "k", "UploadId": client.create_multipart_upload(Bucket=TO, Key="k")["UploadId"]}


def owners(relay: StoreRelay, bucket: str) -> list[str]:
    """Return what the store was told of the owner of a bucket, request by request."""
    return [
        exchange.headers.get("x-amz-expected-bucket-owner", "")
        for exchange in relay.exchanges
        if exchange.target.lstrip("/").startswith(bucket)
    ]


OPERATIONS: dict[str, dict[str, Any]] = {
    "get_object": {"Key": "k"},
    "head_object": {"Key": "k"},
    "get_object_attributes": {"Key": "m", "ObjectAttributes": ["ObjectSize", "ObjectParts"]},
    "get_object_tagging": {"Key": "k"},
    "put_object": {"Key": "new", "Body": b"x"},
    "create_multipart_upload": {"Key": "new"},
    "delete_object": {"Key": "none"},
    "delete_objects": {"Delete": {"Objects": [{"Key": "none"}]}},
    "list_objects": {},
    "list_objects_v2": {},
    "list_object_versions": {},
    "list_multipart_uploads": {},
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_first_request_to_the_store_has_it(client: Any, relay: StoreRelay, operation: str) -> None:
    relay.exchanges.clear()
    getattr(client, operation)(Bucket=TO, ExpectedBucketOwner=MINE, **OPERATIONS[operation])
    assert owners(relay, TO)[0] == MINE


def test_of_an_upload(client: Any, relay: StoreRelay, upload: dict[str, str]) -> None:
    asked: dict[str, dict[str, Any]] = {
        "upload_part": {"PartNumber": 1, "Body": b"x"},
        "list_parts": {},
        "abort_multipart_upload": {},
    }
    for operation, more in asked.items():
        relay.exchanges.clear()
        getattr(client, operation)(Bucket=TO, ExpectedBucketOwner=MINE, **upload, **more)
        assert owners(relay, TO)[0] == MINE, operation


@pytest.mark.parametrize("key", ["k", "m"])
@pytest.mark.parametrize("directive", ["COPY", "REPLACE"])
def test_of_both_sides_of_a_copy(client: Any, relay: StoreRelay, key: str, directive: str) -> None:
    relay.exchanges.clear()
    client.copy_object(
        Bucket=TO,
        Key="copy",
        CopySource={"Bucket": FROM, "Key": key},
        MetadataDirective=directive,
        ExpectedBucketOwner=MINE,
        ExpectedSourceBucketOwner=THEIRS,
    )
    assert (owners(relay, TO)[0], owners(relay, FROM)[0]) == (MINE, THEIRS)


@pytest.mark.parametrize("key", ["k", "m", "d/"])
def test_of_both_sides_of_a_part_that_is_copied(
    client: Any, relay: StoreRelay, upload: dict[str, str], key: str
) -> None:
    relay.exchanges.clear()
    client.upload_part_copy(
        Bucket=TO,
        **upload,
        PartNumber=1,
        CopySource={"Bucket": FROM, "Key": key},
        ExpectedBucketOwner=MINE,
        ExpectedSourceBucketOwner=THEIRS,
    )
    assert (owners(relay, TO)[0], owners(relay, FROM)[0]) == (MINE, THEIRS)

"""A store that lies about what is not sealed while a proxy copies it to where it is: no seal tells, so it is counted.

What the store holds of plaintext is its word; but a copy is the range that was asked for, or nothing.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.relay import Exchange, StoreRelay

POLICY = """\
[[policy]]
name = "plain"
kek = "file"
buckets = ["lies-plain"]
mode = "passthrough"

[[policy]]
name = "sealed"
kek = "file"
buckets = ["lies-sealed"]
"""
BODY = bytes(range(200))
FIRST, LAST = 20, 119
Rewrite = Callable[[Exchange, bytes], bytes]


class World(NamedTuple):
    """A proxy whose way to the store leads over a relay."""

    relay: StoreRelay
    client: Any


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[World]:
    settings = {}
    with StoreRelay(store.address) as relay:
        settings["store_address"] = relay.address
        with ProxyProcess(tmp_path_factory.mktemp("plain"), store, policy=POLICY, settings=settings) as proxy:
            client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
            for bucket in ("lies-plain", "lies-sealed"):
                client.create_bucket(Bucket=bucket)
            client.put_object(Bucket="lies-plain", Key="k", Body=BODY)
            yield World(relay, client)
            client.close()


def of_reads(method: str, pattern: bytes, value: bytes) -> Rewrite:
    """Return what changes the heads of good answers to reads of the object."""

    def rewrite(exchange: Exchange, head: bytes) -> bytes:
        if exchange.method != method or not exchange.target.startswith("/lies-plain/k"):
            return head
        return re.sub(pattern, value, head)

    return rewrite


LIES: dict[str, Rewrite] = {
    "another range": of_reads("GET", rb"(?im)^(content-range: bytes )20-119", rb"\g<1>21-120"),
    "a range that cannot be read": of_reads("GET", rb"(?im)^(content-range: )bytes 20", rb"\g<1>lines x"),
    "the beginning instead of a range": of_reads("GET", rb"(?im)^content-range: [^\r]*\r\n", b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_part_that_is_copied_is_the_range_that_was_asked_for(lying: World, lie: str) -> None:
    name = {"Bucket": "lies-sealed", "Key": "parts"}
    upload = name | {"UploadId": lying.client.create_multipart_upload(**name)["UploadId"]}
    wish = upload | {"PartNumber": 1, "CopySource": "lies-plain/k", "CopySourceRange": f"bytes={FIRST}-{LAST}"}
    lying.relay.rewrite = LIES[lie]
    try:
        with pytest.raises(ClientError) as caught:
            lying.client.upload_part_copy(**wish)
    finally:
        lying.relay.rewrite = lambda _, head: head
    assert caught.value.response["Error"]["Code"] == "BadGateway"
    assert "Parts" not in lying.client.list_parts(**upload)
    etag = lying.client.upload_part_copy(**wish)["CopyPartResult"]["ETag"]
    lying.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert lying.client.get_object(**name)["Body"].read() == BODY[FIRST : LAST + 1]


def test_a_copy_is_as_long_as_the_object_was_said_to_be_or_is_none(lying: World) -> None:
    lying.relay.rewrite = of_reads("HEAD", rb"(?im)^(content-length: )\d+", rb"\g<1>201")
    try:
        with pytest.raises(ClientError) as caught:
            lying.client.copy_object(Bucket="lies-sealed", Key="copy", CopySource="lies-plain/k")
    finally:
        lying.relay.rewrite = lambda _, head: head
    assert caught.value.response["Error"]["Code"] == "BadGateway"
    assert "Contents" not in lying.client.list_objects_v2(Bucket="lies-sealed", Prefix="copy")

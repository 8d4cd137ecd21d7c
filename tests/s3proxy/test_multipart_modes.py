"""Uploads to buckets that are not sealed, and to those that are being migrated."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.multipart import LEAST, begin, code_of, upload
from tests.support.s3.relay import QUIET, StoreRelay

POLICY = """\
[[policy]]
name = "main"
kek = "file"
buckets = ["mode-sealed"]

[[policy]]
name = "main"
kek = "file"
buckets = ["mode-migrate"]
mode = "migrate"

[[policy]]
name = "main"
kek = "file"
buckets = ["mode-plain"]
mode = "passthrough"
"""
BODIES = {1: os.urandom(LEAST), 2: os.urandom(LEAST + 7), 3: b"tail"}
WHOLE = b"".join(BODIES.values())


@pytest.fixture(scope="module")
def relay(store: SeaweedServer) -> Iterator[StoreRelay]:
    with StoreRelay(store.address) as running:
        yield running


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, relay: StoreRelay) -> Iterator[Any]:
    settings = {"store_address": relay.address} | QUIET
    with ProxyProcess(tmp_path_factory.mktemp("modes"), store, policy=POLICY, settings=settings) as running:
        client = client_of(running.url, running.access_key, running.secret_key)
        for bucket in ("mode-sealed", "mode-migrate", "mode-plain"):
            client.create_bucket(Bucket=bucket)
        relay.settle()
        yield client
        client.close()


@pytest.mark.parametrize("options", [{}, {"ChecksumAlgorithm": "CRC32"}])
def test_passthrough_stores_what_came(modes: Any, bare: Any, options: dict[str, str]) -> None:
    uploading = begin(modes, "mode-plain", "plain", Metadata={"colour": "blue"}, **options)
    etags = {number: uploading.put(number, body, **options) for number, body in BODIES.items()}
    assert {number: size for number, (_, size) in uploading.listed().items()} == {
        number: len(body) for number, body in BODIES.items()
    }
    done = uploading.complete(etags)
    assert done["ETag"].endswith('-3"')
    assert bare.get_object(Bucket="mode-plain", Key="plain")["Body"].read() == WHOLE
    got = modes.get_object(Bucket="mode-plain", Key="plain")
    assert got["Body"].read() == WHOLE
    assert got["Metadata"] == {"colour": "blue"}


def test_passthrough_completes_with_checksums_that_only_the_proxy_knows(modes: Any, relay: StoreRelay) -> None:
    """The store is told of the proxy's own algorithm at the beginning, and S3 refuses parts with another one."""
    relay.exchanges.clear()
    uploading = begin(modes, "mode-plain", "summed", ChecksumAlgorithm="CRC32")
    answer = modes.upload_part(**uploading.names, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    part = {"PartNumber": 1, "ETag": answer["ETag"], "ChecksumCRC32": "jNIAkg=="}
    parts = {"Parts": [part]}
    modes.complete_multipart_upload(**uploading.names, MultipartUpload=parts, ChecksumCRC32="jNIAkg==")
    assert modes.get_object(Bucket="mode-plain", Key="summed")["Body"].read() == b"x"
    for exchange in relay.exchanges:
        assert not [name for name in exchange.headers if name.startswith("x-amz-checksum-crc32")]
        assert exchange.headers.get("x-amz-checksum-algorithm", "CRC64NVME") == "CRC64NVME"
        assert b"CRC32" not in exchange.body


@pytest.mark.parametrize("claim", [{"ChecksumCRC32": "AAAAAQ=="}, {"ChecksumSHA256": "A" * 43 + "="}])
def test_a_checksum_of_the_object_is_held_against_its_parts_in_passthrough_too(modes: Any, claim: Any) -> None:
    uploading = begin(modes, "mode-plain", "claimed", ChecksumAlgorithm="CRC32")
    answer = modes.upload_part(**uploading.names, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    parts = {"Parts": [{"PartNumber": 1, "ETag": answer["ETag"], "ChecksumCRC32": "jNIAkg=="}]}
    with pytest.raises(ClientError) as caught:
        modes.complete_multipart_upload(**uploading.names, MultipartUpload=parts, **claim)
    assert code_of(caught.value) == ("BadDigest" if "ChecksumCRC32" in claim else "InvalidRequest")
    with pytest.raises(ClientError):
        modes.head_object(Bucket="mode-plain", Key="claimed")
    uploading.abort()


def test_wrong_part_is_not_taken_in_passthrough_either(modes: Any, bare: Any) -> None:
    uploading = begin(modes, "mode-plain", "wrong")
    for size in (10, LEAST):
        with pytest.raises(ClientError) as caught:
            uploading.put(1, bytes(size), ChecksumCRC32="AAAAAQ==")
        assert code_of(caught.value) == "BadDigest"
    assert not bare.list_parts(**uploading.names).get("Parts")
    uploading.abort()


def test_migrate_writes_sealed(modes: Any, bare: Any) -> None:
    upload(modes, "mode-migrate", "new", BODIES)
    assert modes.get_object(Bucket="mode-migrate", Key="new")["Body"].read() == WHOLE
    assert bare.get_object(Bucket="mode-migrate", Key="new")["Body"].read()[:4] == b"SEG1"


@pytest.mark.parametrize("source", ["mode-plain", "mode-migrate"])
def test_plaintext_is_sealed_when_it_becomes_a_part(modes: Any, bare: Any, source: str) -> None:
    bare.put_object(Bucket=source, Key="old", Body=WHOLE)
    uploading = begin(modes, "mode-sealed", "from-" + source)
    etags = {}
    for number, options in ((1, {}), (2, {"CopySourceRange": "bytes=5-99"})):
        answer = modes.upload_part_copy(
            **uploading.names, PartNumber=number, CopySource={"Bucket": source, "Key": "old"}, **options
        )
        etags[number] = answer["CopyPartResult"]["ETag"]
    uploading.complete(etags)
    assert modes.get_object(Bucket="mode-sealed", Key="from-" + source)["Body"].read() == WHOLE + WHOLE[5:100]
    assert bare.get_object(Bucket="mode-sealed", Key="from-" + source)["Body"].read()[:4] == b"SEG1"


def test_sealed_source_keeps_its_seal(modes: Any) -> None:
    modes.put_object(Bucket="mode-sealed", Key="secret", Body=b"secret")
    uploading = begin(modes, "mode-plain", "opened")
    with pytest.raises(ClientError) as caught:
        modes.upload_part_copy(**uploading.names, PartNumber=1, CopySource="mode-sealed/secret")
    assert code_of(caught.value) == "InvalidRequest"
    uploading.abort()


def test_unsealed_source_is_copied_by_the_store(modes: Any, bare: Any) -> None:
    bare.put_object(Bucket="mode-plain", Key="old", Body=WHOLE)
    uploading = begin(modes, "mode-plain", "copied")
    answer = modes.upload_part_copy(
        **uploading.names, PartNumber=1, CopySource="mode-plain/old", CopySourceRange="bytes=5-99"
    )
    uploading.complete({1: answer["CopyPartResult"]["ETag"]})
    assert bare.get_object(Bucket="mode-plain", Key="copied")["Body"].read() == WHOLE[5:100]

"""Unfinished uploads that somebody has changed at the store: never completed to an object that cannot be read."""

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.s3.multipart import LEAST, Uploading, begin, code_of, kept_copies

AS_BEGUN = {"ChecksumAlgorithm": "CRC64NVME"}  # the store was told of it when the proxy began the upload
pytestmark = pytest.mark.usefixtures("no_kept_copies")


@pytest.fixture
def uploading(s3: Any, bucket: str) -> Any:
    """An upload that is aborted in the end."""
    begun = begin(s3, bucket, "tampered")
    yield begun
    begun.abort()


def only_copy(bare: Any) -> tuple[str, bytes]:
    (key,) = kept_copies(bare)
    return key, bare.get_object(Bucket="strongroom-system", Key=key)["Body"].read()


@pytest.mark.parametrize("place", [0, 8, 40, 70, 83, 230, 260, 400, 5000, -1])
def test_damaged_copy_of_a_small_part(uploading: Uploading, bare: Any, place: int) -> None:
    etags = uploading.put_all({1: bytes(LEAST), 2: b"small" * 20})
    key, sealed = only_copy(bare)
    changed = bytearray(sealed)
    changed[place] ^= 1
    bare.put_object(Bucket="strongroom-system", Key=key, Body=bytes(changed))
    with pytest.raises(ClientError) as caught:
        uploading.complete(etags)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    bare.put_object(Bucket="strongroom-system", Key=key, Body=sealed)
    uploading.complete(etags)
    got = uploading.client.get_object(Bucket=uploading.bucket, Key=uploading.key)
    assert got["Body"].read() == bytes(LEAST) + b"small" * 20


def test_copy_of_another_upload(uploading: Uploading, bare: Any) -> None:
    etag = uploading.put(1, b"first")
    key, _ = only_copy(bare)
    other = begin(uploading.client, uploading.bucket, uploading.key)
    other.put(1, b"other")
    (copied,) = set(kept_copies(bare)) - {key}
    sealed = bare.get_object(Bucket="strongroom-system", Key=copied)["Body"].read()
    bare.put_object(Bucket="strongroom-system", Key=key, Body=sealed)
    with pytest.raises(ClientError) as caught:
        uploading.complete({1: etag})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    other.abort()


def test_small_part_without_its_copy_is_to_be_uploaded_again(uploading: Uploading, bare: Any) -> None:
    etag = uploading.put(1, b"small")
    bare.delete_object(Bucket="strongroom-system", Key=only_copy(bare)[0])
    assert uploading.listed() == {}
    with pytest.raises(ClientError) as caught:
        uploading.complete({1: etag})
    assert code_of(caught.value) == "InvalidPart"
    uploading.complete({1: uploading.put(1, b"small")})


@pytest.mark.parametrize("size", [5, 17_000, 17_072, LEAST])
def test_small_part_that_no_proxy_has_sealed_is_none(uploading: Uploading, bare: Any, size: int) -> None:
    etag = uploading.through(bare).put(1, os.urandom(size), **AS_BEGUN)
    assert uploading.listed() == {}
    with pytest.raises(ClientError) as caught:
        uploading.complete({1: etag})
    assert code_of(caught.value) == "InvalidPart"


def test_large_part_that_no_proxy_has_sealed_is_never_read(uploading: Uploading, bare: Any) -> None:
    """Its bytes cannot be looked at before the upload is completed; who reads the object finds out."""
    etag = uploading.through(bare).put(1, os.urandom(LEAST + 16_640), **AS_BEGUN)
    uploading.complete({1: etag})
    with pytest.raises(ClientError) as caught:
        uploading.client.get_object(Bucket=uploading.bucket, Key=uploading.key)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500

"""Checksums of parts and of multipart objects: verified over plaintext, kept, given back."""

import base64
import os
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3proxy.s3api.checksums import checksum_text, composite, full_object, running
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm
from tests.support.s3.multipart import LEAST, Uploading, begin, code_of

BODIES = {1: os.urandom(LEAST), 4: os.urandom(LEAST), 5: b"the rest"}


def checksum_of(algorithm: ChecksumAlgorithm, body: bytes) -> Checksum:
    one = running(algorithm)
    one.update(memoryview(body))
    return Checksum(algorithm, one.digest())


def put_with_checksum(uploading: Uploading, algorithm: str) -> list[dict[str, Any]]:
    """Upload all bodies; return what a client then lists."""
    name, parts = f"Checksum{algorithm}", []
    for number, body in BODIES.items():
        answer = uploading.client.upload_part(
            **uploading.names, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm
        )
        assert answer[name] == checksum_text(checksum_of(ChecksumAlgorithm[algorithm], body))
        parts.append({"PartNumber": number, "ETag": answer["ETag"], name: answer[name]})
    return parts


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksum_of_parts_becomes_that_of_the_object(s3: Any, bucket: str, algorithm: str) -> None:
    known, key = ChecksumAlgorithm[algorithm], f"checksum/{algorithm}"
    created = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm=algorithm)
    assert created["ChecksumAlgorithm"] == algorithm
    uploading = Uploading(s3, bucket, key, created["UploadId"])
    parts = put_with_checksum(uploading, algorithm)
    done = s3.complete_multipart_upload(**uploading.names, MultipartUpload={"Parts": parts})
    if algorithm == "CRC64NVME":
        expected, scope = checksum_text(checksum_of(known, b"".join(BODIES.values()))), "FULL_OBJECT"
    else:
        values = [checksum_of(known, body).value for body in BODIES.values()]
        expected, scope = checksum_text(composite(known, values)), "COMPOSITE"
        assert expected.endswith("-3")
    head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    got = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    for answer in (done, head, got):
        assert (answer[f"Checksum{algorithm}"], answer["ChecksumType"]) == (expected, scope)
    assert got["Body"].read() == b"".join(BODIES.values())  # botocore verifies it, if it is of the full object
    assert f"Checksum{algorithm}" not in s3.head_object(Bucket=bucket, Key=key)


def test_checksum_of_the_full_object_is_compared_with_the_parts(s3: Any, bucket: str) -> None:
    uploading = begin(s3, bucket, "full", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = put_with_checksum(uploading, "CRC32")
    whole = b"".join(BODIES.values())
    right = base64.b64encode(zlib.crc32(whole).to_bytes(4, "big")).decode()
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**uploading.names, MultipartUpload={"Parts": parts}, ChecksumCRC32="AAAAAA==")
    assert code_of(caught.value) == "BadDigest"
    bare_parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in parts]
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**uploading.names, MultipartUpload={"Parts": bare_parts}, ChecksumCRC32=right)
    assert code_of(caught.value) == "InvalidRequest"
    done = s3.complete_multipart_upload(**uploading.names, MultipartUpload={"Parts": parts}, ChecksumCRC32=right)
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (right, "FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="full", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (right, "FULL_OBJECT")


def test_checksums_of_two_algorithms_are_refused(s3: Any, bucket: str) -> None:
    uploading = begin(s3, bucket, "mixed")
    etag = uploading.put(1, b"x")
    parts = [{"PartNumber": 1, "ETag": etag, "ChecksumCRC32": "AAAAAA=="}]
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**uploading.names, MultipartUpload={"Parts": parts}, ChecksumCRC32C="AAAAAA==")
    assert code_of(caught.value) == "InvalidRequest"
    uploading.abort()


def test_unknown_checksum_is_refused_before_anything_is_begun(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        begin(s3, bucket, "unknown", ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")
    assert code_of(caught.value) == "InvalidRequest"


def test_crc_of_the_whole_follows_from_those_of_the_parts() -> None:
    pieces = [(checksum_of(ChecksumAlgorithm.CRC32, body).value, len(body)) for body in BODIES.values()]
    whole = checksum_of(ChecksumAlgorithm.CRC32, b"".join(BODIES.values()))
    assert full_object(ChecksumAlgorithm.CRC32, pieces) == whole

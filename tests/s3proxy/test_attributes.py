"""GetObjectAttributes through the proxy."""

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from tests.support.s3.raw import RawClient

ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


def test_of_a_whole_object(s3: Any, bucket: str) -> None:
    name = {"Bucket": bucket, "Key": "attributes"}
    put = s3.put_object(**name, Body=b"x" * 70_000, ChecksumAlgorithm="SHA256")
    told = s3.get_object_attributes(**name, ObjectAttributes=ALL)
    assert told["ObjectSize"] == 70_000
    assert told["ETag"] == put["ETag"].strip('"')
    assert told["Checksum"] == {"ChecksumSHA256": put["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"}
    assert told["StorageClass"] == "STANDARD"
    assert told["LastModified"] == s3.head_object(**name)["LastModified"]
    assert "ObjectParts" not in told
    only = s3.get_object_attributes(**name, ObjectAttributes=["ObjectSize"])
    assert set(only) == {"ResponseMetadata", "LastModified", "ObjectSize"}


def test_of_a_multipart_object(s3: Any, bucket: str) -> None:
    name = {"Bucket": bucket, "Key": "attributes-parts"}
    sizes = [5 << 20, 5 << 20, 17]
    upload = s3.create_multipart_upload(**name)["UploadId"]
    parts = []
    for number, size in enumerate(sizes, 1):
        etag = s3.upload_part(**name, UploadId=upload, PartNumber=number, Body=os.urandom(size))["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(**name, UploadId=upload, MultipartUpload={"Parts": parts})
    told = s3.get_object_attributes(**name, ObjectAttributes=ALL)
    assert told["ObjectSize"] == sum(sizes)
    assert told["ETag"] == s3.head_object(**name)["ETag"].strip('"')
    assert told["ObjectParts"]["TotalPartsCount"] == 3
    assert [part["Size"] for part in told["ObjectParts"]["Parts"]] == sizes
    page = s3.get_object_attributes(**name, ObjectAttributes=ALL, MaxParts=1, PartNumberMarker=1)["ObjectParts"]
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 2)
    assert [part["PartNumber"] for part in page["Parts"]] == [2]
    page = s3.get_object_attributes(**name, ObjectAttributes=ALL, MaxParts=100_000)["ObjectParts"]
    assert (page["MaxParts"], len(page["Parts"])) == (1000, 3)


@pytest.mark.parametrize("number", ["x", "-1", "0" * 11 + "9" * 5000, "9" * 5000, "\u0663"])
@pytest.mark.parametrize("header", ["x-amz-max-parts", "x-amz-part-number-marker"])
def test_what_is_no_number_is_refused(proxy: ProxyProcess, s3: Any, bucket: str, header: str, number: str) -> None:
    name = {"Bucket": bucket, "Key": "attributes-number"}
    upload = name | {"UploadId": s3.create_multipart_upload(**name)["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    headers = {"x-amz-object-attributes": "ObjectParts", header: number}
    answer = RawClient(proxy).send("GET", bucket, name["Key"], query=(("attributes", ""),), headers=headers)
    assert (answer.status, b"<Code>InvalidArgument</Code>" in answer.body) == (400, True)


def test_refusals(s3: Any, bucket: str) -> None:
    for name, attributes, code in (
        ("missing", ALL, {"NoSuchKey", "404"}),
        ("missing", ["Colour"], {"InvalidArgument"}),
    ):
        with pytest.raises(ClientError) as caught:
            s3.get_object_attributes(Bucket=bucket, Key=name, ObjectAttributes=attributes)
        assert caught.value.response["Error"]["Code"] in code

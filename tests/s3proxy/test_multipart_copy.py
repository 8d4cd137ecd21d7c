"""Copies of multipart objects within the store: the bytes stay sealed as they are, under a new name."""

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.s3.multipart import LEAST, code_of, upload

SHAPES = {"short last part": (LEAST, 70_000), "added part": (LEAST, LEAST + 5), "one part": (17,), "empty": (0,)}


def copy(s3: Any, bucket: str, source: str, target: str, **options: object) -> dict[str, Any]:
    answer = s3.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source}, **options)
    return dict(answer)


def body_of(client: Any, bucket: str, key: str, **options: object) -> bytes:
    return bytes(client.get_object(Bucket=bucket, Key=key, **options)["Body"].read())


@pytest.mark.parametrize("shape", SHAPES)
def test_copy_and_copy_of_the_copy(s3: Any, bare: Any, bucket: str, shape: str) -> None:
    bodies = dict(enumerate(map(os.urandom, SHAPES[shape]), start=1))
    source = f"original/{shape}"
    upload(s3, bucket, source, bodies, Metadata={"colour": "blue"}, ContentType="text/x-test")
    copy(s3, bucket, source, source + ".copy")
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {"shape": "round"}, "ContentType": "text/y"}
    copy(s3, bucket, source + ".copy", source + ".again", **replaced)
    s3.delete_object(Bucket=bucket, Key=source)
    stored = body_of(bare, bucket, source + ".copy")
    assert stored == body_of(bare, bucket, source + ".again")  # nothing was sealed again
    for key in (source + ".copy", source + ".again"):
        assert body_of(s3, bucket, key) == b"".join(bodies.values())
        for number, body in bodies.items():
            assert body_of(s3, bucket, key, PartNumber=number) == body
    head = s3.head_object(Bucket=bucket, Key=source + ".copy", PartNumber=1)
    assert (head["Metadata"], head["ContentType"], head["PartsCount"]) == (
        {"colour": "blue"},
        "text/x-test",
        len(bodies),
    )
    head = s3.head_object(Bucket=bucket, Key=source + ".again")
    assert (head["Metadata"], head["ContentType"]) == ({"shape": "round"}, "text/y")
    sizes = {item["Key"]: item["Size"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=source)["Contents"]}
    assert set(sizes.values()) == {sum(map(len, bodies.values()))}


def test_copy_onto_itself_changes_metadata(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "itself", {1: b"body"})
    copy(s3, bucket, "itself", "itself", MetadataDirective="REPLACE", Metadata={"new": "1"})
    assert s3.head_object(Bucket=bucket, Key="itself")["Metadata"] == {"new": "1"}
    assert body_of(s3, bucket, "itself") == b"body"


def test_copy_is_bound_to_its_name(s3: Any, bare: Any, bucket: str) -> None:
    """The bytes of original and copy are the same; only their entries keep them apart."""
    upload(s3, bucket, "bound", {1: b"body"})
    copy(s3, bucket, "bound", "bound.copy")
    stored, name = body_of(bare, bucket, "bound.copy"), {"Bucket": bucket, "Key": "bound.moved"}
    metadata = bare.head_object(Bucket=bucket, Key="bound.copy")["Metadata"]
    begun = {**name, "UploadId": bare.create_multipart_upload(**name, Metadata=metadata)["UploadId"]}
    etag = bare.upload_part(**begun, PartNumber=1, Body=stored)["ETag"]
    bare.complete_multipart_upload(**begun, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    with pytest.raises(ClientError) as caught:
        s3.get_object(**name)
    assert code_of(caught.value) == "InternalError"


def test_copy_whose_manifest_is_that_of_another_object(s3: Any, bare: Any, bucket: str) -> None:
    for key, body in (("pair/1", b"one"), ("pair/2", b"two")):
        upload(s3, bucket, key, {1: body})
        copy(s3, bucket, key, key + ".copy")
    stored, name = body_of(bare, bucket, "pair/2.copy"), {"Bucket": bucket, "Key": "pair/1.copy"}
    metadata = bare.head_object(**name)["Metadata"]
    begun = {**name, "UploadId": bare.create_multipart_upload(**name, Metadata=metadata)["UploadId"]}
    etag = bare.upload_part(**begun, PartNumber=1, Body=stored)["ETag"]
    bare.complete_multipart_upload(**begun, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    with pytest.raises(ClientError) as caught:
        s3.get_object(**name)
    assert code_of(caught.value) == "InternalError"


def test_copy_that_fails_leaves_no_upload(s3: Any, bare: Any, bucket: str) -> None:
    upload(s3, bucket, "cut", {1: bytes(LEAST), 2: b"tail"})
    s3.put_object(Bucket=bucket, Key="cut.copy", Body=b"in the way")
    with pytest.raises(ClientError) as caught:
        copy(s3, bucket, "cut", "cut.copy", IfNoneMatch="*")
    assert code_of(caught.value) == "PreconditionFailed"
    uploads = bare.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert not [one for one in uploads if one["Key"] == "cut.copy"]
    assert body_of(s3, bucket, "cut.copy") == b"in the way"

"""Multipart uploads through the proxy, against the real store: what went in comes out, and the store cannot read it."""

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from strongroom.sealed.sizes import listed_plaintext_bytes

MIB = 1 << 20
LEAST = 5 * MIB


def code_of(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def upload(client: Any, bucket: str, key: str, parts: dict[int, bytes], **options: Any) -> dict[str, Any]:
    """Upload parts in the order of the mapping; complete in the order of their numbers."""
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key, **options)["UploadId"]
    etags = {number: put(client, bucket, key, upload_id, number, body) for number, body in parts.items()}
    return dict(complete(client, bucket, key, upload_id, etags))


def put(client: Any, bucket: str, key: str, upload_id: str, number: int, body: bytes, **options: Any) -> str:
    answer = client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body, **options)
    return str(answer["ETag"])


def complete(client: Any, bucket: str, key: str, upload_id: str, etags: dict[int, str], **options: Any) -> Any:
    parts = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
    return client.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **options
    )


def kept(bare: Any) -> list[str]:
    """Return the names of all copies of small parts."""
    listed = bare.list_objects_v2(Bucket="strongroom-system", Prefix="uploads/")
    return [item["Key"] for item in listed.get("Contents", [])]


SHAPES = {
    "one empty part": (0,),
    "one byte": (1,),
    "one short part": (70_000,),
    "one part of the least size": (LEAST,),
    "short last part": (LEAST, LEAST + 3, 17),
    "empty last part": (LEAST, 0),
    "long last part": (LEAST + 1, LEAST),
    "last part just short": (LEAST, LEAST - 1),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_uploaded_is_got(s3: Any, bare: Any, bucket: str, shape: str) -> None:
    bodies = [os.urandom(size) for size in SHAPES[shape]]
    whole, key = b"".join(bodies), f"shape/{shape}"
    numbers = [2 * number for number in range(1, len(bodies) + 1)]
    parts = dict(sorted(zip(numbers, bodies, strict=True), reverse=True))
    done = upload(s3, bucket, key, parts, Metadata={"colour": "blue"}, ContentType="text/x-test", Tagging="a=b")
    head = s3.head_object(Bucket=bucket, Key=key)
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == whole
    assert done["ETag"] == head["ETag"] == got["ETag"]
    assert head["ContentLength"] == got["ContentLength"] == len(whole)
    assert head["ContentType"] == "text/x-test"
    assert head["Metadata"] == {"colour": "blue"}
    assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "a", "Value": "b"}]
    stored = bare.head_object(Bucket=bucket, Key=key)
    assert listed_plaintext_bytes(stored["ContentLength"], stored["ETag"]) == len(whole)
    for body in bodies:
        assert len(body) < 64 or body[:64] not in bare.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert not kept(bare)

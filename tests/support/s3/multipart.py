"""Multipart uploads by a boto3 client, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

MIB = 1 << 20
SYSTEM_BUCKET = "strongroom-system"
LEAST = 5 * MIB  # S3 API limit, for every part but the last

S3 = Any  # botocore makes its clients at run time


def code_of(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


@dataclass
class Uploading:
    """An upload; ``through`` gives it to another client."""

    client: S3
    bucket: str
    key: str
    upload_id: str

    @property
    def names(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.upload_id}

    def through(self, client: S3) -> "Uploading":
        return Uploading(client, self.bucket, self.key, self.upload_id)

    def put(self, number: int, body: bytes, **options: object) -> str:
        """Upload a part and return its ETag."""
        return str(self.client.upload_part(**self.names, PartNumber=number, Body=body, **options)["ETag"])

    def put_all(self, bodies: Mapping[int, bytes]) -> dict[int, str]:
        return {number: self.put(number, body) for number, body in bodies.items()}

    def complete(self, etags: Mapping[int, str], **options: object) -> dict[str, Any]:
        parts = {"Parts": [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]}
        return dict(self.client.complete_multipart_upload(**self.names, MultipartUpload=parts, **options))

    def listed(self) -> dict[int, tuple[str, int]]:
        """Return ETag and size of each part that ListParts shows."""
        pages = self.client.get_paginator("list_parts").paginate(**self.names)
        return {part["PartNumber"]: (part["ETag"], part["Size"]) for page in pages for part in page.get("Parts", [])}

    def abort(self) -> None:
        self.client.abort_multipart_upload(**self.names)


def begin(client: S3, bucket: str, key: str, **options: object) -> Uploading:
    answer = client.create_multipart_upload(Bucket=bucket, Key=key, **options)
    return Uploading(client, bucket, key, str(answer["UploadId"]))


def upload(client: S3, bucket: str, key: str, parts: Mapping[int, bytes], **options: object) -> dict[str, Any]:
    """Upload parts in the order of the mapping, and complete in the order of their numbers."""
    uploading = begin(client, bucket, key, **options)
    return uploading.complete(uploading.put_all(parts))


def kept_copies(bare: S3) -> list[str]:
    """Return the names of all copies of small parts at the store."""
    try:
        found = bare.list_objects_v2(Bucket=SYSTEM_BUCKET, Prefix="uploads/")
    except ClientError as error:
        if code_of(error) != "NoSuchBucket":  # it is made when something is first put into it
            raise
        return []
    return [item["Key"] for item in found.get("Contents", [])]

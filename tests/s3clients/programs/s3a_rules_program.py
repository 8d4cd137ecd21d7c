"""The rules by which Hadoop's S3A tracks changes, for those who cannot have Hadoop here.

They are those of its documentation ("Working with Versioned S3 Buckets", ``fs.s3a.change.detection.source=etag`` and
``.mode=server``, both the default): what was listed is what is opened and renamed. The ETag of the listing goes into
each GET as If-Match and into each copy as x-amz-copy-source-if-match, and each answer must show the same one.
"""

import os
from typing import Any

import boto3

from tests.s3clients.programs.lines import serve

BUCKET = os.environ["BUCKET"]
S3 = boto3.client("s3")


class RemoteFileChangedError(Exception):
    """Named as Hadoop does."""


def _listed(prefix: str) -> dict[str, str]:
    pages = S3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", ())}


def _require_unchanged(answer: dict[str, Any], etag: str) -> None:
    if answer["ETag"] != etag:
        raise RemoteFileChangedError(f"expected {etag}, got {answer['ETag']}")


def version() -> str:
    return "rules of 3.4"


def read_listed(prefix: str) -> dict[str, int]:
    """Open and seek: each read is a GET of its own."""
    found = {}
    for key, etag in _listed(prefix).items():
        head = S3.head_object(Bucket=BUCKET, Key=key)
        _require_unchanged(head, etag)
        found[key] = 0
        for first in range(0, head["ContentLength"], 65_000):
            answer = S3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={first}-{first + 64_999}", IfMatch=etag)
            _require_unchanged(answer, etag)
            found[key] += len(answer["Body"].read())
    return found


def copy(source: str, target: str) -> None:
    """Rename: listed, looked at, copied, and the source deleted, which the test does not ask for."""
    etag = _listed(source)[source]
    head = S3.head_object(Bucket=BUCKET, Key=source)
    _require_unchanged(head, etag)
    place = {"Bucket": BUCKET, "Key": source}
    answer = S3.copy_object(Bucket=BUCKET, Key=target, CopySource=place, CopySourceIfMatch=etag)
    _require_unchanged(S3.head_object(Bucket=BUCKET, Key=target), answer["CopyObjectResult"]["ETag"])


serve({act.__name__: act for act in (version, read_listed, copy)})

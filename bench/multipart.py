"""A multipart upload, as SDKs do it for large objects."""

import contextlib
import re
from typing import Final

from bench.failed import FailedError
from bench.s3_load import Connection, Payload
from bench.s3_targets import Target

_UPLOAD_ID: Final = re.compile(rb"<UploadId>([^<]+)</UploadId>")


def upload(target: Target, connection: Connection, key: str, part: Payload, count: int) -> None:
    """Store an object of this many equal parts, one after the other.

    Raises:
        FailedError: the server refuses a step, or its answer is nonsense.
    """
    begun = _UPLOAD_ID.search(connection.fetch(target.requests.post(key, "uploads=")))
    if begun is None:
        raise FailedError(f"{target.url}: gives no id to a multipart upload")
    query = f"uploadId={begun[1].decode()}"
    lines = ""
    for number in range(1, count + 1):
        etag = connection.put_part(target.requests.put(key, part, f"partNumber={number}&{query}"))
        lines += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
    with contextlib.closing(Payload(0, document)) as body:
        connection.fetch(target.requests.post(key, query, body))

"""One endpoint under test, looked at with a client of the test's own, and at what the store behind it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError as S3Refusal

from tests.s3clients.endpoint import Endpoint

SMALL_BYTES = 200_003  # three whole chunks and a bit
MAGIC = b"SEG1"
_PROBE_BYTES = 32
_LOOKED_AT_BYTES = 256 * 1024  # all of a small object


@dataclass(frozen=True, kw_only=True)
class Stand:
    """An endpoint, a reference client of it, and one of the store behind it (None when the endpoint is the store)."""

    endpoint: Endpoint
    s3: Any
    at_rest: Any

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.endpoint.bucket, Key=key, Body=body)

    def put_parts(self, key: str, body: bytes) -> None:
        """Upload an object as one part."""
        name = {"Bucket": self.endpoint.bucket, "Key": key}
        upload = {**name, "UploadId": self.s3.create_multipart_upload(**name)["UploadId"]}
        etag = self.s3.upload_part(**upload, PartNumber=1, Body=body)["ETag"]
        self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})

    def read(self, key: str, *, begin: int = 0) -> bytes:
        wanted = {"Range": f"bytes={begin}-"} if begin else {}
        data: bytes = self.s3.get_object(Bucket=self.endpoint.bucket, Key=key, **wanted)["Body"].read()
        return data

    def head(self, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.s3.head_object(Bucket=self.endpoint.bucket, Key=key)
        return answer

    def require_absent(self, keys: Sequence[str]) -> None:
        for key in keys:
            with pytest.raises(S3Refusal, match="404"):
                self.head(key)

    def require_sealed(self, key: str, body: bytes) -> None:
        """Fail unless the store behind a proxy holds a sealed object that shows nothing of the body."""
        if self.at_rest is None:
            return
        name = {"Bucket": self.endpoint.bucket, "Key": key}
        assert "seg1" in self.at_rest.head_object(**name)["Metadata"]
        begin, end = (
            self.at_rest.get_object(**name, Range=wanted)["Body"].read()
            for wanted in (f"bytes=0-{_LOOKED_AT_BYTES - 1}", f"bytes=-{_LOOKED_AT_BYTES}")
        )
        assert begin.startswith(MAGIC)
        for probe in (body[:_PROBE_BYTES], body[-_PROBE_BYTES:]):
            assert probe not in begin
            assert probe not in end

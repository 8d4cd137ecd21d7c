"""UploadPartCopy: sources of all kinds become sealed parts."""

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.s3.multipart import LEAST, begin, code_of, kept_copies, upload

pytestmark = pytest.mark.usefixtures("no_kept_copies")


@pytest.fixture(scope="module")
def sources(s3: Any, bucket: str) -> dict[str, bytes]:
    """A whole object, a multipart object and an empty one."""
    parts = {1: os.urandom(LEAST), 2: os.urandom(LEAST + 9), 3: os.urandom(70_000)}
    bodies = {
        "source/whole ü+": os.urandom(LEAST + 200_000),
        "source/parts": b"".join(parts.values()),
        "source/empty": b"",
    }
    upload(s3, bucket, "source/parts", parts)
    for key in ("source/whole ü+", "source/empty"):
        s3.put_object(Bucket=bucket, Key=key, Body=bodies[key])
    return bodies


def test_whole_sources(s3: Any, bare: Any, bucket: str, sources: dict[str, bytes]) -> None:
    uploading = begin(s3, bucket, "copied")
    etags = {}
    for number, key in enumerate(sources, start=1):
        source = {"Bucket": bucket, "Key": key}
        answer = s3.upload_part_copy(**uploading.names, PartNumber=number, CopySource=source)
        etags[number] = answer["CopyPartResult"]["ETag"]
        assert answer["CopyPartResult"]["LastModified"]
    uploading.complete(etags)
    assert s3.get_object(Bucket=bucket, Key="copied")["Body"].read() == b"".join(sources.values())
    assert not kept_copies(bare)


@pytest.mark.parametrize("key", ["source/whole ü+", "source/parts"])
@pytest.mark.parametrize(("first", "last"), [(0, LEAST - 1), (1, LEAST + 3), (LEAST - 5, LEAST + 70_000), (7, 7)])
def test_range_of_a_source(  # noqa: PLR0913, PLR0917 - fixtures and cases
    s3: Any, bucket: str, sources: dict[str, bytes], key: str, first: int, last: int
) -> None:
    uploading = begin(s3, bucket, "ranged")
    answer = s3.upload_part_copy(
        **uploading.names,
        PartNumber=3,
        CopySource={"Bucket": bucket, "Key": key},
        CopySourceRange=f"bytes={first}-{last}",
    )
    assert uploading.listed() == {3: (answer["CopyPartResult"]["ETag"], last - first + 1)}
    uploading.complete({3: answer["CopyPartResult"]["ETag"]})
    assert s3.get_object(Bucket=bucket, Key="ranged")["Body"].read() == sources[key][first : last + 1]


REFUSED: dict[str, tuple[str, dict[str, str]]] = {
    "behind the end": ("InvalidRange", {"CopySourceRange": "bytes=0-99999999"}),
    "backwards": ("InvalidArgument", {"CopySourceRange": "bytes=5-4"}),
    "open": ("InvalidArgument", {"CopySourceRange": "bytes=5-"}),
    "another object": ("PreconditionFailed", {"CopySourceIfMatch": '"0123"'}),
    "missing": ("NoSuchKey", {"CopySource": "sealed/source/missing"}),
    "hidden": ("AccessDenied", {"CopySource": "strongroom-system/uploads/x"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(s3: Any, bucket: str, sources: dict[str, bytes], case: str) -> None:
    assert "source/parts" in sources
    code, options = REFUSED[case]
    uploading = begin(s3, bucket, "refused-copy")
    with pytest.raises(ClientError) as caught:
        s3.upload_part_copy(**uploading.names, PartNumber=1, **{"CopySource": f"{bucket}/source/parts", **options})
    assert code_of(caught.value) == code
    assert uploading.listed() == {}
    uploading.abort()


def test_condition_names_the_etag_that_the_client_knows(s3: Any, bucket: str, sources: dict[str, bytes]) -> None:
    uploading = begin(s3, bucket, "conditional-copy")
    for number, key in enumerate(sources, start=1):
        etag, source = s3.head_object(Bucket=bucket, Key=key)["ETag"], {"Bucket": bucket, "Key": key}
        s3.upload_part_copy(**uploading.names, PartNumber=number, CopySource=source, CopySourceIfMatch=etag)
    assert [size for _, size in uploading.listed().values()] == [len(body) for body in sources.values()]
    uploading.abort()

"""Suites that are run with and without the fast path: what the store does to objects is tried on both."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import S3

FAST = "fast"


@pytest.fixture(scope="session", params=[FAST, "general"])
def way(request: pytest.FixtureRequest) -> str:
    """How small objects go; whoever asks for this is run both ways."""
    return str(request.param)


@pytest.fixture(scope="session")
def either_proxy(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, way: str) -> Iterator[ProxyProcess]:
    with ProxyProcess(tmp_path_factory.mktemp("either"), store, settings={"fast_path": way == FAST}) as running:
        yield running


def make_bucket(bare: S3, name: str) -> None:
    """Make a bucket at the store, without anything that the other way has left in it."""
    try:
        bare.create_bucket(Bucket=name)
    except ClientError as error:
        assert error.response["Error"]["Code"].startswith("BucketAlready"), error  # noqa: PT017 - else it was made
    for upload in bare.list_multipart_uploads(Bucket=name).get("Uploads", []):
        bare.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for entry in bare.list_objects_v2(Bucket=name).get("Contents", []):
        bare.delete_object(Bucket=name, Key=entry["Key"])

"""One upload through two proxies that share keys and credentials, and no state."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.multipart import LEAST, begin, code_of, kept_copies

pytestmark = pytest.mark.usefixtures("no_kept_copies")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, proxy: ProxyProcess) -> Iterator[Any]:
    """A client of another proxy."""
    shared = {"kek_file": proxy.directory / "kek", "credentials_file": proxy.directory / "credentials.toml"}
    settings = {name: str(path) for name, path in shared.items()}
    with ProxyProcess(tmp_path_factory.mktemp("replica"), store, settings=settings) as replica:
        yield client_of(replica.url, proxy.access_key, proxy.secret_key)


@pytest.mark.parametrize("tail", [17, LEAST])
def test_requests_of_one_upload_alternate(s3: Any, other: Any, bare: Any, bucket: str, tail: int) -> None:
    key = f"alternate/{tail}"
    bodies = {1: os.urandom(LEAST), 2: os.urandom(LEAST), 3: os.urandom(tail)}
    here = begin(s3, bucket, key)
    there = here.through(other)
    etags = {3: there.put(3, b"replaced"), 1: there.put(1, bodies[1]), 2: here.put(2, bodies[2])}
    etags[3] = here.put(3, bodies[3])
    sizes = {number: (etags[number], len(body)) for number, body in bodies.items()}
    assert here.listed()[1] == there.listed()[1] == sizes[1]
    there.complete(etags)
    for client in (s3, other):
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == b"".join(bodies.values())
    assert here.complete(etags)["ETag"] == s3.head_object(Bucket=bucket, Key=key)["ETag"]
    assert not kept_copies(bare)


def test_abort_through_the_other(s3: Any, other: Any, bare: Any, bucket: str) -> None:
    here = begin(s3, bucket, "alternate/aborted")
    etag = here.put(1, b"small")
    here.through(other).abort()
    assert not kept_copies(bare)
    with pytest.raises(ClientError) as caught:
        here.complete({1: etag})
    assert code_of(caught.value) == "NoSuchUpload"

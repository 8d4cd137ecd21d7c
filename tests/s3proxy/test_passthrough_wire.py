"""What passes between proxy and store for names that are not sealed: nothing unverified, and nothing is held whole."""

import contextlib
import http.client
import os
from collections.abc import Iterator
from typing import Any

import pytest
from urllib3.filepost import encode_multipart_formdata

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.relay import StoreRelay

BUCKET = "wire-open"
POLICY = f"""\
[[policy]]
name = "open"
kek = "file"
buckets = ["{BUCKET}"]
mode = "passthrough"
"""
BIG = os.urandom((3 << 20) + 5)


@pytest.fixture(scope="module")
def relay(store: SeaweedServer) -> Iterator[StoreRelay]:
    with StoreRelay(store.address) as relay:
        yield relay


@pytest.fixture(scope="module", params=["no", "yes"], ids=["without checksums", "with checksums"])
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, relay: StoreRelay
) -> Iterator[ProxyProcess]:
    settings = {"store_address": relay.address, "store_checksums": request.param}
    with ProxyProcess(tmp_path_factory.mktemp("wire"), store, policy=POLICY, settings=settings) as running:
        yield running


@pytest.fixture
def s3(proxy: ProxyProcess) -> Iterator[Any]:
    with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key, signature_version="s3v4")) as s3:
        with contextlib.suppress(s3.exceptions.BucketAlreadyExists, s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=BUCKET)
        yield s3


@pytest.mark.parametrize("body", [b"", b"hello", BIG], ids=["empty", "small", "big"])
@pytest.mark.parametrize("wrong", ["checksum", "end"])
def test_a_form_whose_file_is_not_what_it_claims_leaves_what_was_there(
    s3: Any, proxy: ProxyProcess, relay: StoreRelay, body: bytes, wrong: str
) -> None:
    s3.put_object(Bucket=BUCKET, Key="there", Body=b"before")
    claims = {"x-amz-checksum-crc32": "AAAAAQ=="} if wrong == "checksum" else {}
    post = s3.generate_presigned_post(
        BUCKET, "there", Fields=dict(claims), Conditions=[{name: value} for name, value in claims.items()]
    )
    parts: Any = [*post["fields"].items(), ("file", ("x", body, "text/plain"))]
    form, content_type = encode_multipart_formdata(parts)
    if wrong == "end":
        form = form[:-4]
    before = len(relay.exchanges)
    with contextlib.closing(http.client.HTTPConnection(proxy.address, timeout=30)) as connection:
        connection.request("POST", f"/{BUCKET}", form, {"Content-Type": content_type})
        assert connection.getresponse().status == 400
    assert s3.get_object(Bucket=BUCKET, Key="there")["Body"].read() == b"before"
    if body is not BIG:
        written = [one for one in relay.exchanges[before:] if one.method == "PUT"]
        assert not [one for one in written if one.target.startswith(f"/{BUCKET}/")]

"""Uploads as SDKs send them over TLS (aws-chunked with a trailer), uploads that break off, and uploads that meet."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from devstack.authority import Authority
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
from tests.support.s3.multipart import LEAST, begin, code_of, kept_copies, upload

pytestmark = pytest.mark.usefixtures("no_kept_copies")

BODIES = {1: os.urandom(LEAST), 2: os.urandom(LEAST + 1), 3: os.urandom(1000)}
WHOLE = b"".join(BODIES.values())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def over_tls(
    tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, proxy: ProxyProcess, authority: Authority
) -> Iterator[Any]:
    """A client of a proxy with TLS, where botocore sends checksums in trailers."""
    issued = authority.issue_server("127.0.0.1")
    settings = {
        "tls_cert_file": str(issued.cert),
        "tls_key_file": str(issued.key),
        "kek_file": str(proxy.directory / "kek"),
        "credentials_file": str(proxy.directory / "credentials.toml"),
    }
    with ProxyProcess(tmp_path_factory.mktemp("tls"), store, settings=settings) as running:
        yield boto3.client(
            "s3",
            endpoint_url=f"https://{running.address}",
            aws_access_key_id=proxy.access_key,
            aws_secret_access_key=proxy.secret_key,
            region_name=REGION,
            verify=str(authority.ca_file),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME", "SHA256"])
def test_parts_with_trailers(over_tls: Any, bucket: str, algorithm: str) -> None:
    trailers: set[bytes] = set()
    events = over_tls.meta.events

    def note(request: Any, **_: object) -> None:
        trailers.add(request.headers["x-amz-trailer"])

    events.register("before-send.s3.UploadPart", note)
    uploading = begin(over_tls, bucket, "trailers", ChecksumAlgorithm=algorithm)
    etags = {number: uploading.put(number, body, ChecksumAlgorithm=algorithm) for number, body in BODIES.items()}
    events.unregister("before-send.s3.UploadPart", note)
    uploading.complete(etags)
    assert trailers == {f"x-amz-checksum-{algorithm.lower()}".encode()}
    assert over_tls.get_object(Bucket=bucket, Key="trailers")["Body"].read() == WHOLE


def test_part_that_breaks_off_is_none(s3: Any, bare: Any, proxy: ProxyProcess, bucket: str) -> None:
    address = urlsplit(proxy.url)
    uploading = begin(s3, bucket, "broken")
    for size in (1000, LEAST + 100_000):
        url = s3.generate_presigned_url("upload_part", Params={**uploading.names, "PartNumber": 1})
        target = url.removeprefix(proxy.url)
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
            head = f"PUT {target} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {size}\r\n\r\n"
            connection.sendall(head.encode() + bytes(size - 1))
            connection.shutdown(socket.SHUT_WR)
            answer = connection.makefile("rb").read()
        assert not answer.startswith(b"HTTP/1.1 200")
    assert uploading.listed() == {}
    assert not bare.list_parts(**uploading.names).get("Parts")
    uploading.abort()
    assert not kept_copies(bare)


def test_upload_that_is_completed_several_times_at_once(s3: Any, bucket: str) -> None:
    uploading = begin(s3, bucket, "meeting")
    etags = uploading.put_all(BODIES)

    def attempt() -> str:
        try:
            return str(uploading.complete(etags)["ETag"])
        except ClientError as error:
            return code_of(error)

    with ThreadPoolExecutor(4) as pool:
        answers = [done.result() for done in [pool.submit(attempt) for _ in range(4)]]
    assert any(answer.endswith('-3"') for answer in answers)
    assert {answer for answer in answers if not answer.endswith('-3"')} <= {"NoSuchUpload", "InvalidPart"}
    assert s3.get_object(Bucket=bucket, Key="meeting")["Body"].read() == WHOLE


def test_older_version(s3: Any) -> None:
    s3.create_bucket(Bucket="versioned-uploads")
    s3.put_bucket_versioning(Bucket="versioned-uploads", VersioningConfiguration={"Status": "Enabled"})
    first = upload(s3, "versioned-uploads", "key", BODIES)
    second = upload(s3, "versioned-uploads", "key", {1: b"second"})
    assert first["VersionId"] != second["VersionId"]
    name = {"Bucket": "versioned-uploads", "Key": "key"}
    assert s3.get_object(**name)["Body"].read() == b"second"
    older = {**name, "VersionId": first["VersionId"]}
    assert s3.get_object(**older)["Body"].read() == WHOLE
    assert s3.get_object(**older, Range=f"bytes={LEAST - 2}-{LEAST + 1}")["Body"].read() == WHOLE[LEAST - 2 : LEAST + 2]

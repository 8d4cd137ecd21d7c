"""PutObject, GetObject and HeadObject through the proxy, against the real store."""

import os
import re
import socket
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from strongroom.sealed.sizes import whole_stored_bytes
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import until_settled

CHUNK = 65_536
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, (1 << 20) + 1, (5 << 20) + 17)


def code_of(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_is_got_and_the_store_cannot_read_it(s3: Any, bare: Any, bucket: str, size: int) -> None:
    body = os.urandom(size)
    key = f"roundtrip/{size}"
    put = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"colour": "blue"}, ContentType="text/x-test")
    head = s3.head_object(Bucket=bucket, Key=key)
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == body
    assert put["ETag"] == head["ETag"] == got["ETag"] == bare.head_object(Bucket=bucket, Key=key)["ETag"][:-1] + '-1"'
    assert head["ContentLength"] == got["ContentLength"] == size
    assert head["ContentType"] == got["ContentType"] == "text/x-test"
    assert head["Metadata"] == got["Metadata"] == {"colour": "blue"}
    stored = bare.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert len(stored) == whole_stored_bytes(size)
    assert stored[:4] == b"SEG1"
    assert size < 64 or body[:64] not in stored


RANGES = ("0-0", "0-9", "5-", "-1", "-70000", f"{CHUNK - 1}-{CHUNK}", f"{CHUNK}-{2 * CHUNK - 1}", "0-999999999")


@pytest.mark.parametrize("text", RANGES)
@pytest.mark.parametrize("size", [1, CHUNK, 3 * CHUNK + 5])
def test_ranges_answer_as_the_bare_store_does(s3: Any, bare: Any, bucket: str, text: str, size: int) -> None:
    body = os.urandom(size)
    key = f"range-{size}-{text}"
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    bare.put_object(Bucket=bucket, Key=key + ".bare", Body=body)
    answers: list[tuple[Any, ...]] = []
    for client, name in ((s3, key), (bare, key + ".bare")):
        try:
            got = client.get_object(Bucket=bucket, Key=name, Range=f"bytes={text}")
            answers.append((got["ContentRange"], got["ContentLength"], got["Body"].read()))
        except ClientError as error:
            answers.append((code_of(error), error.response["ResponseMetadata"]["HTTPStatusCode"]))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0-"), (0, "-5"), (10, "10-"), (10, "100-"), (10, "9999999-"), (10, "-0")]
)
def test_range_without_a_byte_is_416(s3: Any, bucket: str, size: int, text: str) -> None:
    s3.put_object(Bucket=bucket, Key="small", Body=b"x" * size)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="small", Range=f"bytes={text}")
    assert code_of(caught.value) == "InvalidRange"
    told = caught.value.response["ResponseMetadata"]
    assert (told["HTTPStatusCode"], told["HTTPHeaders"]["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_checksum_is_verified_kept_and_given_back(s3: Any, bucket: str, algorithm: str) -> None:
    if algorithm == "CRC32C":
        pytest.importorskip("awscrt", reason="botocore computes CRC32C with awscrt only")
    put = s3.put_object(Bucket=bucket, Key="summed", Body=b"hello", ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=bucket, Key="summed", ChecksumMode="ENABLED")
    assert put[f"Checksum{algorithm}"] == head[f"Checksum{algorithm}"]


def test_wrong_checksum_stores_nothing(s3: Any, bucket: str) -> None:
    for size in (10, 3 << 20):
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket=bucket, Key="wrong", Body=b"x" * size, ChecksumCRC32="AAAAAA==")
        assert code_of(caught.value) == "BadDigest"
        with pytest.raises(ClientError) as missing:
            s3.head_object(Bucket=bucket, Key="wrong")
        assert code_of(missing.value) == "404"


def test_the_only_part_of_a_whole_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="one-part", Body=b"whole")
    assert s3.get_object(Bucket=bucket, Key="one-part", PartNumber=1)["Body"].read() == b"whole"
    assert s3.head_object(Bucket=bucket, Key="one-part", PartNumber=1)["ContentLength"] == 5
    for call in (s3.get_object, s3.head_object):
        with pytest.raises(ClientError) as caught:
            call(Bucket=bucket, Key="one-part", PartNumber=2)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416


@pytest.mark.parametrize("name", ["..", "a/../b", "a/./b", "a\\..\\b", "a\x01b", "a\x00b"])
def test_names_that_a_store_could_resolve_are_refused(s3: Any, bucket: str, name: str) -> None:
    for call, more in ((s3.put_object, {"Body": b"x"}), (s3.get_object, {}), (s3.delete_object, {})):
        with pytest.raises(ClientError) as caught:
            call(Bucket=bucket, Key=name, **more)
        assert code_of(caught.value) == "InvalidArgument"


def test_missing_object_and_bucket_are_told_apart(s3: Any, bucket: str) -> None:
    for name, code in ((bucket, "NoSuchKey"), ("no-such-bucket", "NoSuchBucket")):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=name, Key="missing")
        assert code_of(caught.value) == code


@pytest.mark.parametrize("key", ["a b+c", "ü/€", "a%2Fb", "~.-_!*'()", "q?x=1&y"])
def test_keys_of_all_kinds(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


def test_another_proxy_reads_the_digests_of_a_large_object(
    s3: Any, bucket: str, tmp_path: Path, store: SeaweedServer, proxy: ProxyProcess
) -> None:
    """Of a body that streamed, the digests stand behind it; a proxy that has not seen it reads them there, once."""
    put = s3.put_object(Bucket=bucket, Key="streamed", Body=os.urandom(3 << 20), ChecksumAlgorithm="SHA256")
    # What it does by itself is not counted.
    settings: dict[str, object] = {"reload_interval_s": 600, "kek_file": str(proxy.directory / "kek")}
    settings["credentials_file"] = str(proxy.directory / "credentials.toml")
    with ProxyProcess(tmp_path, store, settings=settings) as other:
        client = client_of(other.url, proxy.access_key, proxy.secret_key)
        until_settled(lambda: store_requests(other))
        requests = [store_requests(other)]
        for _ in range(3):
            head = client.head_object(Bucket=bucket, Key="streamed", ChecksumMode="ENABLED")
            assert (head["ETag"], head["ChecksumSHA256"]) == (put["ETag"], put["ChecksumSHA256"])
            requests.append(store_requests(other))
    first, second, third = (after - before for before, after in pairwise(requests))
    assert second == third == 1
    assert first > second


def store_requests(proxy: ProxyProcess) -> int:
    """Return how many requests the store has answered this proxy."""
    with urllib.request.urlopen(f"http://{proxy.health_address}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    counts = re.findall(r"^strongroom_s3proxy_store_seconds_count\{[^}]*\} ([0-9.]+)$", text, re.MULTILINE)
    return int(sum(map(float, counts)))


def test_a_client_that_goes_away_stores_nothing_and_is_no_error_of_ours(
    bucket: str, s3: Any, proxy: ProxyProcess
) -> None:
    client = client_of(proxy.url, proxy.access_key, proxy.secret_key, signature_version="s3v4")
    s3.put_object(Bucket=bucket, Key="leaving", Body=bytes(30 << 20))
    before = len(proxy.log_file.read_text())
    for operation, key, method in (("put_object", "left", "PUT"), ("get_object", "leaving", "GET")):
        url = urlsplit(client.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": key}))
        length = (9 << 20) if method == "PUT" else 0
        head = f"{method} {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {length}\r\n\r\n"
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
            connection.sendall(head.encode() + bytes(length // 2))
            if method == "GET":
                assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    while (log := proxy.log_file.read_text()[before:]).count('"status": 0,') < 2:
        time.sleep(0.05)  # until the proxy has noticed; the test's own time limit ends this
    assert '"level": "error"' not in log
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="left")

"""Bodies cut into the smallest pieces that a framing allows, while another client is served; and what they claim."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION
from s3proxy.s3api.claims import Payload
from s3proxy.s3api.signer import Signer, StoreCredential
from strongroom.secret import Secret
from tests.s3proxy.conftest import client_of

MIB = 1 << 20
ATTACKERS = 4


def put(proxy: ProxyProcess, key: str, body: Sequence[bytes], headers: dict[str, str], payload: Payload) -> bytes:
    """Send a signed PUT over a socket of its own; return the answer. The proxy may answer before all is sent."""
    host, _, port = proxy.address.rpartition(":")
    signed = Signer(StoreCredential(proxy.access_key, Secret(proxy.secret_key.encode()), None), region=REGION).sign(
        "PUT",
        host=proxy.address,
        raw_path=f"/sealed/{key}",
        raw_query="",
        headers=headers,
        payload_sha256=payload.value,
        now=datetime.now(UTC),
    )
    lines = [f"PUT /sealed/{key} HTTP/1.1", f"Host: {proxy.address}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers | signed).items()]
    got = b""
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            for piece in body:
                connection.sendall(piece)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(1 << 16):
                got += data
    return got


@pytest.fixture
def served(proxy: ProxyProcess, bucket: str) -> Iterator[threading.Event]:
    """A second client, which goes on with what is short all the time; set whenever it was served."""
    stop, progress = threading.Event(), threading.Event()

    def go_on() -> None:
        with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3:
            while not stop.is_set():
                s3.put_object(Bucket=bucket, Key="second-client", Body=b"short")
                assert s3.get_object(Bucket=bucket, Key="second-client")["Body"].read() == b"short"
                progress.set()

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(go_on)
        try:
            yield progress
        finally:
            stop.set()
        going.result(60)


@pytest.mark.parametrize("chunk", [b"2\r\naa\r\n", b"0002\r\naa\r\n", b"1ffe\r\n" + b"a" * 0x1FFE + b"\r\n"])
def test_short_chunks_are_refused_before_they_cost_anything(
    proxy: ProxyProcess, served: threading.Event, chunk: bytes
) -> None:
    payload = Payload.STREAMING_UNSIGNED_TRAILER
    body = [chunk * (MIB // len(chunk))] * 2
    headers = {"content-length": str(sum(map(len, body))), "x-amz-decoded-content-length": str(MIB)}
    with ThreadPoolExecutor(ATTACKERS) as pool:
        answers = list(pool.map(lambda name: put(proxy, f"{name}", body, headers, payload), range(ATTACKERS)))
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"<Code>InvalidChunkSizeError</Code>" in answer
        assert b"<Chunk>1</Chunk>" in answer
    served.clear()
    assert served.wait(60)


def test_a_body_in_http_chunks_of_one_byte_is_stored_and_holds_nobody_up(
    proxy: ProxyProcess, s3: Any, served: threading.Event
) -> None:
    framed = b"10000\r\n" + b"a" * 0x10000 + b"\r\n0\r\n\r\n"
    body = [b"1\r\n%c\r\n" % byte for byte in framed]
    headers = {"transfer-encoding": "chunked", "x-amz-decoded-content-length": str(0x10000)}
    answer = put(proxy, "one-by-one", [b"".join(body), b"0\r\n\r\n"], headers, Payload.STREAMING_UNSIGNED_TRAILER)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert s3.get_object(Bucket="sealed", Key="one-by-one")["Body"].read() == b"a" * 0x10000
    served.clear()
    assert served.wait(60)


@pytest.mark.parametrize(
    "claims",
    [
        {"x-amz-checksum-sha512": "wrong"},
        {"x-amz-checksum-crc32": "g9zvtw==", "x-amz-checksum-crc32c": "kPWZ4w=="},
        {"x-amz-trailer": "x-amz-checksum-sha512"},
        {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-checksum-crc32": "g9zvtw=="},
        {"x-amz-sdk-checksum-algorithm": "SHA512"},
    ],
)
def test_what_cannot_be_verified_is_refused_and_not_stored(
    proxy: ProxyProcess, s3: Any, claims: dict[str, str]
) -> None:
    body = b"1\r\n1\r\n0\r\n\r\n"
    headers = {"content-length": str(len(body)), "x-amz-decoded-content-length": "1"} | claims
    answer = put(proxy, "claims", [body], headers, Payload.STREAMING_UNSIGNED_TRAILER)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>InvalidRequest</Code>" in answer
    assert "claims" not in {item["Key"] for item in s3.list_objects_v2(Bucket="sealed").get("Contents", [])}

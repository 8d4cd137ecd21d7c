"""PostObject: forms as botocore signs them, posted to the proxy."""

import contextlib
import http.client
import os
import socket
from collections.abc import Iterator, Sequence
from http.client import HTTPResponse
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from urllib3.filepost import encode_multipart_formdata

from devstack.s3proxy import ProxyProcess
from tests.s3proxy.conftest import client_of

Answer = tuple[HTTPResponse, bytes]


@pytest.fixture(scope="module")
def s3(proxy: ProxyProcess) -> Any:
    client = client_of(proxy.url, proxy.access_key, proxy.secret_key, signature_version="s3v4")
    client.create_bucket(Bucket="post")
    return client


@pytest.fixture
def connection(proxy: ProxyProcess) -> Iterator[http.client.HTTPConnection]:
    with contextlib.closing(http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=60)) as made:
        yield made


def test_whoever_may_write_everywhere_may_not_write_to_the_proxys_own_bucket(
    s3: Any, bare: Any, connection: http.client.HTTPConnection
) -> None:
    fields = s3.generate_presigned_post("strongroom-system", "mine")["fields"]
    body, content_type = encode_multipart_formdata([*fields.items(), ("file", ("a", b"1", "text/plain"))])
    connection.request("POST", "/strongroom-system", body, {"Content-Type": content_type})
    answer = connection.getresponse()
    assert (answer.status, b"<Code>AccessDenied</Code>" in answer.read()) == (403, True)
    with pytest.raises(ClientError):
        bare.head_object(Bucket="strongroom-system", Key="mine")


def fields_of(s3: Any, key: str, conditions: Sequence[Any] = (), **fields: str) -> dict[str, str]:
    own = {name if "action" in name else name.replace("_", "-"): value for name, value in fields.items()}
    allowed = [{name: value} for name, value in own.items()]
    post = s3.generate_presigned_post("post", key, Fields=own, Conditions=[*allowed, *conditions])
    return dict(post["fields"])


def send(
    connection: http.client.HTTPConnection, fields: dict[str, str], file: bytes, *, behind: dict[str, str] | None = None
) -> Answer:
    parts: Any = [*fields.items(), ("file", ("photo.jpg", file, "image/jpeg")), *(behind or {}).items()]
    body, content_type = encode_multipart_formdata(parts)
    connection.request("POST", "/post", body, {"Content-Type": content_type})
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize("size", [0, 1, 70_000, (1 << 20) - 1, (1 << 20) + 1, (5 << 20) + 17])
def test_a_file_is_sealed(s3: Any, bare: Any, connection: http.client.HTTPConnection, size: int) -> None:
    file = os.urandom(size)
    fields = fields_of(s3, "in/${filename}", Content_Type="image/jpeg", x_amz_meta_colour="blue", acl="private")
    answer, _ = send(connection, fields, file)
    assert answer.status == 204
    got = s3.get_object(Bucket="post", Key="in/photo.jpg")
    assert got["Body"].read() == file
    assert (got["ContentType"], got["Metadata"], got["ETag"]) == (
        "image/jpeg",
        {"colour": "blue"},
        answer.getheader("ETag"),
    )
    assert bare.get_object(Bucket="post", Key="in/photo.jpg")["Body"].read(4) == b"SEG1"


def test_fields_behind_the_file(s3: Any, connection: http.client.HTTPConnection) -> None:
    answer, _ = send(connection, fields_of(s3, "behind-small"), b"small", behind={"submit": "Upload"})
    assert answer.status == 204
    assert s3.get_object(Bucket="post", Key="behind-small")["Body"].read() == b"small"
    answer, body = send(connection, fields_of(s3, "behind-big"), b"x" * (3 << 20), behind={"submit": "Upload"})
    assert (answer.status, b"<Code>MalformedPOSTRequest</Code>" in body) == (400, True)
    with pytest.raises(ClientError):
        s3.head_object(Bucket="post", Key="behind-big")


def test_answers(s3: Any, connection: http.client.HTTPConnection, proxy: ProxyProcess) -> None:
    answer, body = send(connection, fields_of(s3, "answer", success_action_status="201"), b"1")
    assert answer.status == 201
    assert answer.getheader("Location") == f"{proxy.url}/post/answer"
    assert b"<Bucket>post</Bucket><Key>answer</Key><ETag>&quot;" in body
    assert send(connection, fields_of(s3, "answer", success_action_status="200"), b"1")[0].status == 200
    assert send(connection, fields_of(s3, "answer", success_action_status="418"), b"1")[0].status == 204
    target = "https://example.com/done?x=1"
    answer, _ = send(connection, fields_of(s3, "answer", success_action_redirect=target), b"1")
    assert answer.status == 303
    location = urlsplit(answer.getheader("Location") or "")
    query = parse_qs(location.query)
    assert (location.netloc, query["x"], query["bucket"], query["key"]) == ("example.com", ["1"], ["post"], ["answer"])


@pytest.mark.parametrize(
    "target", ["http://[", "http://\u2100/", "https://a.example/\x01", "https://a.example/\r\nX: y", "x"]
)
def test_what_is_no_url_to_go_on_to_counts_for_nothing(
    s3: Any, connection: http.client.HTTPConnection, target: str
) -> None:
    answer, _ = send(connection, fields_of(s3, "no-url", success_action_redirect=target), b"1")
    assert (answer.status, answer.getheader("X")) == (204, None)
    assert s3.get_object(Bucket="post", Key="no-url")["Body"].read() == b"1"


def test_tags_and_checksums(s3: Any, connection: http.client.HTTPConnection) -> None:
    tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"
    sha256 = s3.put_object(Bucket="post", Key="same", Body=b"1", ChecksumAlgorithm="SHA256")["ChecksumSHA256"]
    answer, _ = send(connection, fields_of(s3, "tagged", tagging=tagging, x_amz_checksum_sha256=sha256), b"1")
    assert (answer.status, answer.getheader("x-amz-checksum-sha256")) == (204, sha256)
    assert s3.get_object_tagging(Bucket="post", Key="tagged")["TagSet"] == [{"Key": "a", "Value": "b c"}]
    for size in (2, 3 << 20):
        answer, body = send(connection, fields_of(s3, "wrong", x_amz_checksum_sha256=sha256), b"2" * size)
        assert (answer.status, b"<Code>BadDigest</Code>" in body) == (400, True)
    with pytest.raises(ClientError):
        s3.head_object(Bucket="post", Key="wrong")


@pytest.mark.parametrize("size", [5, 3 << 20])
def test_a_size_out_of_range_is_refused(s3: Any, connection: http.client.HTTPConnection, size: int) -> None:
    for limits, code in (((0, size - 1), "EntityTooLarge"), ((size + 1, 1 << 30), "EntityTooSmall")):
        fields = fields_of(s3, "sized", [["content-length-range", *limits]])
        answer, body = send(connection, fields, b"x" * size)
        assert (answer.status, f"<Code>{code}</Code>".encode() in body) == (400, True)
    with pytest.raises(ClientError):
        s3.head_object(Bucket="post", Key="sized")


def test_a_name_that_the_store_would_change_is_refused(
    s3: Any, bare: Any, connection: http.client.HTTPConnection
) -> None:
    for size in (1, 2 << 20):
        answer, body = send(connection, fields_of(s3, "changed//name"), b"x" * size)
        assert answer.status == 501
        assert b"two slashes in a row" in body
    assert "Contents" not in bare.list_objects_v2(Bucket="post", Prefix="changed")


def test_who_may_not(s3: Any, connection: http.client.HTTPConnection) -> None:
    fields = fields_of(s3, "forged")
    for changed in ({"x-amz-signature": "0" * 64}, {"key": "other"}, {"x-amz-meta-more": "1"}):
        answer, _ = send(connection, fields | changed, b"1")
        assert answer.status == 403
    answer, _ = send(connection, {"key": "forged"}, b"1")
    assert answer.status == 403  # unsigned, and nobody may write unsigned
    answer, body = send(connection, fields_of(s3, "forged", x_amz_meta_seg1="x"), b"1")
    assert (answer.status, b"is reserved" in body) == (400, True)
    with pytest.raises(ClientError):
        s3.head_object(Bucket="post", Key="forged")


def refused(s3: Any, connection: http.client.HTTPConnection, fields: dict[str, str]) -> str:
    """Return the code that a form is refused with; nothing is stored of it."""
    answer, body = send(connection, fields, b"1")
    assert answer.status == 400, body
    with pytest.raises(ClientError):
        s3.head_object(Bucket="post", Key="claims")
    return body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


@pytest.mark.parametrize(
    "claims",
    [
        {"x_amz_checksum_sha512": "wrong"},
        {"x_amz_checksum_crc32": "g9zvtw==", "x_amz_checksum_sha512": "wrong"},
        {"x_amz_checksum_crc32": "g9zvtw==", "x_amz_checksum_crc32c": "kPWZ4w=="},
        {"x_amz_sdk_checksum_algorithm": "SHA512"},
        {"x_amz_sdk_checksum_algorithm": "CRC32"},
        {"x_amz_checksum_crc32": "g9zvtw==", "x_amz_sdk_checksum_algorithm": "SHA1"},
    ],
)
def test_a_checksum_that_cannot_be_verified_is_refused(
    s3: Any, connection: http.client.HTTPConnection, claims: dict[str, str]
) -> None:
    assert refused(s3, connection, fields_of(s3, "claims", **claims)) == "InvalidRequest"


def test_the_named_algorithm_may_be_that_of_the_checksum(s3: Any, connection: http.client.HTTPConnection) -> None:
    claims = {"x_amz_checksum_crc32": "g9zvtw==", "x_amz_sdk_checksum_algorithm": "CRC32"}
    assert send(connection, fields_of(s3, "claimed", **claims), b"1")[0].status == 204


@pytest.mark.parametrize("size", [100_000, (3 << 20) + 17])
def test_a_file_that_comes_in_small_pieces_is_kept_as_one(s3: Any, proxy: ProxyProcess, size: int) -> None:
    file = os.urandom(size)
    parts: Any = [*fields_of(s3, "pieces").items(), ("file", ("a", file, "image/jpeg"))]
    body, content_type = encode_multipart_formdata(parts)
    head = f"POST /post HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    host, _, port = proxy.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.sendall(head.encode() + b"Connection: close\r\n\r\n")
        for at in range(0, len(body), 400):
            one.sendall(body[at : at + 400])
        assert one.recv(1000).startswith(b"HTTP/1.1 204 ")
    assert s3.get_object(Bucket="post", Key="pieces")["Body"].read() == file


@pytest.mark.parametrize("name", ["key", "x-amz-meta-colour", "success_action_redirect"])
@pytest.mark.parametrize("value", [b"a\xff", b"\xed\xa0\x80", b"\xed\xb3\xbf"])
def test_fields_that_are_not_utf_8_are_refused(proxy: ProxyProcess, bare: Any, name: str, value: bytes) -> None:
    body = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + value
        + b'\r\n--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n1\r\n--b--\r\n'
    )
    with contextlib.closing(http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=60)) as connection:
        connection.request("POST", "/post", body, {"Content-Type": "multipart/form-data; boundary=b"})
        answer = connection.getresponse()
        assert (answer.status, b"<Code>MalformedPOSTRequest</Code>" in answer.read()) == (400, True)
    assert all(item["Key"].isascii() for item in bare.list_objects_v2(Bucket="post").get("Contents", []))

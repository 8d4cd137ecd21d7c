"""Conditional requests through the proxy, and what clients read when a body is not wanted."""

import contextlib
import http.client
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from tests.support.s3.raw import RawClient
from tests.support.s3.refusals import refusal_of

OLD, NEW = b"one", b"two"
BIG = b"x" * (3 << 20)


@pytest.fixture
def stored(s3: Any, bucket: str) -> tuple[dict[str, str], str]:
    name = {"Bucket": bucket, "Key": "conditions"}
    return name, s3.put_object(**name, Body=OLD)["ETag"]


def test_reads(s3: Any, stored: tuple[dict[str, str], str]) -> None:
    name, etag = stored
    modified = s3.head_object(**name)["LastModified"]
    for call in (s3.get_object, s3.head_object):
        assert refusal_of(call, **name, IfNoneMatch=etag) == "304"
        assert refusal_of(call, **name, IfModifiedSince=modified) == "304"
        assert refusal_of(call, **name, IfMatch='"other"') in {"PreconditionFailed", "412"}
        assert refusal_of(call, **name, IfUnmodifiedSince=modified.replace(year=2001)) in {"PreconditionFailed", "412"}
        assert call(**name, IfMatch=etag, IfUnmodifiedSince=modified.replace(year=2001))["ETag"] == etag
        assert call(**name, IfNoneMatch='"other"', IfModifiedSince=modified)["ETag"] == etag


def test_a_range_that_holds_only_for_what_the_client_knows(s3: Any, stored: tuple[dict[str, str], str]) -> None:
    name, etag = stored
    asked = {'"other"': (200, OLD), etag: (206, OLD[:1])}
    for value, expected in asked.items():

        def condition(request: Any, *, value: str = value, **_: Any) -> None:
            request.headers["If-Range"] = value

        s3.meta.events.register("before-sign.s3.GetObject", condition)
        try:
            got = s3.get_object(**name, Range="bytes=0-0")
        finally:
            s3.meta.events.unregister("before-sign.s3.GetObject", condition)
        assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == expected


ASKED = {
    "a part": ({"partNumber": "1"}, {}, 200),
    "a part, and a range": ({"partNumber": "1"}, {"range": "bytes=0-0"}, 200),
    "a range of what it knows": ({}, {"range": "bytes=1-", "if-range": "ETAG"}, 206),
    "a range of another object": ({}, {"range": "bytes=1-", "if-range": '"other"'}, 200),
    "no byte": ({}, {"range": "bytes=99-"}, 416),
    "no byte of what it knows": ({}, {"range": "bytes=99-", "if-none-match": "ETAG"}, 304),
    "no byte of another object": ({}, {"range": "bytes=99-", "if-match": '"other"'}, 412),
}


@pytest.mark.parametrize(("query", "headers", "status"), ASKED.values(), ids=ASKED)
def test_head_answers_what_get_does(
    proxy: ProxyProcess, stored: tuple[dict[str, str], str], query: dict[str, str], headers: dict[str, str], status: int
) -> None:
    """Preconditions come before the range (RFC 9110, section 13.2.2)."""
    name, etag = stored
    sent = {header: value.replace("ETAG", etag) for header, value in headers.items()}
    get, head = (
        RawClient(proxy).send(method, name["Bucket"], name["Key"], query=tuple(query.items()), headers=sent)
        for method in ("GET", "HEAD")
    )
    assert (get.status, head.status) == (status, status)
    if status < 400:
        of_each = {"date", "x-amz-request-id"}
        assert {k: v for k, v in get.headers.items() if k not in of_each} == {
            k: v for k, v in head.headers.items() if k not in of_each
        }


def test_not_modified_tells_what_was_not_modified(s3: Any, stored: tuple[dict[str, str], str]) -> None:
    name, etag = stored
    with pytest.raises(ClientError) as caught:
        s3.get_object(**name, IfNoneMatch=etag)
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["etag"] == etag
    assert "last-modified" in headers


@pytest.mark.parametrize("body", [NEW, BIG], ids=["small", "big"])
def test_a_write_that_must_not_replace(s3: Any, stored: tuple[dict[str, str], str], body: bytes) -> None:
    name, etag = stored
    assert refusal_of(s3.put_object, **name, Body=body, IfNoneMatch="*") == "PreconditionFailed"
    assert refusal_of(s3.put_object, **name, Body=body, IfNoneMatch=etag) == "NotImplemented"
    assert s3.get_object(**name)["Body"].read() == OLD
    s3.delete_object(**name)
    s3.put_object(**name, Body=body, IfNoneMatch="*")
    assert s3.get_object(**name)["Body"].read() == body


@pytest.mark.parametrize("body", [NEW, BIG], ids=["small", "big"])
def test_a_write_that_must_replace_what_the_client_knows(
    s3: Any, stored: tuple[dict[str, str], str], body: bytes
) -> None:
    name, etag = stored
    assert refusal_of(s3.put_object, **name, Body=body, IfMatch='"0123"') == "PreconditionFailed"
    assert s3.get_object(**name)["Body"].read() == OLD
    assert s3.put_object(**name, Body=body, IfMatch=etag)["ETag"] != etag
    assert s3.get_object(**name)["Body"].read() == body
    assert refusal_of(s3.put_object, **name, Body=OLD, IfMatch=etag) == "PreconditionFailed"
    missing = {"Bucket": name["Bucket"], "Key": "conditions-missing"}
    assert refusal_of(s3.put_object, **missing, Body=body, IfMatch=etag) == "NoSuchKey"


def test_a_refused_upload_is_read_by_a_client_that_sends_on(proxy: ProxyProcess, bucket: str) -> None:
    """Without a signature, the answer comes before the body, most of which is still to be sent."""
    url = urlsplit(proxy.url)
    with contextlib.closing(http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)) as connection:
        connection.request("PUT", f"/{bucket}/unsigned", body=b"x" * (16 << 20))
        answer = connection.getresponse()
        assert answer.status == 403
        assert answer.getheader("Connection") == "close"
        assert b"<Code>AccessDenied</Code>" in answer.read()


def test_a_refusal_is_not_followed_by_100_continue(proxy: ProxyProcess, bucket: str) -> None:
    url = urlsplit(proxy.url)
    head = f"PUT /{bucket}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"</Error>"):
            answer += connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.count(b"HTTP/1.1") == 1

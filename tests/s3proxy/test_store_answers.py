"""Answers of a store that are nonsense, never end, or tell what is not for clients: refused, or told otherwise."""

import asyncio

import pytest

from s3proxy.operations.multipart.upload import stored_part
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.xml_read import Element
from s3proxy.store.answers import number_in, range_begin_of, stored_bytes_of
from s3proxy.store.client import StoreRequest, read_all
from s3proxy.store.errors import error_in
from s3proxy.store.system_bucket import SystemBucket
from strongroom.errors import PeerError, UnavailableError
from tests.s3proxy.answering import answering, in_a_loop, serving, store_at

LONG = "9" * 5000  # more digits than Python makes a number of
ARN = "arn:aws:iam::123456789012:user/strongroom"


@in_a_loop
async def test_an_answer_that_comes_byte_by_byte_has_an_end() -> None:
    async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(trickling) as server:
        store = store_at(server)
        with pytest.raises(UnavailableError, match="in time"):
            async with store.exchange(StoreRequest(method="GET", bucket="b")) as answer:
                await read_all(answer, 1 << 20, within_s=0.2)
        assert store.connections_in_use[0] == 0
        await store.close()


@in_a_loop
async def test_interim_answers_without_an_end_are_no_answer() -> None:
    async def interim(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(interim) as server:
        store = store_at(server)
        with pytest.raises(UnavailableError):
            async with store.exchange(StoreRequest(method="GET", bucket="b")):
                pass
        await store.close()


@in_a_loop
async def test_what_the_store_has_no_bucket_for_does_not_count_as_kept() -> None:
    async with serving(answering("", statuses=(404, 200, 404))) as server:  # the object, its bucket, the object again
        store = store_at(server)
        with pytest.raises(UnavailableError, match="just made"):
            await SystemBucket(store, "system").put("k", b"x")
        await store.close()
    async with serving(answering("", statuses=(404, 200, 200))) as server:
        store = store_at(server)
        await SystemBucket(store, "system").put("k", b"x")
        await store.close()


@pytest.mark.parametrize("text", ["", "x", "-1", "+1", "1_0", "\u0663", "\u00b2", LONG])
def test_what_is_no_number_of_a_store(text: str) -> None:
    assert number_in(text) is None
    with pytest.raises(PeerError):
        stored_bytes_of({"Content-Length": text})
    if text:
        with pytest.raises(PeerError):
            range_begin_of({"Content-Range": f"bytes {text}-5/9"})
    for number, size in ((text, "1"), ("1", text)):
        children = [Element("PartNumber", number), Element("Size", size), Element("ETag", "e")]
        with pytest.raises(PeerError):
            stored_part(Element("Part", "", children))
    assert number_in("9" * 19) == 10**19 - 1


def test_a_client_is_not_told_whom_the_store_has_refused() -> None:
    body = f"<Error><Code>AccessDenied</Code><Message>User: {ARN} is not authorized to do this</Message></Error>"
    error = error_in(body.encode(), 403)
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Access Denied")
    assert ARN in error.hint


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken"])
def test_the_credentials_of_the_proxy_are_not_those_of_the_client(code: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>AKIAEXAMPLE</Message></Error>"
    error = error_in(body.encode(), 403)
    assert (error.code, error.status) == ("InternalError", 500)
    assert "AKIA" not in error.message


@pytest.mark.parametrize("value", ["a\r\nx-amz-acl: public-read", "a\nb", "a\rb", "a\0b", "\r\n"])
@in_a_loop
async def test_a_header_with_a_line_break_or_a_nul_is_not_sent(value: str) -> None:
    async with serving(answering("")) as server:
        store = store_at(server)
        for headers in ({"x-amz-meta-a": value}, {f"x-amz-{value}": "b"}):
            with pytest.raises(S3Error, match="line break or a NUL"):
                async with store.send(StoreRequest(method="PUT", bucket="b", key="k", headers=headers)):
                    pytest.fail("it was sent")
        async with store.send(StoreRequest(method="PUT", bucket="b", key="k", headers={"x-amz-meta-a": "b"})) as answer:
            assert answer.status == 200
        await store.close()

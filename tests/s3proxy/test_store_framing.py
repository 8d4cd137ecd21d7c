"""Streams on their way to the store, framed and signed, as a strict reader takes them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.aws_chunked import AwsChunkedDecoder
from s3proxy.s3api.claims import parse_payload
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.signer import Signer, StoreCredential
from s3proxy.s3api.sigv4 import ChunkSigning
from s3proxy.store.client import Endpoint, Store, StoreRequest
from s3proxy.store.connections import Timeouts
from s3proxy.store.framing import TRAILER, Framing, checksum_of
from strongroom.errors import MisuseError
from strongroom.secret import Secret
from strongroom.service.following import FollowedFile

CHUNK = 1 << 17
SIGNER = Signer(StoreCredential("KEY", Secret(b"secret" * 6)), region="us-east-1")
BOTH = st.booleans()


def chunk_signing() -> ChunkSigning:
    added = SIGNER.sign("PUT", host="h", raw_path="/b/k", headers={}, now=datetime(2026, 11, 28, tzinfo=UTC))
    return SIGNER.of_chunks(added)


def framed(body: bytes, framing: Framing, *, piece: int) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), piece):
            yield body[at : at + piece]

    async def collect() -> bytes:
        return b"".join([part async for part in framing.frame(pieces(), chunk_signing())])

    return asyncio.run(collect())


def decoder_of(length: int, *, has_trailer: bool, is_signed: bool) -> AwsChunkedDecoder:
    names = frozenset({TRAILER} if has_trailer else set())
    return AwsChunkedDecoder(length=length, signing=chunk_signing() if is_signed else None, trailer_names=names)


@pytest.mark.parametrize(("has_trailer", "is_signed"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
@pytest.mark.parametrize("piece", [7777, CHUNK, 1 << 20])
def test_a_stream_comes_out_as_it_went_in(size: int, piece: int, *, has_trailer: bool, is_signed: bool) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    framing = Framing(size, has_trailer=has_trailer, is_signed=is_signed)
    raw = framed(body, framing, piece=piece)
    assert len(raw) == framing.framed_length
    decoder = decoder_of(size, has_trailer=has_trailer, is_signed=is_signed)
    assert b"".join(map(bytes, decoder.feed(raw))) == body
    decoder.finish()
    assert decoder.trailers == (checksum_of(body) if has_trailer else {})
    payload = parse_payload(framing.payload)
    assert (payload.has_trailer, payload.has_signed_chunks) == (has_trailer, is_signed)
    assert framing.headers({}).get("x-amz-trailer") == (TRAILER if has_trailer else None)


@given(at=st.integers(0, 1 << 30), flip=st.integers(1, 255))
def test_a_change_anywhere_breaks_a_signed_stream(at: int, flip: int) -> None:
    body = b"sealed bytes" * 40
    raw = bytearray(framed(body, Framing(len(body), has_trailer=True, is_signed=True), piece=100))
    at %= len(raw)
    raw[at] ^= flip
    decoder = decoder_of(len(body), has_trailer=True, is_signed=True)
    try:
        taken = b"".join(map(bytes, decoder.feed(raw)))
        decoder.finish()
    except S3Error:
        return
    # What is written in another way and means the same: upper case in a length, or in the name of a field.
    assert taken == body
    assert decoder.trailers == checksum_of(body)


def test_the_coding_of_the_content_is_kept_beside_the_framing() -> None:
    framing = Framing(1, has_trailer=True, is_signed=False)
    assert framing.headers({"content-encoding": "gzip"})["content-encoding"] == "aws-chunked,gzip"


@given(st.lists(st.integers(0, 2 * CHUNK), min_size=1, max_size=8))
def test_what_is_framed_stays_as_it_is_when_the_buffer_behind_the_stream_is_used_again(sizes: list[int]) -> None:
    """Transports of asyncio from Python 3.12 on, and of uvloop, send later, from where a piece is."""
    buffer, body = memoryview(bytearray(max(sizes))), bytearray()

    async def pieces() -> AsyncIterator[memoryview]:
        for number, size in enumerate(sizes, 1):
            buffer[:] = bytes([number]) * len(buffer)
            body.extend(buffer[:size])
            yield buffer[:size]
        buffer[:] = bytes(len(buffer))

    async def collect() -> bytes:
        framing = Framing(sum(sizes), has_trailer=True, is_signed=False)
        return b"".join([part async for part in framing.frame(pieces(), None)])

    decoder = decoder_of(sum(sizes), has_trailer=True, is_signed=False)
    assert b"".join(map(bytes, decoder.feed(asyncio.run(collect())))) == body
    decoder.finish()
    assert decoder.trailers == checksum_of(bytes(body))


@pytest.mark.parametrize("length", [0, 9, 11, CHUNK, 3 * CHUNK])
def test_a_stream_of_another_length_than_was_announced_does_not_come_to_an_end(length: int) -> None:
    with pytest.raises(MisuseError, match="announced"):
        framed(b"0123456789", Framing(length, has_trailer=True, is_signed=False), piece=4)


def test_what_goes_out_without_a_frame_stays_as_it_is_as_well() -> None:
    buffer = memoryview(bytearray(1000))

    async def pieces() -> AsyncIterator[memoryview]:
        for number in range(3):
            buffer[:] = bytes([number]) * len(buffer)
            yield buffer

    async def sent() -> bytes:
        endpoint = Endpoint(
            address="http://127.0.0.1:1", region="r", timeouts=Timeouts(connect_s=1.0, idle_s=1.0), connections=1
        )
        credential = StoreCredential("key", Secret(b"secret"), None)
        store = Store(endpoint, FollowedFile("store_credentials", lambda _: credential))
        _, body = store._message(StoreRequest(method="PUT", bucket="b", key="k", body=pieces(), length=3000))
        assert isinstance(body, AsyncIterator)
        return b"".join([piece async for piece in body])

    assert asyncio.run(sent()) == b"".join(bytes([number]) * 1000 for number in range(3))

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
from s3proxy.store.framing import TRAILER, Framing, checksum_of
from strongroom.secret import Secret

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

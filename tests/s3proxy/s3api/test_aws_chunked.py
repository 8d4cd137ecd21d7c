"""aws-chunked bodies: AWS's examples, any split, and every way to damage one."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.aws_chunked import MAX_LINE_BYTES, MIN_CHUNK_BYTES, AwsChunkedDecoder
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.sigv4 import ChunkSigning
from strongroom.secret import Secret
from tests.support.s3.requests import AWS, NOW, ChunkWriter, aws_request, verifier

KEY: Final = b"k" * 32
SEED: Final = "5" * 64
STAMP: Final = "20130524T000000Z"
SCOPE: Final = "20130524/us-east-1/s3/aws4_request"
TRAILER: Final = (("x-amz-checksum-crc32", "AAAAAA=="),)


def write(chunks: Sequence[bytes], fields: Sequence[tuple[str, str]] = (), *, signed: bool) -> bytes:
    keys = {"signing_key": KEY, "seed": SEED, "timestamp": STAMP, "scope": SCOPE} if signed else {}
    return ChunkWriter(**keys).body(chunks, fields)  # type: ignore[arg-type]


def decoder(
    length: int, fields: Sequence[tuple[str, str]] = (), *, signed: bool, min_chunk_bytes: int = 1
) -> AwsChunkedDecoder:
    signing = ChunkSigning(Secret(KEY), STAMP, SCOPE, SEED) if signed else None
    names = frozenset(name for name, _ in fields)
    return AwsChunkedDecoder(length=length, signing=signing, trailer_names=names, min_chunk_bytes=min_chunk_bytes)


def decode(one: AwsChunkedDecoder, body: bytes, *, step: int = 0) -> bytes:
    step = step or len(body) or 1
    plain = b"".join(b"".join(one.feed(body[at : at + step])) for at in range(0, len(body), step))
    one.finish()
    return plain


def refused(one: AwsChunkedDecoder, body: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        decode(one, body)
    with pytest.raises(S3Error):
        one.feed(b"")
    with pytest.raises(S3Error):
        one.finish()
    return caught.value.code


@pytest.mark.parametrize("name", ["chunked-upload", "chunked-upload-with-trailer"])
@pytest.mark.parametrize("step", [0, 1000, 65_537])
def test_the_examples_of_aws_are_decoded(name: str, step: int) -> None:
    verified = verifier().verify(aws_request(name), now=NOW)
    names = frozenset(filter(None, [verified.head.header("x-amz-trailer")]))
    one = AwsChunkedDecoder(length=66_560, signing=verified.chunk_signing, trailer_names=names)
    example = AWS["requests"][name]
    body = b"".join(
        f"{size:x};chunk-signature={signature}\r\n".encode() + (b"a" * size + b"\r\n" if size else b"")
        for size, signature in zip((65_536, 1024, 0), example["chunk_signatures"], strict=True)
    )
    assert decode(one, body + example["trailer"].encode() + b"\r\n", step=step) == b"a" * 66_560


def test_the_form_of_the_trailer_that_aws_documents_is_accepted() -> None:
    # sigv4-streaming-trailers.html: a field ends with a line feed, and an empty line stands before the signature
    body = write([b"abc"], TRAILER, signed=True).replace(b"==\r\n", b"==\n\r\n")
    assert decode(decoder(3, TRAILER, signed=True), body, step=1) == b"abc"


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("fields", [(), TRAILER])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 32, 33])
@pytest.mark.parametrize("step", [1, 7, 16, 0])
def test_all_sizes_and_splits_are_decoded(
    size: int, step: int, fields: tuple[tuple[str, str], ...], *, signed: bool
) -> None:
    plain = bytes(range(size))
    chunks = [plain[at : at + 16] for at in range(0, size, 16)]
    one = decoder(size, fields, signed=signed)
    assert decode(one, write(chunks, fields, signed=signed), step=step) == plain
    assert one.trailers == dict(fields)


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    fields=st.sampled_from([(), TRAILER]),
    signed=st.booleans(),
)
def test_any_split_gives_the_same_plaintext(
    chunks: list[bytes], cuts: list[int], fields: tuple[tuple[str, str], ...], *, signed: bool
) -> None:
    plain = b"".join(chunks)
    body = write(chunks, fields, signed=signed)
    one = decoder(len(plain), fields, signed=signed)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    received = b"".join(b"".join(one.feed(bytearray(body[start:end]))) for start, end in pairwise(places))
    one.finish()
    assert received == plain


@pytest.mark.parametrize("fields", [(), TRAILER])
def test_every_flipped_bit_of_a_signed_body_is_refused(fields: tuple[tuple[str, str], ...]) -> None:
    body = write([b"0123456789", b"abc"], fields, signed=True)
    decode(decoder(13, fields, signed=True), body)
    accepted = []
    for place in range(len(body)):
        damaged = bytearray(body)
        damaged[place] ^= 1
        try:
            decode(decoder(13, fields, signed=True), bytes(damaged))
        except S3Error:
            continue
        accepted.append(bytes(damaged))
    assert accepted == []


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("fields", [(), TRAILER])
def test_every_truncation_is_refused(fields: tuple[tuple[str, str], ...], *, signed: bool) -> None:
    body = write([b"0123456789", b"abc"], fields, signed=signed)
    for end in range(len(body)):
        assert refused(decoder(13, fields, signed=signed), body[:end]) in {"IncompleteBody", "MalformedTrailerError"}


@pytest.mark.parametrize("signed", [False, True])
def test_bytes_behind_the_end_are_refused(*, signed: bool) -> None:
    body = write([b"abc"], TRAILER, signed=signed)
    assert refused(decoder(3, TRAILER, signed=signed), body + b"\r") == "InvalidRequest"


def test_chunks_swapped_repeated_or_left_out_are_refused() -> None:
    writer = ChunkWriter(signing_key=KEY, seed=SEED, timestamp=STAMP, scope=SCOPE)
    one, two, last, end = writer.chunk(b"aaaa"), writer.chunk(b"bbbb"), writer.chunk(b""), b"\r\n"
    assert decode(decoder(8, signed=True), one + two + last + end) == b"aaaabbbb"
    assert refused(decoder(8, signed=True), two + one + last + end) == "SignatureDoesNotMatch"
    assert refused(decoder(8, signed=True), one + one + last + end) == "SignatureDoesNotMatch"
    assert refused(decoder(4, signed=True), one + last + end) == "SignatureDoesNotMatch"
    assert refused(decoder(4, signed=True), one + last[:1] + end + end) == "InvalidRequest"


def test_the_announced_length_is_enforced_before_more_is_handed_out() -> None:
    one = decoder(9, signed=False)
    with pytest.raises(S3Error, match="longer"):
        one.feed(write([b"0123456789"], signed=False))
    assert refused(decoder(11, signed=False), write([b"0123456789"], signed=False)) == "IncompleteBody"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"zz\r\n", "InvalidRequest"),
        (b"\r\n", "InvalidRequest"),
        (b"-3\r\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"+3\r\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"0x3\r\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"3 \r\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"3\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"3;x=y\r\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"3;chunk-signature=" + b"0" * 64 + b"\r\nabc\r\n", "InvalidRequest"),
        (b"00000000000000003\r\nabc\r\n", "InvalidRequest"),
        (b"ffffffffffffffff\r\n", "InvalidRequest"),
        (b"3\r\nabcd\r\n0\r\n\r\n", "InvalidRequest"),
        (b"3\r\nabc0\r\n\r\n", "InvalidRequest"),
        (b"1" * (MAX_LINE_BYTES + 1), "InvalidRequest"),
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "MalformedTrailerError"),
        (b"3\r\nabc\r\n0\r\nhost\r\n\r\n", "MalformedTrailerError"),
        (b"3\r\nabc\r\n0\r\nx-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n", "MalformedTrailerError"),
    ],
)
def test_malformed_framing_is_refused(body: bytes, code: str) -> None:
    assert refused(decoder(3, signed=False), body) == code


@pytest.mark.parametrize(
    "trailer",
    [
        b"\r\n",
        b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        b"x-amz-checksum-sha1:AAAAAA==\r\n\r\n",
    ],
)
def test_a_trailer_that_is_not_the_announced_one_is_refused(trailer: bytes) -> None:
    body = ChunkWriter().chunk(b"abc") + b"0\r\n" + trailer
    assert refused(decoder(3, TRAILER, signed=False), body) == "MalformedTrailerError"


def test_a_trailer_without_end_is_refused_at_its_limit() -> None:
    names = tuple((f"x-{number}", "v" * 900) for number in range(30))
    body = ChunkWriter().body([b"abc"], names)
    assert refused(decoder(3, names, signed=False), body) == "MalformedTrailerError"


def test_unsigned_chunks_where_signed_ones_were_announced_are_refused() -> None:
    assert refused(decoder(3, signed=True), write([b"abc"], signed=False)) == "InvalidRequest"


def test_a_signed_trailer_without_its_signature_is_refused() -> None:
    body = write([b"abc"], TRAILER, signed=True)
    start = body.index(b"x-amz-trailer-signature")
    assert refused(decoder(3, TRAILER, signed=True), body[:start] + b"\r\n\r\n") == "SignatureDoesNotMatch"


@pytest.mark.parametrize("signed", [False, True])
def test_a_short_chunk_is_refused_before_its_data_unless_it_is_the_last(*, signed: bool) -> None:
    whole = b"a" * MIN_CHUNK_BYTES
    for chunks in ([whole, whole, b"z"], [whole], [b"z"], [whole + b"z", b"z"]):
        plain = b"".join(chunks)
        body = write(chunks, signed=signed)
        for step in (0, 1000):
            one = decoder(len(plain), signed=signed, min_chunk_bytes=MIN_CHUNK_BYTES)
            assert decode(one, body, step=step) == plain
    one = decoder(2 * MIN_CHUNK_BYTES, signed=signed, min_chunk_bytes=MIN_CHUNK_BYTES)
    body = write([whole, whole[1:], b"z"], signed=signed)
    second = len(ChunkWriter(**({"signing_key": KEY} if signed else {})).chunk(whole))  # type: ignore[arg-type]
    assert b"".join(one.feed(body[:second])) == whole
    with pytest.raises(S3Error) as caught:
        one.feed(body[second : second + 200])
    assert caught.value.code == "InvalidChunkSizeError"
    assert caught.value.details == {"Chunk": "2", "BadChunkSize": str(MIN_CHUNK_BYTES - 1)}


def test_requests_are_decoded_with_the_least_chunk_of_s3() -> None:
    one = AwsChunkedDecoder(length=1 << 20, signing=None, trailer_names=frozenset())
    with pytest.raises(S3Error, match="Only the last chunk is allowed to have a size less than 8192 bytes"):
        one.feed(b"2\r\naa\r\n" * (1 << 19))


class Counting(bytes):
    """Bytes that count how many of them were looked at or copied; what takes a view takes no copy."""

    touched = 0

    def find(self, part: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(part, start, end)
        self.touched += (found if found >= 0 else min(end, len(self))) - start
        return found

    def __getitem__(self, place: Any) -> Any:
        taken = super().__getitem__(place)
        self.touched += len(taken)
        return taken


@pytest.mark.parametrize("signed", [False, True])
def test_no_more_than_the_framing_is_searched_and_copied(*, signed: bool) -> None:
    chunks = [b"a" * 16] * 1000
    body = Counting(write(chunks, signed=signed))
    assert b"".join(decoder(16_000, signed=signed).feed(body)) == b"a" * 16_000
    assert 0 < body.touched <= 2 * (len(body) - 16_000)


@given(noise=st.binary(max_size=200), signed=st.booleans())
def test_noise_never_ends_cleanly(noise: bytes, *, signed: bool) -> None:
    one = decoder(3, TRAILER, signed=signed)
    with pytest.raises(S3Error):
        decode(one, noise)

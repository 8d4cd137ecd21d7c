"""Bodies: what is claimed of them holds, or nothing is committed."""

import base64
import hashlib
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.body import Body, stored_content_encoding
from s3proxy.s3api.checksums import checksum_name, checksum_text, parse_checksum, running
from s3proxy.s3api.claims import parse_payload
from s3proxy.s3api.credentials import ANONYMOUS, Principal
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import make_head
from s3proxy.s3api.sigv4 import Verified
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm, Digests
from tests.support.s3.requests import ChunkWriter, crc32_base64

PLAIN = bytes(range(250)) * 36  # more than the least chunk
TRAILER_PAYLOAD = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def verified(headers: Mapping[str, str], payload: str = "UNSIGNED-PAYLOAD", sha256: str = "") -> Verified:
    head = make_head("PUT", "/b/k", headers.items())
    return Verified(Principal(ANONYMOUS), head, parse_payload(payload), sha256)


def plain_body(headers: Mapping[str, str], *, sha256: str = "", want_md5: bool = False) -> Body:
    return Body(
        verified({"Content-Length": str(len(PLAIN))} | dict(headers), sha256 or "UNSIGNED-PAYLOAD", sha256),
        want_md5=want_md5,
    )


def trailing(headers: Mapping[str, str], **more: str) -> Verified:
    lengths = {"x-amz-decoded-content-length": str(len(PLAIN))}
    return verified(lengths | dict(headers) | more, TRAILER_PAYLOAD)


def receive(body: Body, data: bytes, *, step: int = 1000) -> Digests:
    plain = b"".join(b"".join(body.feed(data[at : at + step])) for at in range(0, len(data), step))
    digests = body.finish()
    assert plain == PLAIN
    return digests


def value_of(algorithm: ChecksumAlgorithm, data: bytes = PLAIN) -> str:
    one = running(algorithm)
    one.update(memoryview(data))
    return checksum_text(Checksum(algorithm, one.digest()))


def code_of(body: Body, data: bytes = PLAIN) -> str:
    with pytest.raises(S3Error) as caught:
        receive(body, data)
    with pytest.raises(S3Error):
        body.finish()
    with pytest.raises(S3Error):
        body.feed(b"x")
    return caught.value.code


def test_a_plain_body_passes_with_its_md5_only_when_wanted() -> None:
    assert receive(plain_body({}), PLAIN) == Digests(None, None)
    assert receive(plain_body({}, want_md5=True), PLAIN).md5 == hashlib.md5(PLAIN).digest()  # noqa: S324 - of S3


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_every_algorithm_is_verified_from_a_header(algorithm: ChecksumAlgorithm, step: int) -> None:
    text = value_of(algorithm)
    found = receive(plain_body({checksum_name(algorithm): text}), PLAIN, step=step).checksum
    assert found == parse_checksum(algorithm, text)
    wrong = value_of(algorithm, PLAIN + b"x")
    assert code_of(plain_body({checksum_name(algorithm): wrong})) == "BadDigest"


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_every_algorithm_is_verified_from_a_trailer(algorithm: ChecksumAlgorithm, step: int) -> None:
    name = checksum_name(algorithm)
    text = value_of(algorithm)
    data = ChunkWriter().body([PLAIN[:8192], PLAIN[8192:]], [(name, text)])
    body = Body(trailing({"x-amz-trailer": name}), want_md5=False)
    assert receive(body, data, step=step).checksum == parse_checksum(algorithm, text)
    wrong = ChunkWriter().body([PLAIN], [(name, value_of(algorithm, b""))])
    assert code_of(Body(trailing({"x-amz-trailer": name}), want_md5=False), wrong) == "BadDigest"
    broken = ChunkWriter().body([PLAIN], [(name, "AAAA")])
    assert code_of(Body(trailing({"x-amz-trailer": name}), want_md5=False), broken) == "InvalidRequest"


def test_the_payload_hash_is_verified() -> None:
    right = hashlib.sha256(PLAIN).hexdigest()
    receive(plain_body({}, sha256=right), PLAIN)
    assert code_of(plain_body({}, sha256="0" * 64)) == "XAmzContentSHA256Mismatch"


def test_content_md5_is_verified() -> None:
    right = base64.b64encode(hashlib.md5(PLAIN).digest()).decode()  # noqa: S324 - of S3
    assert receive(plain_body({"Content-MD5": right}), PLAIN).md5 is not None
    assert code_of(plain_body({"Content-MD5": base64.b64encode(b"0" * 16).decode()})) == "BadDigest"


@pytest.mark.parametrize("text", ["", "AAAA", "not base64", right_md5 := "1B2M2Y8AsgTpgAmY7PhCfg", right_md5 + "==\n"])
def test_a_malformed_content_md5_is_refused(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        plain_body({"Content-MD5": text})
    assert caught.value.code == "InvalidDigest"


@given(st.integers(0, len(PLAIN) - 1))
def test_a_short_body_is_refused(size: int) -> None:
    assert code_of(plain_body({}), PLAIN[:size]) == "IncompleteBody"


def test_a_long_body_is_refused_as_soon_as_it_is() -> None:
    body = plain_body({})
    body.feed(PLAIN)
    with pytest.raises(S3Error, match="longer"):
        body.feed(b"x")
    with pytest.raises(S3Error):
        body.finish()


def test_the_named_algorithm_may_be_that_of_a_header_or_of_a_trailer_in_any_case() -> None:
    text = value_of(ChecksumAlgorithm.CRC32)
    for named in ("CRC32", "crc32"):
        given = {"x-amz-checksum-crc32": text, "x-amz-sdk-checksum-algorithm": named}
        assert receive(plain_body(given), PLAIN).checksum is not None
    given = {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm": "CRC32"}
    data = ChunkWriter().body([PLAIN], [("x-amz-checksum-crc32", text)])
    assert receive(Body(trailing(given), want_md5=False), data).checksum is not None


def test_the_checksum_of_an_object_is_not_that_of_the_document_which_completes_it() -> None:
    given = {"content-length": str(len(PLAIN)), "x-amz-checksum-crc32": "AAAAAA==-2"}
    assert receive(Body(verified(given), want_md5=False, of_body=False), PLAIN).checksum is None
    with pytest.raises(S3Error, match="algorithm type"):
        Body(verified({"x-amz-checksum-sha512": "AAAA"}), want_md5=False, of_body=False, absent_is_empty=True)


@pytest.mark.parametrize(
    ("headers", "payload", "code"),
    [
        ({}, "UNSIGNED-PAYLOAD", "MissingContentLength"),
        ({"content-length": "90"}, TRAILER_PAYLOAD, "MissingContentLength"),
        ({"content-length": "-1"}, "UNSIGNED-PAYLOAD", "InvalidArgument"),
        ({"content-length": "1_0"}, "UNSIGNED-PAYLOAD", "InvalidArgument"),
        ({"x-amz-decoded-content-length": "9" * 20}, TRAILER_PAYLOAD, "InvalidArgument"),
        ({"content-length": "1", "x-amz-trailer": "x-amz-checksum-crc32"}, "UNSIGNED-PAYLOAD", "InvalidRequest"),
        ({"x-amz-decoded-content-length": "1", "x-amz-trailer": "x-other"}, TRAILER_PAYLOAD, "InvalidRequest"),
        (
            {"x-amz-decoded-content-length": "1", "x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"},
            TRAILER_PAYLOAD,
            "InvalidRequest",
        ),
        (
            {
                "x-amz-decoded-content-length": "1",
                "x-amz-trailer": "x-amz-checksum-crc32",
                "x-amz-checksum-crc32": "AAAAAA==",
            },
            TRAILER_PAYLOAD,
            "InvalidRequest",
        ),
        ({"content-length": "1", "x-amz-checksum-crc32": "AAAA"}, "UNSIGNED-PAYLOAD", "InvalidRequest"),
        ({"content-length": "1", "x-amz-checksum-crc32": "AAAAAA==-2"}, "UNSIGNED-PAYLOAD", "InvalidRequest"),
        (
            {"content-length": "1", "x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="},
            "UNSIGNED-PAYLOAD",
            "InvalidRequest",
        ),
        (
            {"content-length": "1", "x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "SHA256"},
            "UNSIGNED-PAYLOAD",
            "InvalidRequest",
        ),
        (
            {"content-length": "1", "x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "MD4"},
            "UNSIGNED-PAYLOAD",
            "InvalidRequest",
        ),
        ({"content-length": "1", "x-amz-sdk-checksum-algorithm": "MD4"}, "UNSIGNED-PAYLOAD", "InvalidRequest"),
        ({"content-length": "1", "x-amz-sdk-checksum-algorithm": "CRC32"}, "UNSIGNED-PAYLOAD", "InvalidRequest"),
        ({"content-length": "1", "x-amz-checksum-sha512": "AAAA"}, "UNSIGNED-PAYLOAD", "InvalidRequest"),
        (
            {"content-length": "1", "x-amz-checksum-sha512": "AAAA", "x-amz-checksum-crc32": "AAAAAA=="},
            "UNSIGNED-PAYLOAD",
            "InvalidRequest",
        ),
        (
            {"x-amz-decoded-content-length": "1", "x-amz-trailer": "x-amz-checksum-sha512"},
            TRAILER_PAYLOAD,
            "InvalidRequest",
        ),
        (
            {"x-amz-decoded-content-length": "1", "x-amz-trailer": "x-amz-checksum-type"},
            TRAILER_PAYLOAD,
            "InvalidRequest",
        ),
        (
            {
                "x-amz-decoded-content-length": "1",
                "x-amz-trailer": "x-amz-checksum-crc32",
                "x-amz-sdk-checksum-algorithm": "SHA1",
            },
            TRAILER_PAYLOAD,
            "InvalidRequest",
        ),
    ],
)
def test_malformed_or_contradicting_claims_are_refused_before_the_body(
    headers: dict[str, str], payload: str, code: str
) -> None:
    with pytest.raises(S3Error) as caught:
        Body(verified(headers, payload), want_md5=False)
    assert caught.value.code == code


def test_a_body_is_not_finished_twice_over_a_wrong_trailer() -> None:
    name = "x-amz-checksum-crc32"
    data = ChunkWriter().body([PLAIN], [(name, crc32_base64(zlib.crc32(PLAIN) ^ 1))])
    assert code_of(Body(trailing({"x-amz-trailer": name}), want_md5=True), data) == "BadDigest"


@pytest.mark.parametrize(
    ("given_encoding", "stored"),
    [("aws-chunked", ""), ("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip"), ("gzip", "gzip"), ("", "")],
)
def test_aws_chunked_is_not_stored_as_an_encoding(given_encoding: str, stored: str) -> None:
    assert stored_content_encoding(make_head("PUT", "/b/k", [("Content-Encoding", given_encoding)])) == stored

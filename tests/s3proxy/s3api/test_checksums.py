"""The five checksums: published check values, texts, and those of whole multipart uploads."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.checksums import (
    checksum_header,
    checksum_text,
    composite,
    full_object,
    parse_algorithm,
    parse_checksum,
    parse_scope,
    running,
)
from s3proxy.s3api.errors import S3Error
from strongroom.sealed.digests import CHECKSUM_BYTES, Checksum, ChecksumAlgorithm, ChecksumScope
from tests.support.s3.requests import VECTORS

CRCS = [ChecksumAlgorithm.CRC32, ChecksumAlgorithm.CRC32C, ChecksumAlgorithm.CRC64NVME]
CHECKS = json.loads((VECTORS / "checksums.json").read_text())


def digest(algorithm: ChecksumAlgorithm, data: bytes) -> bytes:
    one = running(algorithm)
    one.update(memoryview(data))
    return one.digest()


@pytest.mark.parametrize("text", CHECKS)
def test_published_check_values_hold(text: str) -> None:
    computed = {name: digest(ChecksumAlgorithm[name], text.encode()).hex() for name in CHECKS[text]}
    assert computed == CHECKS[text]


@pytest.mark.parametrize("algorithm", CRCS)
@given(parts=st.lists(st.binary(max_size=60), min_size=1, max_size=6))
def test_the_crc_of_an_upload_is_that_of_its_parts_in_a_row(algorithm: ChecksumAlgorithm, parts: list[bytes]) -> None:
    combined = full_object(algorithm, [(digest(algorithm, part), len(part)) for part in parts])
    assert combined == Checksum(algorithm, digest(algorithm, b"".join(parts)))


@pytest.mark.parametrize("algorithm", CRCS)
def test_parts_of_five_gibibytes_are_combined(algorithm: ChecksumAlgorithm) -> None:
    # CRC of n zero bytes twice over must be the CRC of 2n zero bytes; n is what S3 allows a part to be
    part = full_object(algorithm, [(digest(algorithm, bytes(2**20)), 2**20)] * 5 * 1024)
    whole = full_object(algorithm, [(part.value, 5 * 2**30)] * 2)
    assert whole == full_object(algorithm, [(digest(algorithm, bytes(2**20)), 2**20)] * 10 * 1024)


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
def test_a_composite_checksum_is_that_of_the_checksums(algorithm: ChecksumAlgorithm) -> None:
    values = [digest(algorithm, part) for part in (b"a", b"b", b"c")]
    found = composite(algorithm, values)
    assert found == Checksum(algorithm, digest(algorithm, b"".join(values)), ChecksumScope.COMPOSITE, 3)
    assert checksum_text(found).endswith("=-3")


def test_a_composite_sha256_is_as_the_user_guide_describes_it() -> None:
    values = [hashlib.sha256(part).digest() for part in (b"a", b"b")]
    expected = base64.b64encode(hashlib.sha256(b"".join(values)).digest()).decode() + "-2"
    assert checksum_header(composite(ChecksumAlgorithm.SHA256, values)) == ("x-amz-checksum-sha256", expected)


@given(st.sampled_from(ChecksumAlgorithm), st.data())
def test_texts_are_read_back(algorithm: ChecksumAlgorithm, data: st.DataObject) -> None:
    size = CHECKSUM_BYTES[algorithm]
    value = data.draw(st.binary(min_size=size, max_size=size))
    parts = data.draw(st.integers(0, 10_000))
    scope = ChecksumScope.COMPOSITE if parts else ChecksumScope.FULL_OBJECT
    checksum = Checksum(algorithm, value, scope, parts)
    assert parse_checksum(algorithm, checksum_text(checksum)) == checksum


@pytest.mark.parametrize(
    "text", ["", "AAAA", "AAAAAA", "AAAAAA=", "AAAAAB==", "AAAAAA==\n", "AAAAAA==-0", "AAAAAA==-10001", "%%%%"]
)
def test_malformed_texts_are_refused(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_checksum(ChecksumAlgorithm.CRC32, text)
    assert caught.value.code == "InvalidRequest"


def test_scopes_follow_the_table_of_the_user_guide() -> None:
    assert parse_scope("", ChecksumAlgorithm.CRC64NVME) is ChecksumScope.FULL_OBJECT
    assert parse_scope("", ChecksumAlgorithm.CRC32) is ChecksumScope.COMPOSITE
    assert parse_scope("FULL_OBJECT", ChecksumAlgorithm.CRC32C) is ChecksumScope.FULL_OBJECT
    for algorithm, text in ((ChecksumAlgorithm.CRC64NVME, "COMPOSITE"), (ChecksumAlgorithm.SHA256, "FULL_OBJECT")):
        with pytest.raises(S3Error):
            parse_scope(text, algorithm)


def test_algorithms_are_found_by_name_only() -> None:
    assert parse_algorithm("crc64nvme") is ChecksumAlgorithm.CRC64NVME
    for text in ("", "1", "MD5", "XXHASH64"):
        with pytest.raises(S3Error):
            parse_algorithm(text)

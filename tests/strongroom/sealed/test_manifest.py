"""Manifests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm, ChecksumScope, Digests
from strongroom.sealed.header import Kind
from strongroom.sealed.manifest import Manifest, PartRecord, open_manifest, parse_manifest
from strongroom.sealed.names import name_tag
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.sizes import manifest_stored_bytes
from tests.strongroom.sealed.making import BK, BUCKET, KEY, TAG, begin, make_manifest, noise, sealed_manifest

PARTS = st.dictionaries(st.integers(1, 10_000), st.integers(0, 1 << 33), min_size=1, max_size=30)


@given(PARTS, st.booleans())
def test_what_is_written_is_read_back(lengths: dict[int, int], add: bool) -> None:  # noqa: FBT001 - drawn
    records = [PartRecord(number, length) for number, length in sorted(lengths.items())]
    if add and records[-1].number < 10_000:
        records.append(PartRecord(records[-1].number + 1, 0, added=True))
    checksum = Checksum(ChecksumAlgorithm.CRC32C, b"abcd", ChecksumScope.COMPOSITE, len(lengths))
    manifest = Manifest(tuple(records), name_tag(BUCKET, KEY), Digests(None, checksum))

    raw = sealed_manifest(manifest)
    segment, read = open_manifest(raw, BK.secret)

    assert read == manifest
    assert segment.header.object_id == TAG
    assert len(raw) == manifest_stored_bytes(len(records))
    assert len(read.client_parts) == len(lengths)
    assert read.plaintext_bytes == sum(lengths.values())


def test_ten_thousand_parts_are_written_and_read() -> None:
    manifest = make_manifest(PartRecord(number, 5 << 30) for number in range(1, 10_001))

    raw = sealed_manifest(manifest)

    assert len(raw) == 160_416
    assert open_manifest(raw, BK.secret)[1] == manifest


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [PartRecord(0, 1)],
        [PartRecord(10_001, 1)],
        [PartRecord(1, -1)],
        [PartRecord(1, (1 << 33) + 1)],
        [PartRecord(2, 1), PartRecord(1, 1)],
        [PartRecord(1, 1), PartRecord(1, 1)],
        [PartRecord(1, 0, added=True)],
        [PartRecord(1, 1), PartRecord(2, 1, added=True)],
        [PartRecord(1, 0, added=True), PartRecord(2, 1)],
        [PartRecord(number, 1) for number in range(1, 10_002)],
    ],
)
def test_parts_that_cannot_make_up_an_object_are_not_written(parts: list[PartRecord]) -> None:
    with pytest.raises(ConfigError, match=r"^no manifest: rule 14:"):
        make_manifest(parts).encode()


@pytest.mark.parametrize("length", [0, 143, 144, 159, 161])
def test_a_manifest_of_odd_length_is_refused(length: int) -> None:
    with pytest.raises(RefusedError, match="rule 14"):
        parse_manifest(bytes(length))


def test_a_manifest_is_not_opened_from_another_kind_of_segment() -> None:
    with pytest.raises(RefusedError, match="rule 16"):
        open_manifest(begin(5, Kind.PART).raw, BK.secret)


def test_the_size_of_the_object_is_checked() -> None:
    manifest = make_manifest([PartRecord(1, 7)])
    manifest.require_size(7 + 16_656 + 416)

    with pytest.raises(RefusedError, match="rule 16"):
        manifest.require_size(7 + 16_656 + 417)


@pytest.mark.parametrize(
    ("kind", "length", "number", "tag"),
    [(Kind.WHOLE, 7, None, TAG), (Kind.PART, 8, 1, TAG), (Kind.PART, 7, 2, TAG), (Kind.PART, 7, 1, noise(16))],
)
def test_a_part_of_another_kind_length_number_or_upload_is_refused(
    kind: Kind, length: int, number: int | None, tag: bytes
) -> None:
    manifest = make_manifest([PartRecord(1, 7)])
    manifest.require_part(0, TAG, begin(7, Kind.PART, part_number=1).header)

    with pytest.raises(RefusedError, match="rule 16"):
        manifest.require_part(0, TAG, begin(length, kind, part_number=number, tag=tag).header)

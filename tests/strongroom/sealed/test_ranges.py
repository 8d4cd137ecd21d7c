"""Ranges: which stored bytes are read, and that they open to the slice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.sealed.header import Kind
from strongroom.sealed.manifest import PartRecord, open_manifest
from strongroom.sealed.opener import SegmentOpener
from strongroom.sealed.ranges import blind_range, blind_suffix, plan_range
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.sealer import seal
from strongroom.sealed.segment import admit_segment
from strongroom.sealed.sizes import manifest_stored_bytes
from tests.strongroom.sealed.making import BK, CHUNK, begin, make_manifest, noise, opened_in_feeds, sealed_object

LENGTH = 3 * CHUNK + 100
PLAINTEXT = noise(LENGTH)
STORED = seal(begin(LENGTH), PLAINTEXT)
PART = seal(begin(LENGTH, Kind.PART), PLAINTEXT)
BORDERS = sorted(
    {max(0, at + more) for at in (0, CHUNK, 2 * CHUNK, 3 * CHUNK, LENGTH) for more in (-2, -1, 0, 1)}
    - {LENGTH, LENGTH + 1}
)


def read(stored: bytes, first: int, last: int, feed: int = 1 << 30) -> bytes:
    segment = admit_segment(stored, BK.secret)
    plan = plan_range(first, last, segment.header.plaintext_bytes, segment.header.chunk_log2)
    fetched = stored[plan.stored_first : plan.stored_last + 1]
    assert len(fetched) == plan.stored_bytes
    return opened_in_feeds(segment, fetched, feed, plan)


@pytest.mark.parametrize("length", [1, 2, 13])
def test_every_range_of_a_small_object_is_the_slice(length: int) -> None:
    plaintext = noise(length)
    stored = seal(begin(length), plaintext)

    for first in range(length):
        for last in range(first, length + 2):
            assert read(stored, first, last) == plaintext[first : last + 1]


@pytest.mark.parametrize("stored", [STORED, PART], ids=["whole", "part"])
def test_every_range_between_the_borders_of_chunks_is_the_slice(stored: bytes) -> None:
    for first in BORDERS:
        for last in [at for at in BORDERS if at >= first]:
            assert read(stored, first, last) == PLAINTEXT[first : last + 1], (first, last)


@settings(max_examples=50)
@given(st.integers(0, LENGTH - 1), st.integers(0, LENGTH), st.sampled_from([1009, CHUNK, 1 << 30]))
def test_any_range_in_any_feeds_is_the_slice(first: int, length: int, feed: int) -> None:
    assert read(STORED, first, first + length, feed) == PLAINTEXT[first : first + length + 1]


@given(st.integers(1, 1 << 48), st.data(), st.integers(16, 23))
def test_no_chunk_is_read_in_vain(size: int, data: st.DataObject, log2: int) -> None:
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, size - 1))
    plan = plan_range(first, last, size, log2)

    assert plan.chunks == (last >> log2) - (first >> log2) + 1
    assert plan.skip_bytes < 1 << log2
    assert plan.take_bytes == last - first + 1
    opened = plan.stored_bytes - 16 * plan.chunks
    assert 0 <= opened - plan.skip_bytes - plan.take_bytes < 1 << log2


@pytest.mark.parametrize(("first", "last", "size"), [(0, 0, 0), (5, 9, 5), (3, 2, 9), (-1, 2, 9)])
def test_a_range_that_cannot_be_is_refused(first: int, last: int, size: int) -> None:
    with pytest.raises(ConfigError):
        plan_range(first, last, size, 16)


@given(st.integers(1, 5 * CHUNK), st.data())
def test_a_range_that_is_asked_for_blindly_holds_the_planned_one(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.none() | st.integers(first, 9 * CHUNK))
    plan = plan_range(first, size if last is None else last, size, 16)

    begin_at, end_at = blind_range(first, last)

    assert begin_at == plan.stored_first
    assert end_at is None or end_at >= plan.stored_last


@given(st.integers(1, 5 * CHUNK), st.integers(1, 6 * CHUNK))
def test_a_suffix_that_is_asked_for_blindly_holds_the_planned_range(size: int, suffix: int) -> None:
    header = begin(size).header
    plan = plan_range(max(0, size - suffix), size - 1, size, 16)

    first = max(0, header.stored_bytes - blind_suffix(suffix))

    assert first <= plan.stored_first
    assert plan.stored_first - first <= 2 * (CHUNK + 16)


PARTS = {1: noise(70, "1"), 2: b"", 5: noise(2 * CHUNK + 9, "5"), 6: noise(1, "6"), 7: b""}
WHOLE = b"".join(PARTS.values())
OBJECT = sealed_object(PARTS)


def read_parts(stored: bytes, first: int, last: int) -> bytes:
    manifest_segment, manifest = open_manifest(stored[-manifest_stored_bytes(len(PARTS)) :], BK.secret)
    manifest.require_size(len(stored))
    plaintext = b""
    for part in manifest.plan(first, last):
        segment = admit_segment(stored[part.stored_offset :][:256], BK.secret)
        manifest.require_part(part.index, manifest_segment.header.object_id, segment.header)
        fetched = stored[part.stored_offset + part.plan.stored_first :][: part.plan.stored_bytes]
        plaintext += opened_in_feeds(segment, fetched, 5000, part.plan)
    return plaintext


def test_ranges_across_parts_are_the_slice() -> None:
    places = [0, 1, 69, 70, 71, 70 + CHUNK - 1, 70 + CHUNK, len(WHOLE) - 2, len(WHOLE) - 1]
    for first in places:
        for last in [at for at in places if at >= first]:
            assert read_parts(OBJECT, first, last) == WHOLE[first : last + 1]


def test_a_range_touches_the_parts_it_needs_only() -> None:
    manifest = make_manifest([PartRecord(number, len(part)) for number, part in PARTS.items()])

    assert [manifest.parts[part.index].number for part in manifest.plan(70, 71)] == [5]
    assert [manifest.parts[part.index].number for part in manifest.plan(69, 70)] == [1, 5]
    assert [manifest.parts[part.index].number for part in manifest.plan(len(WHOLE) - 1, 1 << 60)] == [6]
    assert manifest.stored_offsets()[-1] + manifest_stored_bytes(5) == len(OBJECT)
    for first, last in [(len(WHOLE), len(WHOLE)), (2, 1), (-1, 3)]:
        with pytest.raises(ConfigError):
            manifest.plan(first, last)


@pytest.mark.parametrize("place", [0, CHUNK - 1, CHUNK, CHUNK + 15])
def test_damage_in_a_chunk_of_the_range_is_refused_even_outside_of_the_range(place: int) -> None:
    damaged = bytearray(STORED)
    damaged[256 + CHUNK + 16 + place] ^= 1

    with pytest.raises(RefusedError, match="chunk 1 of 4"):
        read(bytes(damaged), CHUNK + 500, CHUNK + 501)
    assert read(bytes(damaged), 2 * CHUNK, 2 * CHUNK) == PLAINTEXT[2 * CHUNK : 2 * CHUNK + 1]


def test_stored_bytes_of_another_place_are_refused() -> None:
    segment = admit_segment(STORED, BK.secret)
    plan = plan_range(CHUNK, 2 * CHUNK - 1, LENGTH, 16)
    for moved in (-(CHUNK + 16), CHUNK + 16, 1):
        fetched = STORED[plan.stored_first + moved :][: plan.stored_bytes]
        with pytest.raises(RefusedError):
            opened_in_feeds(segment, fetched, 1 << 30, plan)


@pytest.mark.parametrize("more", [-1, 1])
def test_too_few_and_too_many_bytes_of_a_range_are_refused(more: int) -> None:
    segment = admit_segment(STORED, BK.secret)
    plan = plan_range(CHUNK, 2 * CHUNK - 1, LENGTH, 16)

    with pytest.raises(RefusedError, match="rule 8"):
        opened_in_feeds(segment, STORED[plan.stored_first :][: plan.stored_bytes + more], 4096, plan)


def test_the_opener_of_a_range_has_no_digests() -> None:
    segment = admit_segment(STORED, BK.secret)
    plan = plan_range(0, LENGTH, LENGTH, 16)
    opener = SegmentOpener(segment, plan)
    for _ in opener.update(STORED[plan.stored_first : plan.stored_last + 1]):
        pass

    assert opener.finish() is None

"""The arithmetic of sizes: exact, and inverse in both directions."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.sealed import sizes
from strongroom.sealed.header import Kind
from strongroom.sealed.sealer import seal
from tests.strongroom.sealed.making import CHUNK, begin, noise, sealed_object

SMALL = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1]
LENGTHS = (
    st.integers(0, 1 << 48)
    | st.integers(0, 1 << 20)
    | st.builds(lambda chunks, more: max(0, chunks * CHUNK + more), st.integers(0, 1 << 20), st.integers(-20, 20))
)


@pytest.mark.parametrize("length", SMALL)
def test_a_whole_object_has_the_size_of_the_formula(length: int) -> None:
    stored = seal(begin(length), noise(length))

    assert len(stored) == sizes.whole_stored_bytes(length) == 368 + length + 16 * max(1, -(-length // CHUNK))


@pytest.mark.parametrize("length", [*SMALL, 3_000_000])
def test_every_part_costs_the_same(length: int) -> None:
    assert len(seal(begin(length, Kind.PART), noise(length))) == length + 16_640 == sizes.part_stored_bytes(length)


@given(LENGTHS)
@example(0)
@example(1 << 48)
def test_the_inverse_of_a_whole_objects_size_is_exact(length: int) -> None:
    assert sizes.whole_plaintext_bytes(sizes.whole_stored_bytes(length)) == length


@given(st.integers(-10, 1 << 50) | st.integers(0, 5 * CHUNK))
def test_a_size_that_no_whole_object_has_is_told(stored: int) -> None:
    length = sizes.whole_plaintext_bytes(stored)

    assert length is None or sizes.whole_stored_bytes(length) == stored


def test_around_a_border_of_chunks_every_size_is_told_right() -> None:
    possible = {sizes.whole_stored_bytes(length): length for length in range(3 * CHUNK)}

    for stored in range(sizes.whole_stored_bytes(3 * CHUNK - 1)):
        assert sizes.whole_plaintext_bytes(stored) == possible.get(stored)


def test_more_than_the_largest_whole_object_is_told() -> None:
    assert sizes.whole_plaintext_bytes(sizes.whole_stored_bytes((1 << 48) + 1)) is None


@pytest.mark.parametrize("lengths", [[0], [1], [40, 3], [0, 0, 0], [100, CHUNK + 1, 7]])
def test_a_multipart_object_has_the_size_of_the_formula(lengths: list[int]) -> None:
    parts = {number: noise(length) for number, length in enumerate(lengths, start=1)}
    stored, count = len(sealed_object(parts)), len(lengths)

    assert stored == sum(lengths) + 16_640 * count + 416 + 16 * count
    assert sizes.multipart_overhead_bytes(count) == 16_656 * count + 416
    assert sizes.multipart_plaintext_bytes(stored, count) == sum(lengths)
    assert sizes.listed_plaintext_bytes(stored, f'"0123456789abcdef0123456789abcdef-{count}"') == sum(lengths)


@given(st.integers(0, 50 << 40), st.integers(1, 10_000))
def test_the_inverse_of_a_multipart_size_is_exact(length: int, parts: int) -> None:
    stored = length + sizes.multipart_overhead_bytes(parts)

    assert sizes.multipart_plaintext_bytes(stored, parts) == length


@pytest.mark.parametrize(
    ("stored", "etag", "expected"),
    [
        (384, '"0123"', 0),
        (385, "0123", 1),
        (383, "0123", None),
        (17_072, '"0123-1"', 0),
        (17_071, '"0123-1"', None),
        (1 << 40, '"0123-0"', None),
        (1 << 40, '"0123-10001"', None),
        (1 << 40, '"0123-x"', None),
        (1 << 40, '"0123-"', None),
        (1 << 40, '"0123-²"', None),
        (1 << 40, '"0123-' + "9" * 5000 + '"', None),
    ],
)
def test_what_a_listing_shows_tells_the_plaintext_size(stored: int, etag: str, expected: int | None) -> None:
    assert sizes.listed_plaintext_bytes(stored, etag) == expected


@given(st.integers(0, 1 << 33))
@example(1 << 33)
@example(64 << 20)
@example((64 << 20) + 1)
def test_the_chunks_of_a_part_are_the_smallest_that_are_few_enough(length: int) -> None:
    log2 = sizes.part_log2(length)

    assert 16 <= log2 <= 23
    assert sizes.chunk_count(length, log2) <= 1024
    assert log2 == 16 or sizes.chunk_count(length, log2 - 1) > 1024


@pytest.mark.parametrize("length", [(1 << 33) + 1, -1])
def test_a_part_that_cannot_be_sealed_is_refused(length: int) -> None:
    with pytest.raises(ConfigError):
        sizes.part_log2(length)


@pytest.mark.parametrize(("stored", "length"), [(16_639, None), (16_640, 0), ((1 << 33) + 16_641, None)])
def test_the_plaintext_of_a_listed_part(stored: int, length: int | None) -> None:
    assert sizes.part_plaintext_bytes(stored) == length


@given(st.integers(384, 1 << 44))
def test_the_largest_whole_object_fits_and_a_larger_one_does_not(limit: int) -> None:
    largest = sizes.largest_whole_bytes(limit)

    assert sizes.whole_stored_bytes(largest) <= limit < sizes.whole_stored_bytes(largest + 1)


def test_limits_are_those_of_the_specification() -> None:
    assert sizes.largest_whole_bytes() == 5_367_398_352
    assert sizes.STORE_MAX_PUT_BYTES - sizes.PART_OVERHEAD_BYTES == 5_368_692_480
    assert sizes.MAX_MANIFEST_BYTES == 160_144 <= 1 << sizes.MANIFEST_LOG2

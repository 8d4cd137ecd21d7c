"""The region image, written and read by the product's own code, and the vectors made without it."""

import json
import mmap
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import IntegrityError, StrongroomError, UndeliverableError
from strongroom.launch.region import encode, fnv1a, read_names, read_values, slots_for
from tests.support.tree import ROOT

VECTORS = ROOT / "tests" / "vectors" / "region"
GOOD = sorted(VECTORS.glob("good-*.bin"))
BAD = sorted(VECTORS.glob("bad-*.bin"))

HEADER_BYTES = 48
SLOT_BYTES = 16

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,15}", fullmatch=True)
VALUES = st.binary(max_size=60).map(lambda value: value.replace(b"\0", b"=")) | st.sampled_from(
    [b"", b"=", b"==", b"A=B", b"PATH=/bin", b"\xff\xfe", b"\n", b"A" * 5000]
)
ENTRIES = st.dictionaries(NAMES, VALUES, max_size=12)

# Small enough to try every byte: names that share a prefix, an empty value, values that look like entries.
SMALL = {"A": b"x", "AB": b"", "C": b"A=x", "_9": b"AB=\xff"}


def small_image(room_bytes: int = 9) -> bytes:
    return encode(SMALL.items(), generation=7, room_bytes=room_bytes)


def value_positions(entries: dict[str, bytes]) -> set[int]:
    """Where the values stand, by the specification: strings in order, right behind the table."""
    positions: set[int] = set()
    offset = HEADER_BYTES + SLOT_BYTES * slots_for(len(entries))
    for name, value in entries.items():
        start = offset + len(name) + 1
        positions |= set(range(start, start + len(value)))
        offset = start + len(value) + 1
    return positions


def strings_end(entries: dict[str, bytes]) -> int:
    strings = sum(len(name) + len(value) + 2 for name, value in entries.items())
    return HEADER_BYTES + SLOT_BYTES * slots_for(len(entries)) + strings


def longest_probe(image: bytes) -> int:
    slots = struct.unpack_from("<I", image, 16)[0]
    table = [struct.unpack_from("<IIII", image, HEADER_BYTES + SLOT_BYTES * slot) for slot in range(slots)]
    probes: list[int] = [(slot - hashed) % slots + 1 for slot, (hashed, _, offset, _) in enumerate(table) if offset]
    return max(probes)


@given(ENTRIES, st.integers(0, 2**32 - 1), st.integers(0, 100))
def test_what_is_written_is_read_back(entries: dict[str, bytes], generation: int, room_bytes: int) -> None:
    image = encode(entries.items(), generation=generation, room_bytes=room_bytes)

    assert read_values(image) == entries
    assert sorted(read_names(image)) == sorted(entries)


@settings(max_examples=15)
@given(st.integers(0, 300), NAMES, VALUES)
def test_images_of_up_to_300_entries_are_read_back(count: int, prefix: str, value: bytes) -> None:
    entries = {f"{prefix}_{number}": value + b"%d" % number for number in range(count)}

    assert read_values(encode(entries.items())) == entries


@given(ENTRIES, st.integers(0, 100))
def test_the_header_says_what_the_specification_says(entries: dict[str, bytes], room_bytes: int) -> None:
    image = encode(entries.items(), generation=3, room_bytes=room_bytes)

    magic, total, count, slots, seed, generation, check, reserved = struct.unpack_from("<8s6I16s", image)
    assert (magic, total, count) == (b"SRREGN1\0", len(image), len(entries))
    assert total % 8 == 0
    assert strings_end(entries) + room_bytes <= total < strings_end(entries) + room_bytes + 8
    assert slots == next((2**power for power in range(20) if 2**power >= 2 * count), 0) * bool(count)
    assert (generation, check, reserved) == (3, 0xFFFF_FFFC, bytes(16))
    assert count or not seed


@given(ENTRIES)
def test_bytes_bytearray_and_mmap_are_read_alike(entries: dict[str, bytes]) -> None:
    image = encode(entries.items())
    with mmap.mmap(-1, len(image)) as mapping:
        mapping[:] = image

        assert read_values(mapping) == read_values(bytearray(image)) == read_values(image) == entries
        assert read_names(mapping) == read_names(bytearray(image)) == read_names(image)


def test_every_changed_byte_outside_of_values_and_room_is_refused() -> None:
    image = small_image()
    protected = sorted(set(range(strings_end(SMALL))) - value_positions(SMALL))
    changed = bytearray(image)
    for position in protected:
        for byte in range(256):
            if byte == image[position]:
                continue
            changed[position] = byte
            with pytest.raises(IntegrityError):
                read_names(changed)
        changed[position] = image[position]


def test_a_changed_byte_of_a_value_changes_that_value_only_and_a_nul_is_refused() -> None:
    image = small_image()
    for position in value_positions(SMALL):
        for byte in range(1, 256):
            changed = bytearray(image)
            changed[position] = byte
            values = read_values(changed)
            assert sum(values[name] != SMALL[name] for name in SMALL) == (byte != image[position])
        changed = bytearray(image)
        changed[position] = 0
        with pytest.raises(IntegrityError):
            read_names(changed)


def test_room_carries_no_meaning() -> None:
    image = small_image(room_bytes=16)
    end = strings_end(SMALL)

    assert read_values(image[:end] + b"\xff" * (len(image) - end)) == SMALL


def test_every_truncation_is_refused() -> None:
    image = small_image()
    for length in range(len(image)):
        with pytest.raises(IntegrityError):
            read_names(image[:length])


@pytest.mark.parametrize("extra", [b"\0", bytes(8), b"x" * 4096])
def test_bytes_behind_the_end_are_refused(extra: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_names(small_image() + extra)


@given(ENTRIES.filter(bool), st.data())
def test_a_flipped_byte_of_any_image_is_refused(entries: dict[str, bytes], data: st.DataObject) -> None:
    image = bytearray(encode(entries.items()))
    protected = sorted(set(range(strings_end(entries))) - value_positions(entries))
    image[data.draw(st.sampled_from(protected))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(IntegrityError):
        read_names(image)


@given(ENTRIES.filter(bool), st.data())
def test_a_string_that_is_cut_by_a_nul_is_refused(entries: dict[str, bytes], data: st.DataObject) -> None:
    image = bytearray(encode(entries.items()))
    start = HEADER_BYTES + SLOT_BYTES * slots_for(len(entries))
    image[data.draw(st.integers(start, strings_end(entries) - 1).filter(lambda at: image[at]))] = 0

    with pytest.raises(IntegrityError):
        read_names(image)


@given(st.binary(max_size=400))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_names(garbage)


U32 = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1), st.sampled_from([2**31, 2**32 - 1]))


@given(st.integers(0, 4), U32, st.lists(st.tuples(U32, U32, U32, U32), max_size=8), st.binary(max_size=64))
def test_garbage_behind_a_correct_header_raises_nothing_else(
    count: int, seed: int, table: list[tuple[int, int, int, int]], strings: bytes
) -> None:
    slots = slots_for(count)
    body = b"".join(struct.pack("<IIII", *slot) for slot in table[:slots]).ljust(slots * SLOT_BYTES, b"\0") + strings
    body += bytes(-len(body) % 8)
    header = struct.pack(
        "<8s6I16s", b"SRREGN1\0", HEADER_BYTES + len(body), count, slots, seed if count else 0, 0, 0xFFFF_FFFF, b""
    )
    try:
        values = read_values(header + body)
    except IntegrityError:
        return
    assert len(values) == count


@given(ENTRIES.filter(lambda entries: len(entries) > 1), st.data())
def test_two_slots_that_change_places_are_refused_or_mean_the_same(
    entries: dict[str, bytes], data: st.DataObject
) -> None:
    image = bytearray(encode(entries.items()))
    slots = slots_for(len(entries))
    one, two = (HEADER_BYTES + SLOT_BYTES * data.draw(st.integers(0, slots - 1)) for _ in range(2))
    image[one : one + SLOT_BYTES], image[two : two + SLOT_BYTES] = (
        image[two : two + SLOT_BYTES],
        image[one : one + SLOT_BYTES],
    )
    try:
        values = read_values(image)
    except IntegrityError:
        return
    assert values == entries


class RecordingMapping(mmap.mmap):
    """A mapping that keeps what is taken out of it."""

    taken: list[bytes]

    def __getitem__(self, place: object) -> bytes:  # type: ignore[override]
        part = super().__getitem__(place)  # type: ignore[call-overload]
        if isinstance(place, slice):
            self.taken.append(part)
        return part  # type: ignore[no-any-return]


def test_the_reader_takes_names_out_of_a_mapping_and_nothing_else() -> None:
    entries = {f"NAME_{number}": b"canary-%d" % number for number in range(20)}
    image = encode(entries.items())
    with RecordingMapping(-1, len(image)) as mapping:
        mapping[:] = image
        mapping.taken = []

        read_names(mapping)

        assert {part.decode() for part in mapping.taken} == entries.keys()


def test_the_reader_allocates_far_less_than_a_value() -> None:
    image = encode([("BIG", b"v" * (4 << 20))])
    with mmap.mmap(-1, len(image)) as mapping:
        mapping[:] = image
        del image
        tracemalloc.start()
        try:
            read_names(mapping)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak < 64 << 10


@pytest.mark.parametrize("count", [1, 2, 5, 13, 21, 34, 60])
@pytest.mark.parametrize("prefix", ["DB_", "A", "SERVICE_CONFIG_"])
def test_the_seed_is_chosen_so_that_every_name_is_found_at_the_first_probe(prefix: str, count: int) -> None:
    assert longest_probe(encode([(f"{prefix}{number}", b"") for number in range(count)])) == 1


def test_the_hash_is_fnv_1a() -> None:
    # The values of the FNV reference code, for its offset basis (draft-eastlake-fnv, appendix C).
    assert fnv1a(b"", 0x811C9DC5) == 0x811C9DC5
    assert fnv1a(b"a", 0x811C9DC5) == 0xE40C292C
    assert fnv1a(b"foobar", 0x811C9DC5) == 0xBF9CF968


@given(st.integers(1, 65_535))
def test_slots_are_the_smallest_power_of_two_that_leaves_half_of_them_free(count: int) -> None:
    slots = slots_for(count)

    assert slots & (slots - 1) == 0
    assert slots >= 2 * count > slots // 2


def test_the_largest_number_of_entries_is_written_and_read() -> None:
    entries = {f"V{number:x}": b"" for number in range(65_535)}

    assert len(read_names(encode(entries.items()))) == 65_535


def test_one_entry_more_is_refused() -> None:
    with pytest.raises(UndeliverableError, match="65536 secrets"):
        encode((f"V{number}", b"") for number in range(65_536))


def test_an_image_beyond_the_largest_size_is_refused_before_it_is_made() -> None:
    with pytest.raises(UndeliverableError, match="at most"):
        encode([("A", b"x")], room_bytes=2**30)


@pytest.mark.parametrize(("size", "fits"), [(2**30, True), (2**30 + 8, False)])
def test_the_reader_knows_the_largest_size(size: int, fits: bool) -> None:  # noqa: FBT001 - a table of cases
    with mmap.mmap(-1, size) as mapping:  # only the first page is ever touched
        mapping[:HEADER_BYTES] = struct.pack("<8s6I16s", b"SRREGN1\0", size, 0, 0, 0, 0, 0xFFFF_FFFF, b"")
        if fits:
            assert read_names(mapping) == []
        else:
            with pytest.raises(IntegrityError):
                read_names(mapping)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A\0B", "A\n", "É", "A B", "\udcff"])
def test_a_name_that_is_no_variable_is_not_written(name: str) -> None:
    with pytest.raises(UndeliverableError):
        encode([(name, b"x")])


@pytest.mark.parametrize("value", [b"\0", b"a\0b", b"canary\0", b"\0canary"])
def test_a_value_with_a_nul_is_not_written_and_not_shown(value: bytes) -> None:
    with pytest.raises(UndeliverableError, match="TLS_KEY: the value is binary") as caught:
        encode([("A", b"x"), ("TLS_KEY", value)])

    assert "canary" not in caught.value.message + caught.value.hint


def test_a_name_that_occurs_twice_is_not_written() -> None:
    with pytest.raises(UndeliverableError, match="B: named twice"):
        encode([("A", b"1"), ("B", b"2"), ("C", b"3"), ("B", b"4")])


def test_many_names_that_occur_twice_are_found_without_comparing_all_with_all() -> None:
    with pytest.raises(UndeliverableError, match="named twice"):
        encode((f"V{number // 2}", b"") for number in range(65_534))


def test_there_are_vectors_of_both_kinds() -> None:
    assert len(GOOD) > 5
    assert len(BAD) > 20


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_vector_is_read_as_its_description_says(path: Path) -> None:
    described = json.loads(path.with_suffix(".json").read_text())
    expected = {name: bytes.fromhex(value) for name, value in described["entries"].items()}
    image = path.read_bytes()

    assert read_values(image) == expected
    assert sorted(read_names(image)) == sorted(expected)
    assert struct.unpack_from("<I", image, 24)[0] == described["generation"]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_vector_is_refused_by_the_rule_it_breaks(path: Path) -> None:
    rule = path.stem.split("-")[1]

    with pytest.raises(IntegrityError, match=rf"\bregion image: rule {rule}:"):
        read_names(path.read_bytes())


@pytest.mark.parametrize("path", [path for path in BAD if path.stat().st_size], ids=lambda path: path.stem)
def test_bad_vector_is_refused_in_a_mapping_too(path: Path) -> None:  # an empty file cannot be mapped
    image = path.read_bytes()
    with mmap.mmap(-1, len(image)) as mapping:
        mapping[:] = image
        with pytest.raises(StrongroomError):
            read_values(mapping)

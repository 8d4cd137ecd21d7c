import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import IntegrityError
from strongroom.launch.answer import HEAD_BYTES, MAX_FILE_BYTES, Layout, decode_layout, encode_layout, index_bytes

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
LAYOUTS = st.builds(Layout, st.integers(0, 1 << 30), st.dictionaries(NAMES, st.integers(0, 1 << 20), max_size=8))
FRONT = encode_layout(Layout(48, {"TLS_KEY": 1704, "CONF": 0}))
TOTAL = len(FRONT) + 48 + 1704


def total_of(layout: Layout) -> int:
    return len(encode_layout(layout)) + layout.region_bytes + sum(layout.files.values())


def read(front: bytes, total_bytes: int) -> Layout | None:
    """Read as a receiver does, first the head and then what it announces; None when that is refused."""
    try:
        if len(front) != HEAD_BYTES + index_bytes(front[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")):
            return None
        return decode_layout(front, total_bytes)
    except IntegrityError:
        return None


@given(LAYOUTS)
def test_what_is_written_is_read_back_in_its_order(layout: Layout) -> None:
    front = encode_layout(layout)
    found = decode_layout(front, total_of(layout))

    assert index_bytes(front[:HEAD_BYTES]) == len(front) - HEAD_BYTES
    assert (found.region_bytes, list(found.files.items())) == (layout.region_bytes, list(layout.files.items()))


def test_it_is_written_as_the_module_documents_it() -> None:
    expected = (
        b"SRBNDL1\0"
        + (31).to_bytes(4, "little")
        + (2).to_bytes(4, "little")
        + (48).to_bytes(8, "little")
        + (1704).to_bytes(8, "little")
        + b"\x07\0TLS_KEY"
        + (0).to_bytes(8, "little")
        + b"\x04\0CONF"
    )
    assert expected == FRONT


@pytest.mark.parametrize("total", [TOTAL - 1, TOTAL + 1, 0, 1 << 62])
def test_a_length_that_is_not_the_sum_of_the_parts_is_refused(total: int) -> None:
    with pytest.raises(IntegrityError, match="do not add up"):
        decode_layout(FRONT, total)


@pytest.mark.parametrize("end", range(len(FRONT)))
def test_every_truncation_is_refused(end: int) -> None:
    assert read(FRONT[:end], TOTAL) is None


@given(st.integers(0, len(FRONT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_a_name_only(position: int, change: int) -> None:
    changed = bytearray(FRONT)
    changed[position] ^= change
    found = read(bytes(changed), TOTAL)

    # Another name is no less legal; that it was not asked for is seen by anyone who asked.
    assert found is None or (list(found.files.values()) == [1704, 0] and found.files.keys() != {"TLS_KEY", "CONF"})


@given(
    st.binary(max_size=80) | st.binary(max_size=80).map(lambda rest: FRONT[:HEAD_BYTES] + rest), st.integers(0, 4096)
)
def test_any_bytes_are_read_or_refused_with_our_own_error(front: bytes, total: int) -> None:
    read(front, total)


@pytest.mark.parametrize(
    "files",
    [{"1A": 1}, {"": 1}, {"A=B": 1}, {"A\n": 1}],
)
def test_a_name_that_is_no_variable_is_refused(files: dict[str, int]) -> None:
    layout = Layout(48, files)
    with pytest.raises(IntegrityError, match="a name"):
        decode_layout(encode_layout(layout), total_of(layout))


def test_a_name_that_comes_twice_is_refused() -> None:
    item = (5).to_bytes(8, "little") + b"\x01\0A"
    front = FRONT[:8] + (22).to_bytes(4, "little") + FRONT[12:HEAD_BYTES] + item + item

    with pytest.raises(IntegrityError, match="a name"):
        decode_layout(front, len(front) + 48 + 10)


@pytest.mark.parametrize("sizes", [[MAX_FILE_BYTES + 1], [MAX_FILE_BYTES, 1], [1 << 63]])
def test_more_than_anybody_should_hold_is_refused(sizes: list[int]) -> None:
    layout = Layout(48, {f"F{number}": size for number, size in enumerate(sizes)})
    with pytest.raises(IntegrityError, match="do not add up"):
        decode_layout(encode_layout(layout), total_of(layout))


def test_more_entries_than_are_announced_are_refused_and_fewer_too() -> None:
    for count in (0, 1, 3):
        front = FRONT[:12] + count.to_bytes(4, "little") + FRONT[16:]
        with pytest.raises(IntegrityError):
            decode_layout(front, TOTAL)

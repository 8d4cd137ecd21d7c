"""Headers and the admission of segments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.sealed.header import Header, Kind, parse_header
from strongroom.sealed.segment import admit_segment, begin_segment
from strongroom.sealed.wrapping import BucketKey
from strongroom.secret import Secret
from tests.strongroom.sealed.making import BK, begin, noise


def make_header(**changed: object) -> Header:
    fields: dict[str, object] = {
        "kind": Kind.PART,
        "plaintext_bytes": 5,
        "key_id": noise(16),
        "policy": "default",
        "salt": noise(32),
        "object_id": noise(16),
        "part_number": 3,
        "wrapped_key": BK.wrapped,
    }
    return Header(**{**fields, **changed})  # type: ignore[arg-type]


POLICIES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,31}", fullmatch=True)


@given(st.integers(0, 1 << 33), st.binary(min_size=16, max_size=16), POLICIES, st.integers(1, 10_000))
def test_what_is_written_is_read_back(length: int, some_id: bytes, policy: str, number: int) -> None:
    header = make_header(plaintext_bytes=length, key_id=some_id, object_id=some_id, policy=policy, part_number=number)

    assert parse_header(header.committed() + bytes(32)) == header
    assert len(header.committed()) == 224


@pytest.mark.parametrize(
    "changed",
    [
        {"plaintext_bytes": -1},
        {"plaintext_bytes": (1 << 33) + 1},
        {"part_number": 0},
        {"part_number": 10_001},
        {"kind": Kind.WHOLE},
        {"kind": Kind.MANIFEST, "part_number": 0, "plaintext_bytes": 145},
        {"key_id": b"short"},
        {"salt": noise(31)},
        {"object_id": noise(17)},
        {"policy": ""},
        {"policy": "a" * 33},
        {"policy": "Default"},
        {"policy": "default\n"},
        {"wrapped_key": noise(101)},
        {"wrapped_key": b"x"},
    ],
)
def test_a_header_that_no_reader_would_take_is_not_written(changed: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"^no header: rule [345]:"):
        make_header(**changed).committed()


def test_a_header_is_read_from_any_buffer_and_whatever_follows_it() -> None:
    raw = begin(7).raw

    for buffer in (raw, bytearray(raw), memoryview(raw), raw + b"more"):
        assert parse_header(buffer).plaintext_bytes == 7
        assert admit_segment(buffer, BK.secret).raw == raw


def test_the_longest_names_and_wrapped_keys_fit() -> None:
    wrapped = b"\x01\xff\xff\xff\xff" + noise(95)
    key = BucketKey(noise(16), "a" * 32, Secret(noise(32)), wrapped)
    segment = begin_segment(key, kind=Kind.WHOLE, plaintext_bytes=1 << 48, salt=noise(32), object_id=noise(16))

    header = admit_segment(segment.raw, key.secret).header

    assert (header.wrapped_key, header.policy) == (wrapped, "a" * 32)
    assert header.chunk_count == 1 << 32


def test_a_marker_is_a_header_and_nothing_else() -> None:
    header = begin(0, Kind.MARKER).header

    assert (header.chunk_count, header.tail_bytes, header.stored_bytes) == (0, 0, 256)

"""What OpenBao's answers mean, from recorded shapes; values as bytes."""

import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import NotFoundError, PeerError, UndeliverableError
from strongroom.openbao.kv import (
    Mount,
    RawNumber,
    Reading,
    compact_json,
    decode_base64,
    mount_of,
    parse_document,
    reading_of_v1,
    reading_of_v2,
    value_bytes,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('abü"\n', max_size=3), inner, max_size=3),
)


@given(JSON)
def test_compact_json_means_the_same(value: object) -> None:
    document = parse_document(json.dumps({"v": value}).encode())
    text = compact_json(document["v"])
    assert json.loads(text) == value
    assert text == json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.timeout(30)
def test_a_long_text_that_is_nested_deeply_is_copied_once() -> None:
    """When each level copied it, this took minutes of the bridge; the time limit of the test shows it."""
    depth, text = 300, "\U0001f600" + "x" * (16 << 20)
    content = f'{{"v": {"[" * depth}"{text}"{"]" * depth}}}'.encode()
    assert len(compact_json(parse_document(content)["v"])) == 2 * depth + len(text) + 2


@pytest.mark.parametrize("number", ["1.10", "1e400", "-0", "0.1000000000000000055511151231257827", "9" * 5000])
def test_numbers_keep_their_digits(number: str) -> None:
    assert value_bytes(parse_document(b'{"v": %s}' % number.encode())["v"]) == number.encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [("ü", "ü".encode()), ("", b""), (True, b"true"), ([], b"[]"), ({"a": RawNumber("1")}, b'{"a":1}'), (None, None)],
)
def test_values_as_bytes(value: object, expected: bytes | None) -> None:
    assert value_bytes(value) == expected


@pytest.mark.parametrize("value", ["a\0b", "\0", "\ud800", "x\udcff", ["\ud800"]])
def test_binary_values_are_undeliverable_and_not_quoted(value: object) -> None:
    with pytest.raises(UndeliverableError, match="binary") as caught:
        value_bytes(value)
    assert caught.value.__cause__ is None
    assert "ud800" not in str(caught.value)


@pytest.mark.parametrize("blank", [b" ", b"\t", b"\n", b"\r", b"\v", b"\f"])
def test_white_space_in_base64_is_left_out_and_takes_no_memory(blank: bytes) -> None:
    """An object for each of the pieces between took fifty times the value."""
    value = (b"YW" + blank) * (1 << 19)
    tracemalloc.start()
    try:
        decoded = decode_base64(value)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoded[:6] == b"af\x16af\x16"
    assert peak_bytes < 2 * len(value)


def test_a_nul_inside_json_is_escaped_and_fits() -> None:
    assert value_bytes(["\0"]) == b'["\\u0000"]'


@pytest.mark.parametrize("content", [b"", b"canary", b"[]", b"\xff", b"[" * 100_000])
def test_nonsense_is_a_peer_error_that_does_not_quote_it(content: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        parse_document(content)
    assert "canary" not in str(caught.value)


def test_mounts() -> None:
    document = {"data": {"path": "team/kv/", "type": "kv", "options": {"version": "2"}}}
    assert mount_of(document, "team/kv/x") == Mount("team/kv/", 2)
    assert mount_of({"data": {"path": "kv/", "type": "kv", "options": None}}, "kv/x") == Mount("kv/", 1)
    assert mount_of({"data": {"path": "s/", "type": "generic", "options": {}}}, "s/x") == Mount("s/", 1)
    with pytest.raises(UndeliverableError, match="'pki'"):
        mount_of({"data": {"path": "pki/", "type": "pki"}}, "pki/x")
    with pytest.raises(PeerError):
        mount_of({}, "kv/x")


@pytest.mark.parametrize(("mount", "kind"), [("kv/", "t" * 101), ("kv/xyz", "pki"), ("kv/xyz", "kv")])
def test_a_mount_with_a_longer_path_than_is_asked_for_or_a_long_type_is_nonsense(mount: str, kind: str) -> None:
    """Either is told of each reference, of which a request may have 8,000, and recorded."""
    with pytest.raises(PeerError, match="how this path is mounted"):
        mount_of({"data": {"path": mount, "type": kind}}, "kv/x")


def test_readings() -> None:
    assert reading_of_v1(200, {"data": {"k": "v"}}, "old/x") == Reading(0, {"k": "v"})
    versioned = {"data": {"data": {"k": "v"}, "metadata": {"version": RawNumber("7"), "deletion_time": ""}}}
    assert reading_of_v2(200, versioned, "kv/x", 0) == Reading(7, {"k": "v"})
    assert "'v'" not in repr(reading_of_v1(200, {"data": {"k": "v"}}, "old/x"))


@pytest.mark.parametrize("version", [None, "", "x", "-1", "1.5", "nan", "9" * 5000, True, RawNumber("1e3"), []])
def test_a_version_that_is_no_number_is_refused_and_not_quoted(version: object) -> None:
    with pytest.raises(PeerError, match="answers with a version that is not a number"):
        reading_of_v2(200, {"data": {"data": {"k": "v"}, "metadata": {"version": version}}}, "kv/x", 0)


def test_a_version_that_will_be_deleted_later_is_read() -> None:
    document = {"data": {"data": {"k": "v"}, "metadata": {"version": "1", "deletion_time": "2999-01-01T00:00:00Z"}}}
    assert reading_of_v2(200, document, "kv/x", 0).data == {"k": "v"}


@pytest.mark.parametrize(
    ("document", "version", "reason"),
    [
        ({"errors": []}, 0, "there is no secret at kv/x"),
        ({"errors": []}, 4, "there is no version 4 of kv/x"),
        (
            {"data": {"data": None, "metadata": {"version": "2", "destroyed": True}}},
            0,
            "version 2 of kv/x was destroyed",
        ),
        (
            {"data": {"data": None, "metadata": {"version": "2", "deletion_time": "t"}}},
            0,
            "version 2 of kv/x was deleted",
        ),
    ],
)
def test_what_is_missing_is_told_apart(document: dict[str, object], version: int, reason: str) -> None:
    with pytest.raises(NotFoundError, match=reason):
        reading_of_v2(404, document, "kv/x", version)
    with pytest.raises(NotFoundError):
        reading_of_v1(404, {"errors": []}, "old/x")


def test_a_reading_is_measured_once_where_it_is_made() -> None:
    """What asks for its size again and again is the event loop of the bridge."""

    class Looked(dict[str, object]):
        looks = 0

        def __iter__(self) -> Iterator[str]:
            self.looks += 1
            return super().__iter__()

    data = Looked({"k": "v" * 1000, "l": "w"})
    reading = Reading(1, data)
    assert data.looks == 1
    assert 1000 < reading.size_bytes < 2000
    assert (reading.size_bytes, data.looks) == (reading.size_bytes, 1)

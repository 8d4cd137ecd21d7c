"""What is not a request for a bundle is refused, with an error of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.launch.bundle import (
    decode_request,
)
from tests.strongroom.bundle_documents import JSON_VALUES, document, encoded, refusal


@given(body=st.binary() | JSON_VALUES.map(encoded))
def test_any_body_is_read_or_refused_with_our_own_error(body: bytes) -> None:
    assert len(refusal(body)) < 3000


@given(
    place=st.sampled_from(["entries", "from_path", "exclude", "name", "parts", "part", "path", "key", "source"]),
    value=JSON_VALUES,
)
def test_any_value_at_any_place_is_read_or_refused_with_our_own_error(place: str, value: object) -> None:
    part: dict[str, object] = {"path": "kv/db", "key": "key"}
    entry: dict[str, object] = {"name": "A", "parts": [part]}
    whole: dict[str, object] = {"entries": [entry], "from_path": [{"path": "kv/db"}], "exclude": []}
    if place in {"name", "parts"}:
        entry[place] = value
    elif place == "part":
        entry["parts"] = [part, value]
    elif place in {"path", "key"}:
        part[place] = value
    elif place == "source":
        whole["from_path"] = [value]
    else:
        whole[place] = value
    assert len(refusal(encoded(whole))) < 3000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"{}x",
        b'{"entries": ' + b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"entries": [], "exclude": [' + b"9" * 5000 + b"]}",
        '{"entries": []}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
    ids=["empty", "cut", "not UTF-8", "more", "deep", "deep and closed", "huge number", "UTF-16", "BOM"],
)
def test_what_is_not_json_in_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(ConfigError, match="not JSON"):
        decode_request(body)


@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        "text",
        {"entries": [], "more": 1},
        {"Entries": []},
        {"entries": {}},
        {"entries": None},
        {"entries": ["A"]},
        {"entries": [{"name": "A"}]},
        {"entries": [{"parts": []}]},
        {"entries": [{"name": "A", "parts": [], "x": 1}]},
        {"from_path": "kv/db"},
        {"from_path": ["kv/db"]},
        {"from_path": [{}]},
        {"from_path": [{"path": "kv/db", "key": "k"}]},
        {"from_path": [{"path": "kv/db", "optional": 1}]},
        {"from_path": [{"path": "kv/db", "prefix": 1}]},
        {"from_path": [{"path": "kv/db", "case": "Upper"}]},
        {"from_path": [{"path": "kv/db", "include": "a"}]},
        {"from_path": [{"path": "kv/db", "exclude": [1]}]},
        {"exclude": "HOME"},
        {"exclude": [1]},
        {"exclude": [None]},
    ],
    ids=repr,
)
def test_unknown_missing_and_mistyped_members_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="must be"):
        decode_request(encoded(value))


@pytest.mark.parametrize(
    "change",
    [
        {"version": True},
        {"version": 1.0},
        {"version": "1"},
        {"version": None},
        {"version": 1e400},
        {"optional": 1},
        {"optional": "true"},
        {"optional": None},
        {"default": 1},
        {"default": True},
        {"default": ["x"]},
        {"path": 1},
        {"path": None},
        {"filter": 1},
        {"filter": None},
        {"filter": ["url"]},
        {"key": 1},
        {"key": ["key"]},
        {"Path": "kv/db"},
        {"mount": "kv"},
    ],
    ids=repr,
)
def test_a_member_of_a_reference_that_is_unknown_or_of_another_type_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"entries\[0\]\.parts.*must be"):
        decode_request(encoded(document(**change)))


@pytest.mark.parametrize(
    "change",
    [
        {"version": -1},
        {"version": 2**63},
        {"path": "kv/../sys"},
        {"path": "kv"},
        {"path": "kv/a%2fb"},
        {"path": "kv/\udcff"},
        {"key": ""},
        {"key": "a\u202eb"},
        {"key": "a\x00b"},
        {"default": "bao:kv/db#other"},
        {"filter": "URL"},
        {"filter": "url|json"},
        {"default": "\ud800"},
    ],
    ids=repr,
)
def test_a_reference_that_the_grammar_would_refuse_is_refused_on_the_wire_too(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        decode_request(encoded(document(**change)))


@pytest.mark.parametrize(
    "body",
    [
        b'{"entries": [], "entries": []}',
        b'{"entries": [{"name": "A", "parts": [{"path": "kv/mine", "key": "k", "path": "kv/yours"}]}]}',
        b'{"entries": [{"name": "A", "name": "B", "parts": []}]}',
    ],
)
def test_two_members_of_one_name_are_refused(body: bytes) -> None:
    with pytest.raises(ConfigError, match="two members"):
        decode_request(body)

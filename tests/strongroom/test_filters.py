"""How values are encoded for URLs, JSON, base64 and shells: vectors, and what other readers make of them."""

import base64
import json
import subprocess
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strongroom.errors import UndeliverableError
from strongroom.launch.filters import filtered, filtered_bytes, most_filtered_bytes
from strongroom.launch.reference import FILTERS


@pytest.mark.parametrize(
    ("filter_name", "value", "expected"),
    [
        ("url", "AZaz09-._~", "AZaz09-._~"),
        ("url", "p@ss/w:rd#1?&=+ %", "p%40ss%2Fw%3Ard%231%3F%26%3D%2B%20%25"),
        ("url", "schlüssel€", "schl%C3%BCssel%E2%82%AC"),
        ("url", "!$'()*,;[]|\0", "%21%24%27%28%29%2A%2C%3B%5B%5D%7C%00"),
        ("url", "", ""),
        ("json", 'a"b\\c/d', 'a\\"b\\\\c/d'),
        ("json", "\b\f\n\r\t\x00\x1f\x7f", "\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"),
        ("json", "ü€\u2028\U0001f511", "ü€\u2028\U0001f511"),
        ("base64", "", ""),
        ("base64", "f", "Zg=="),
        ("base64", "foob", "Zm9vYg=="),
        ("base64", "?>" * 3, "Pz4/Pj8+"),
        ("shell", "", "''"),
        ("shell", "aZ0_@%+:,./-", "aZ0_@%+:,./-"),
        ("shell", "a b", "'a b'"),
        ("shell", "PATH=x", "'PATH=x'"),
        ("shell", "~", "'~'"),
        ("shell", "it's $HOME `x`\n", "'it'\\''s $HOME `x`\n'"),
        ("shell", "ü", "'ü'"),
    ],
)
def test_each_filter_encodes_as_it_is_documented(filter_name: str, value: str, expected: str) -> None:
    assert filtered(filter_name, value.encode()) == expected.encode()


@given(filter_name=st.sampled_from(FILTERS), text=st.text())
@example("shell", "'''")
@example("json", "\0" * 50)
def test_the_size_is_known_beforehand_and_has_a_bound(filter_name: str, text: str) -> None:
    value = text.encode()
    if filter_name == "shell" and 0 in value:
        return
    size = filtered_bytes(filter_name, value)
    assert size == len(filtered(filter_name, value))
    assert size <= most_filtered_bytes(filter_name, len(value))


@given(st.binary())
def test_a_url_gives_back_any_bytes(value: bytes) -> None:
    assert unquote_to_bytes(filtered("url", value)) == value


@given(st.text(min_size=1))
def test_a_password_cannot_change_the_host_of_a_url(password: str) -> None:
    parts = urlsplit(f"postgres://shop:{filtered('url', password.encode()).decode()}@db:5432/shop?x#y")
    assert (parts.hostname, parts.port, parts.username, parts.path) == ("db", 5432, "shop", "/shop")
    assert unquote_to_bytes(parts.password or "") == password.encode()


@given(st.text())
def test_json_reads_back_any_text_between_its_quotes(text: str) -> None:
    assert json.loads(b'{"a": "' + filtered("json", text.encode()) + b'"}') == {"a": text}


@given(st.binary())
def test_base64_gives_back_any_bytes(value: bytes) -> None:
    assert base64.b64decode(filtered("base64", value), validate=True) == value


@settings(max_examples=50)
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
@example("'")
@example("\\'\"$(echo x)`echo x`\n")
@example("-n")
def test_a_shell_reads_one_word_back(text: str) -> None:
    script = b"set -- " + filtered("shell", text.encode()) + b'; printf "%s:%s" $# "$1"'
    result = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert result.stdout == b"1:" + text.encode()


@pytest.mark.parametrize(("filter_name", "value"), [("json", b"\xff"), ("shell", b"a\0b")])
def test_bytes_without_such_a_form_are_refused_without_being_shown(filter_name: str, value: bytes) -> None:
    with pytest.raises(UndeliverableError) as caught:
        filtered(filter_name, value)
    assert "|base64" in caught.value.hint
    assert "xff" not in caught.value.message

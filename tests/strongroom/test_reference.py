import pytest
from hypothesis import given

from strongroom.errors import ConfigError
from strongroom.launch.reference import (
    MAX_KEY_CHARS,
    MAX_PATH_CHARS,
    Reference,
    check_path,
    is_env_name,
    parse_path_reference,
    parse_reference,
    spell_path,
)
from tests.strongroom.references import LAST_VERSION, PATHS, SCHEMES, references, written

CANARY = "canary-Gh51xQ"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bao:kv/shop/db#password", Reference("kv/shop/db", "password")),
        ("vault:kv/shop/db#password", Reference("kv/shop/db", "password")),
        ("bao:kv/db#password#3", Reference("kv/db", "password", version=3)),
        ("bao:kv/db#password#007", Reference("kv/db", "password", version=7)),
        (f"bao:kv/db#password#{LAST_VERSION}", Reference("kv/db", "password", version=LAST_VERSION)),
        ("bao:kv/db#password?optional", Reference("kv/db", "password", optional=True)),
        ("bao:kv/db#password#3?optional", Reference("kv/db", "password", version=3, optional=True)),
        ("bao:kv/db#password?default=", Reference("kv/db", "password", default="")),
        ("bao:kv/db#password?default=a b", Reference("kv/db", "password", default="a b")),
        ("bao:kv/db#password?default=#1?optional", Reference("kv/db", "password", default="#1?optional")),
        ("bao:kv/db#password?default=a}b{c", Reference("kv/db", "password", default="a}b{c")),
        ("bao:kv/db#password#2?default=x=y", Reference("kv/db", "password", version=2, default="x=y")),
        ("bao:kv/db#a key with spaces", Reference("kv/db", "a key with spaces")),
        ("bao:kv/db#tls.crt", Reference("kv/db", "tls.crt")),
        ("bao:kv/münchen/дб#schlüssel", Reference("kv/münchen/дб", "schlüssel")),
        ("bao:kv/a:b/c@d,e;f=g&h~i$j!k(l)+m#x", Reference("kv/a:b/c@d,e;f=g&h~i$j!k(l)+m", "x")),
        ("bao:kv/shop/My%20App#pw", Reference("kv/shop/My App", "pw")),
        ("bao:kv/shop/what%3F%23#why%3F", Reference("kv/shop/what?#", "why?")),
        ("bao:kv/%7bx%7D/%2A#%7Bx%7D", Reference("kv/{x}/*", "{x}")),
        ("bao:kv/db#a%23b#3?default=%41", Reference("kv/db", "a#b", version=3, default="%41")),
        ("bao:kv/50%25 off#100%25".replace(" ", "%20"), Reference("kv/50% off", "100%")),
        ("bao:kv/m%C3%BCnchen#%e2%82%ac", Reference("kv/m\u00fcnchen", "\u20ac")),
        ("bao:kv/db#k|url", Reference("kv/db", "k", filter_name="url")),
        ("bao:kv/db#k#3|shell?optional", Reference("kv/db", "k", version=3, optional=True, filter_name="shell")),
        ("bao:kv/db#k|json?default=a|b", Reference("kv/db", "k", default="a|b", filter_name="json")),
        ("bao:kv/db#a%7Curl", Reference("kv/db", "a|url")),
        ('bao:kv/db#it\'s a "key"', Reference("kv/db", 'it\'s a "key"')),
    ],
)
def test_each_form_is_understood(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@given(scheme=SCHEMES, reference=references())
def test_what_is_written_is_read_back(scheme: str, reference: Reference) -> None:
    assert parse_reference(written(scheme, reference)) == reference


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("bao:kv/db#k|URL", "|url, |json, |base64, |shell"),
        ("bao:kv/db#k|", "%7C"),
        ("bao:kv/db#k|url|json", "%7C"),
        ("bao:kv/db#k|url#3", "%7C"),
        ("bao:kv/db#k?optional|url", "in front of the question mark"),
        ("bao:kv/db#k?default=none|url", "in front of the question mark"),
        ("bao:kv/db#k?Default=none", "?default=TEXT"),
    ],
)
def test_a_filter_that_is_unknown_or_out_of_place_is_refused_and_never_left_out(text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_reference(text)
    assert hint in caught.value.hint
    assert "none" not in caught.value.message


def test_an_unknown_option_is_named_whatever_its_case() -> None:
    with pytest.raises(ConfigError, match="unknown option 'Default'"):
        parse_reference("bao:kv/db#k?Default=a")


def test_a_default_implies_optional() -> None:
    assert parse_reference("bao:kv/db#k?default=").optional


def test_references_are_equal_when_all_fields_are() -> None:
    reference = Reference("kv/a", "k", version=1, default="d")

    assert reference == Reference("kv/a", "k", version=1, default="d")
    assert hash(reference) == hash(Reference("kv/a", "k", version=1, default="d"))
    others = [
        Reference("kv/b", "k", version=1, default="d"),
        Reference("kv/a", "l", version=1, default="d"),
        Reference("kv/a", "k", version=2, default="d"),
        Reference("kv/a", "k", version=1, default="e"),
        Reference("kv/a", "k", version=1, optional=True),
        Reference("kv/a", "k", version=1, default="d", filter_name="url"),
        "kv/a#k#1",
    ]
    assert reference not in others


@pytest.mark.parametrize(
    "path",
    [
        "kv",
        "",
        "/kv/db",
        "kv/db/",
        "kv//db",
        "//",
        "/",
        "kv/../sys/raw",
        "../kv/db",
        "kv/db/..",
        "kv/./db",
        "./kv/db",
        "kv/%2e%2e/sys",
        "kv/a%2fb",
        "kv/a%00b",
        "kv/%41",
        "kv/%25",
        "kv\\..\\sys",
        "kv/a\\b",
        "kv/a\x00b",
        "kv/a\nb",
        "kv/a\tb",
        "kv/a\x7fb",
        "kv/a\x85b",
        "kv/a\x9b31mb",
        "kv/a\u00a0b",
        "kv/a\u2028b",
        "kv/\u202edb",
        "kv/\u200bdb",
        "kv/\ufeffdb",
        "kv/\udcffdb",
        "k" * MAX_PATH_CHARS + "/a",
    ],
)
def test_a_path_that_could_name_two_things_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        check_path(path)
    with pytest.raises(ConfigError):
        Reference(path, "key")
    spelled = [] if "%" in path else [path]  # which is one spelling of another path
    for text in (*spelled, "".join(f"%{byte:02x}" for byte in path.encode(errors="surrogatepass")), spell_path(path)):
        with pytest.raises(ConfigError):
            parse_reference(f"bao:{text}#key")
        with pytest.raises(ConfigError):
            parse_path_reference(f"bao:{text}")


@pytest.mark.parametrize(
    "path",
    ["kv/a b", "kv/*", "kv/+{a}", "kv/[a]", "kv/'a'", 'kv/"a"', "kv/`id`", "kv/a|b", "kv/<a>", "kv/a^b"],
)
def test_a_path_with_a_character_that_means_something_elsewhere_is_referred_to_by_its_code_only(path: str) -> None:
    for parse in (parse_reference, parse_path_reference):
        with pytest.raises(ConfigError, match="percent-encoded") as caught:
            parse(f"bao:{path}" + ("#key" if parse is parse_reference else ""))
        assert "write %" in caught.value.hint
    assert parse_reference(f"bao:{spell_path(path)}#key") == Reference(path, "key")
    assert parse_path_reference(f"bao:{spell_path(path)}") == (path, False)


@given(PATHS)
def test_a_spelled_path_means_nothing_to_shells_globs_and_urls_and_is_read_back(path: str) -> None:
    spelled = spell_path(path)

    assert not set(spelled) & set(" ?#\\*{}[]\"'<>|^`")
    assert parse_path_reference(f"bao:{spelled}") == (path, False)


@pytest.mark.parametrize("text", ["kv/a%2fb", "kv%2Fa/b", "kv/%2f"])
def test_a_slash_is_not_encoded(text: str) -> None:
    with pytest.raises(ConfigError, match="slash"):
        parse_path_reference(f"bao:{text}")


@pytest.mark.parametrize("text", ["%", "%4", "%zz", "%+1", "a%", "% 1", "%ff", "%c3", "%ED%A0%80", "%\u0661\u0661"])
def test_a_percent_sign_that_stands_for_no_character_is_refused_with_what_to_write(text: str) -> None:
    for whole in (f"bao:kv/x{text}#key", f"bao:kv/x#k{text}"):
        with pytest.raises(ConfigError) as caught:
            parse_reference(whole)
        assert "%25" in caught.value.hint or "%20" in caught.value.hint


@pytest.mark.parametrize(
    "path",
    [
        "kv/...",
        "kv/.hidden",
        "kv/a..b",
        "kv/a.",
        "kv/\uff0e\uff0e/x",
        "kv/\u2024\u2024/x",
        "kv/\u0430",
        "kv/a\u2215b",
        "kv/" + "a" * (MAX_PATH_CHARS - 3),
    ],
    ids=["three dots", "hidden", "dots inside", "dot", "fullwidth", "leaders", "cyrillic", "division slash", "longest"],
)
def test_a_path_that_only_looks_odd_is_taken_as_it_is(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "key", ["", "a\nb", "a\x00", "a\x1b[1m", "a\x9b", "\udcff", "\u202ea", "k" * (MAX_KEY_CHARS + 1)]
)
def test_a_key_that_the_grammar_or_a_terminal_would_misread_is_refused(key: str) -> None:
    with pytest.raises(ConfigError):
        Reference("kv/db", key)
    with pytest.raises(ConfigError):
        parse_reference(f"bao:kv/db#{key}")


@pytest.mark.parametrize("key", ["a#b", "a?b", "why?", "a{b", "a}b", "{x}"])
def test_a_key_with_a_mark_of_the_grammar_is_referred_to_by_its_code_and_the_hint_says_so(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_reference(f"bao:kv/db#{key}")

    assert "%23" in caught.value.hint or "%3F" in caught.value.hint or "%7" in caught.value.hint
    assert parse_reference(f"bao:{Reference('kv/db', key)}") == Reference("kv/db", key)


@pytest.mark.parametrize(
    "version",
    ["", "0", "00", "-1", "+1", "1.0", "1e3", " 1", "1 ", "x", "\uff11", "²", "1#2", str(LAST_VERSION + 1), "9" * 5000],
)
def test_a_version_that_is_no_positive_number_is_refused(version: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_reference(f"bao:kv/db#key#{version}")

    assert len(caught.value.message) < 300


@pytest.mark.parametrize("version", [-1, LAST_VERSION + 1, 10**5000], ids=["negative", "one more", "huge"])
def test_a_version_out_of_range_is_refused_in_code_too(version: int) -> None:
    with pytest.raises(ConfigError):
        Reference("kv/db", "key", version=version)


@pytest.mark.parametrize(
    "text",
    ["bao:kv/db", "bao:", "bao:#key", "bao:kv/db#", "kv/db#key", "BAO:kv/db#key", " bao:kv/db#key", "ba:kv/db#k", ""],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_reference(text)


@pytest.mark.parametrize(
    "option", ["", "Optional", "optional=1", "optional&default=x", "default", "defualt=x", "?optional"]
)
def test_an_unknown_option_is_refused_and_the_known_ones_are_named(option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_reference(f"bao:kv/db#key?{option}")

    assert "?optional" in caught.value.hint
    assert "?default=" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        f"bao:kv?default={CANARY}",
        f"bao:kv/db?default={CANARY}",
        f"bao:kv//db#key?default={CANARY}",
        f"bao:kv/db#?default={CANARY}",
        f"bao:kv/db#key#x?default={CANARY}",
        f"bao:kv/db#key?defualt={CANARY}",
        f"bao:kv/db#key?default {CANARY}",
        f"bao:kv/db#key?default:{CANARY}",
        f"bao:kv/db#key?default=bao:{CANARY}",
        f"nope:kv/db#key?default={CANARY}",
    ],
)
def test_no_error_shows_a_default(text: str) -> None:
    for parse in (parse_reference, parse_path_reference):
        with pytest.raises(ConfigError) as caught:
            parse(text)

        assert CANARY not in caught.value.message + caught.value.hint


def test_neither_repr_nor_str_shows_a_default() -> None:
    reference = Reference("kv/db", "key", version=2, default=CANARY)

    assert str(reference) == "kv/db#key#2"
    assert CANARY not in repr(reference)
    assert "kv/db#key#2" in repr(reference)


@pytest.mark.parametrize("default", ["bao:kv/db#other", "vault:kv/db#other", "x${bao:kv/db#other}", "${vault:kv/db#o"])
def test_a_default_that_is_a_reference_is_refused_because_it_would_reach_the_application(default: str) -> None:
    with pytest.raises(ConfigError, match="default"):
        parse_reference(f"bao:kv/db#key?default={default}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("bao:kv/env", ("kv/env", False)), ("vault:kv/env", ("kv/env", False)), ("bao:kv/env?optional", ("kv/env", True))],
)
def test_a_whole_path_is_understood(text: str, expected: tuple[str, bool]) -> None:
    assert parse_path_reference(text) == expected


@pytest.mark.parametrize(
    "text", ["kv/env", "bao:kv/env#key", "bao:kv/env?default=x", "bao:kv/env?all", "bao:", "bao:kv"]
)
def test_a_whole_path_takes_neither_key_nor_default(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_path_reference(text)


@pytest.mark.parametrize("text", ["kv/env", '"bao:kv/env"', "secret:kv/env", "bao:", "bao:/kv/env", "bao:kv"])
def test_the_hint_for_a_wrong_whole_path_has_no_key(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_path_reference(text)
    assert "#" not in caught.value.hint


@pytest.mark.parametrize("name", ["A", "_", "a1", "_9", "HTTP_PROXY"])
def test_names_that_shells_can_read(name: str) -> None:
    assert is_env_name(name)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A.B", "A=B", "A ", " A", "A\n", "É", "A\u0661", "A\0"])
def test_names_that_shells_cannot_read(name: str) -> None:
    assert not is_env_name(name)

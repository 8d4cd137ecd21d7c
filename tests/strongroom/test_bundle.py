import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.launch.bundle import (
    MAX_FROM_PATHS,
    MAX_NAME_CHARS,
    MAX_PARTS,
    MAX_REFERENCES,
    BundleRequest,
    Entry,
    decode_request,
    encode_request,
)
from strongroom.launch.reference import FILTERS, Reference, is_env_name
from strongroom.launch.whole_path import CASES, MAX_PATTERNS, FromPath, parse_from_path, spell_pattern
from strongroom.launch.whole_path import NAMES as NAMES_RULES
from tests.strongroom.bundle_documents import REFERENCE, encoded, refusal

UTF8_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
PATHS = st.lists(st.from_regex(r"[a-z0-9é:@_-]{1,8}", fullmatch=True), min_size=2, max_size=4).map("/".join)
KEYS = st.from_regex(r"[A-Za-z0-9 ._-]{1,12}", fullmatch=True)
REFERENCES = st.one_of(
    st.builds(
        Reference,
        PATHS,
        KEYS,
        version=st.integers(0, 2**40),
        optional=st.booleans(),
        filter_name=st.sampled_from(["", *FILTERS]),
    ),
    st.builds(Reference, PATHS, KEYS, default=UTF8_TEXT.map(lambda text: "x" + text.replace("$", ""))),
)
PARTS = st.lists(UTF8_TEXT | REFERENCES, max_size=5).flatmap(
    lambda parts: REFERENCES.map(lambda reference: [*parts, reference])
)
FILES = st.sampled_from([{}, {"as_file": True}, {"as_file": True, "decode": True}])
ENTRIES = st.dictionaries(NAMES, st.tuples(PARTS, FILES), max_size=5).map(
    lambda d: [Entry(name, parts, **options) for name, (parts, options) in d.items()]
)
FROM_PATHS = st.lists(
    st.builds(
        FromPath,
        PATHS,
        optional=st.booleans(),
        names=st.sampled_from(NAMES_RULES),
        prefix=st.just("") | NAMES,
        case=st.sampled_from(CASES),
        include=st.lists(KEYS, max_size=3).map(tuple),
        exclude=st.lists(KEYS, max_size=3).map(tuple),
    ),
    max_size=4,
)


def content(request: BundleRequest) -> tuple[object, ...]:
    return (
        [(entry.name, entry.parts, entry.as_file, entry.decode) for entry in request.entries],
        [source.to_document() for source in request.from_paths],
        request.exclude,
    )


@given(entries=ENTRIES, from_paths=FROM_PATHS, exclude=st.frozensets(st.text()))
def test_what_is_written_is_read_back(
    entries: list[Entry], from_paths: list[FromPath], exclude: frozenset[str]
) -> None:
    request = BundleRequest(entries, from_paths, exclude if from_paths else frozenset())

    assert content(decode_request(encode_request(request))) == content(request)


@given(entries=ENTRIES, from_paths=FROM_PATHS, exclude=st.frozensets(st.text()))
def test_it_is_written_as_the_json_module_writes_it(
    entries: list[Entry], from_paths: list[FromPath], exclude: frozenset[str]
) -> None:
    body = encode_request(BundleRequest(entries, from_paths, exclude if from_paths else frozenset()))

    assert body == json.dumps(json.loads(body), separators=(",", ":")).encode()


@given(st.text())
def test_a_converted_key_is_a_variable_or_refused_and_a_legal_one_stays(key: str) -> None:
    converted = FromPath("kv/a", names="convert").variable_of(key)
    assert converted is not None
    assert is_env_name(converted) == bool(key)
    assert not is_env_name(key) or converted == key
    assert FromPath("kv/a", names="skip").variable_of(key) == (key if is_env_name(key) else None)
    assert FromPath("kv/a").variable_of(key) == key


@pytest.mark.parametrize(
    ("options", "key", "variable"),
    [
        ("prefix=DB_", "password", "DB_password"),
        ("prefix=DB_&case=upper", "password", "DB_PASSWORD"),
        ("prefix=DB_", "1st", "DB_1st"),
        ("prefix=DB_", "my-dash", "DB_my-dash"),
        ("prefix=DB_&names=skip", "my-dash", None),
        ("prefix=DB_&names=convert&case=upper", "my-dash", "DB_MY_DASH"),
        ("names=convert&case=upper", "1st", "_1ST"),
        ("case=upper", "straße", "STRAßE"),
        ("include=db-*", "db-x", "db-x"),
        ("include=db-*", "x-db-", None),
        ("include=a&include=b", "b", "b"),
        ("include=*&exclude=*secret*", "a/secret/b", None),
        ("exclude=a%26b%2C%25", "a&b,%", None),
        ("exclude=a", "ab", "ab"),
    ],
)
def test_options_of_a_whole_path_say_which_keys_and_how_they_are_called(
    options: str, key: str, variable: str | None
) -> None:
    assert parse_from_path(f"bao:kv/a?{options}").variable_of(key) == variable


@given(st.text(min_size=1, max_size=20).filter(lambda key: "*" not in key))
def test_a_key_can_be_left_out_by_itself_as_messages_spell_it(key: str) -> None:
    source = parse_from_path(f"bao:kv/a?exclude={spell_pattern(key)}")
    assert source.variable_of(key) is None
    assert source.variable_of(f"{key}x") == f"{key}x"


def test_patterns_have_a_number_because_each_is_held_against_each_key() -> None:
    FromPath("kv/a", include=("a",) * MAX_PATTERNS)
    with pytest.raises(ConfigError, match="9 times"):
        FromPath("kv/a", include=("a",) * MAX_PATTERNS, exclude=("b",))


def test_it_is_written_as_the_module_documents_it() -> None:
    request = BundleRequest(
        [Entry("DB_URL", ["postgres://app:", Reference("kv/shop/db", "password", version=3, default="x"), "@db"])],
        [FromPath("kv/shop/env"), FromPath("kv/more", optional=True)],
        frozenset({"PATH", "HOME"}),
    )

    assert json.loads(encode_request(request)) == {
        "entries": [
            {
                "name": "DB_URL",
                "parts": [
                    "postgres://app:",
                    {"path": "kv/shop/db", "key": "password", "version": 3, "default": "x"},
                    "@db",
                ],
            }
        ],
        "from_path": [{"path": "kv/shop/env"}, {"path": "kv/more", "optional": True}],
        "exclude": ["HOME", "PATH"],
    }


def test_exclude_is_sent_only_with_a_whole_path_because_only_that_brings_other_names() -> None:
    request = BundleRequest([Entry("A", [REFERENCE])], [], frozenset({"HOME"}))

    assert "exclude" not in json.loads(encode_request(request))


def test_a_variable_that_is_asked_for_twice_is_refused() -> None:
    entries = [{"name": "A", "parts": [{"path": "kv/db", "key": key}]} for key in ("x", "y")]

    with pytest.raises(ConfigError, match="A: asked for twice"):
        decode_request(encoded({"entries": entries}))


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A\n", "É", "\udcff", "x y" * 1000])
def test_a_name_that_is_no_variable_is_refused_in_a_short_line(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Entry(name, [REFERENCE])

    assert len(caught.value.message) < 500


@pytest.mark.parametrize("parts", [[], ["text"], [REFERENCE] * (MAX_PARTS + 1)], ids=["none", "no reference", "many"])
def test_an_entry_needs_a_reference_and_has_a_limit(parts: list[str | Reference]) -> None:
    with pytest.raises(ConfigError, match=f"1 to {MAX_PARTS} parts"):
        Entry("A", parts)


def test_an_entry_may_have_as_many_parts_as_the_limit_says() -> None:
    assert len(Entry("A", [REFERENCE] * MAX_PARTS).references) == MAX_PARTS


def test_a_text_without_a_utf8_form_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"A: .*UTF-8"):
        Entry("A", ["\udcff", REFERENCE])


def test_a_name_may_be_so_long_and_no_longer() -> None:
    assert Entry("A" * MAX_NAME_CHARS, [REFERENCE]).name
    with pytest.raises(
        ConfigError, match=f"has {MAX_NAME_CHARS + 1} characters; .* at most {MAX_NAME_CHARS}"
    ) as caught:
        Entry("A" * (MAX_NAME_CHARS + 1), [REFERENCE])
    assert "shorter name" in caught.value.hint
    assert "at most" in refusal(encoded({"entries": [{"name": "A" * 300, "parts": [{"path": "kv/db", "key": "k"}]}]}))


def test_a_launch_may_have_so_many_references_and_no_more() -> None:
    parts: list[str | Reference] = [REFERENCE] * 50
    entries = [Entry(f"A{number}", parts) for number in range(MAX_REFERENCES // 50)]
    assert BundleRequest(entries, [], frozenset()).entries == entries
    with pytest.raises(ConfigError, match=f"{MAX_REFERENCES + 1} references .* at most {MAX_REFERENCES}") as caught:
        BundleRequest([*entries, Entry("B", [REFERENCE])], [], frozenset())
    assert "STRONGROOM_FROM_PATH" in caught.value.hint


def test_too_many_whole_paths_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most"):
        BundleRequest([], [FromPath("kv/env")] * (MAX_FROM_PATHS + 1), frozenset())


def test_a_whole_path_is_checked_like_any_other() -> None:
    with pytest.raises(ConfigError):
        FromPath("kv/../sys")


@pytest.mark.parametrize(
    ("parts", "absent"),
    [
        ([Reference("kv/a", "k", optional=True)], True),
        ([Reference("kv/a", "k", default="")], False),
        ([Reference("kv/a", "k")], False),
        (["x", Reference("kv/a", "k", optional=True)], False),
        ([Reference("kv/a", "k", optional=True), Reference("kv/a", "l", optional=True)], False),
    ],
)
def test_a_variable_may_be_left_out_only_when_it_is_one_optional_reference(
    parts: list[str | Reference],
    absent: bool,  # noqa: FBT001 - a table of cases
) -> None:
    assert Entry("A", parts).may_be_absent is absent


def test_a_file_is_written_as_the_module_documents_it() -> None:
    entries = [Entry("A", [REFERENCE], as_file=True), Entry("B", [REFERENCE], as_file=True, decode=True)]
    request = BundleRequest([*entries, Entry("C", [REFERENCE])], [], frozenset())
    part = {"path": "kv/db", "key": "key"}

    assert json.loads(encode_request(request)) == {
        "entries": [
            {"name": "A", "parts": [part], "as": "file"},
            {"name": "B", "parts": [part], "as": "file", "decode": "base64"},
            {"name": "C", "parts": [part]},
        ]
    }
    assert request.has_files
    assert not BundleRequest([Entry("C", [REFERENCE])], [], frozenset()).has_files


@pytest.mark.parametrize(
    "members",
    [
        {"as": "variable"},
        {"as": None},
        {"as": True},
        {"as": "file", "decode": "hex"},
        {"decode": "base64"},
        {"path": "/x"},
    ],
)
def test_any_other_way_of_delivery_is_refused_not_ignored(members: dict[str, object]) -> None:
    entry = {"name": "A", "parts": [{"path": "kv/db", "key": "key"}]} | members

    assert refusal(encoded({"entries": [entry]}))

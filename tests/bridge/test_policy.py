"""The policy decides on canonical paths, by patterns whose meaning is compared with a naive reading of them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy import Policy, denials, make_grant
from strongroom.errors import ConfigError, DeniedError
from strongroom.glob import Glob
from strongroom.identity import parse_spiffe_id
from strongroom.launch.bundle import BundleRequest, Entry
from strongroom.launch.reference import Reference, check_path

API = parse_spiffe_id("spiffe://example.org/ns/shop/sa/api")
ALPHABET = "ab/"


def naive_match(pattern: str, text: str) -> bool:
    """The definition, without any cleverness."""
    if not pattern:
        return not text
    if pattern.startswith("**"):
        return any(naive_match(pattern[2:], text[cut:]) for cut in range(len(text) + 1))
    if pattern[0] == "*":
        cuts = range(len(text) + 1)
        return any("/" not in text[:cut] and naive_match(pattern[1:], text[cut:]) for cut in cuts)
    return text[:1] == pattern[0] and naive_match(pattern[1:], text[1:])


@given(
    pattern=st.lists(st.sampled_from([*ALPHABET, "*", "**"]), min_size=1, max_size=7)
    .map("".join)
    .filter(lambda pattern: "***" not in pattern),
    text=st.text(ALPHABET, max_size=9),
)
def test_globs_mean_what_the_naive_reading_says(pattern: str, text: str) -> None:
    assert Glob(pattern).matches(text) == naive_match(pattern, text)
    any_stars = pattern.replace("**", "*").replace("*", "**")
    assert Glob(pattern, separator="").matches(text) == naive_match(any_stars, text)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("kv/shop/*", "kv/shop/db", True),
        ("kv/shop/*", "kv/shop/a/b", False),
        ("kv/shop/*", "kv/shopping", False),
        ("kv/shop/*", "KV/shop/db", False),
        ("kv/shop/**", "kv/shop/a/b", True),
        ("kv/**/db", "kv/a/b/db", True),
        ("kv/**/db", "kv/db", False),
        ("kv/*-db", "kv/shop-db", True),
        ("kv/shop.db", "kv/shopxdb", False),
        ("kv/[ab]", "kv/a", False),
        ("kv/?", "kv/a", False),
        ("kv/s*", "kv/\u017f", False),
        ("kv/\u00e9", "kv/e\u0301", False),  # composed and decomposed are different names at OpenBao, too
    ],
)
def test_globs_by_example(pattern: str, text: str, *, matches: bool) -> None:
    assert Glob(pattern).matches(text) is matches


def test_a_star_in_keys_crosses_slashes() -> None:
    assert Glob("*", separator="").matches("a/b")
    assert Glob("a*b", separator="").matches("a/x/b")


def test_no_pattern_takes_long() -> None:
    begin = time.perf_counter()
    assert not Glob("*a" * 200 + "c").matches("a" * 1024)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("pattern", ["", "***", "a***b"])
def test_meaningless_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigError):
        Glob(pattern)


@pytest.mark.parametrize(
    ("identities", "paths", "keys"),
    [
        ([], ["kv/a"], ["*"]),
        (["spiffe://example.org/a"], [], ["*"]),
        (["spiffe://example.org/a"], ["kv/a"], []),
        (["spiffe://*/a"], ["kv/a"], ["*"]),
        (["spiffe://**"], ["kv/a"], ["*"]),
        (["spiffe://example.*/a"], ["kv/a"], ["*"]),
        (["example.org/a"], ["kv/a"], ["*"]),
        (["spiffe://example.org/a b"], ["kv/a"], ["*"]),
        (["spiffe://example.org/a"], ["/kv/a"], ["*"]),
        (["spiffe://example.org/a"], ["kv//a"], ["*"]),
        (["spiffe://example.org/a"], ["kv/../a"], ["*"]),
        (["spiffe://example.org/a"], ["kv/a/"], ["*"]),
        (["spiffe://example.org/a"], ["kv"], ["*"]),
        (["spiffe://example.org/a"], ["kv/a"], ["***"]),
    ],
)
def test_grants_that_can_never_match_are_refused(identities: list[str], paths: list[str], keys: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_grant(identities=identities, paths=paths, keys=keys)
    assert caught.value.hint


def policy(*paths: str, identity: str = "spiffe://example.org/ns/shop/sa/*", keys: tuple[str, ...] = ("*",)) -> Policy:
    return Policy((make_grant(identities=[identity], paths=paths, keys=keys),))


def test_an_empty_policy_denies() -> None:
    with pytest.raises(DeniedError, match=r"no grant names spiffe://example.org/ns/shop/sa/api"):
        Policy(()).require(API, "kv/a", "k")


@pytest.mark.parametrize(
    "identity",
    [
        "spiffe://example.org/ns/shop/sa/api/x",
        "spiffe://example.org/ns/other/sa/api",
        "spiffe://example.com/ns/shop/sa/api",
        "spiffe://example.org.evil/ns/shop/sa/api",
        "spiffe://example.org/ns/shop/sa",
        "spiffe://example.org/ns/Shop/sa/api",
    ],
)
def test_other_identities_are_denied(identity: str) -> None:
    with pytest.raises(DeniedError, match="no grant names"):
        policy("kv/**").require(parse_spiffe_id(identity), "kv/a", "k")


def test_the_reason_says_which_part_stands_in_the_way() -> None:
    rules = policy("kv/shop/*", keys=("public_*",))
    rules.require(API, "kv/shop/db", "public_url")
    with pytest.raises(DeniedError, match=r"gives .* the path kv/other"):
        rules.require(API, "kv/other", "public_url")
    with pytest.raises(DeniedError, match=r"gives .* the key 'password' of kv/shop/db"):
        rules.require(API, "kv/shop/db", "password")


GRANTED = st.tuples(
    st.lists(st.sampled_from(["kv/a", "kv/b", "kv/*", "kv/a/**"]), min_size=1, max_size=2),
    st.lists(st.sampled_from(["k", "l", "k*", "*"]), min_size=1, max_size=2),
)
ASKED = st.lists(
    st.tuples(st.sampled_from(["kv/a", "kv/b", "kv/c", "kv/a/b", "old/a"]), st.sampled_from(["k", "l", "kk"])),
    min_size=1,
    max_size=8,
)


@given(granted=st.lists(GRANTED, max_size=3), asked=ASKED)
def test_a_request_is_denied_what_each_of_its_references_would_be(
    granted: list[tuple[list[str], list[str]]], asked: list[tuple[str, str]]
) -> None:
    """However many of them are of one path."""
    whole = Policy(tuple(make_grant(identities=[str(API)], paths=paths, keys=keys) for paths, keys in granted))
    entries = [Entry(f"V{number}", [Reference(path, key)]) for number, (path, key) in enumerate(asked)]
    expected = []
    for number, (path, key) in enumerate(asked):
        try:
            Policy(whole.grants).require(API, path, key)
        except DeniedError as error:
            expected.append((f"V{number}", path, key, error.message))
    found = denials(whole, API, BundleRequest(entries, [], frozenset()))
    assert [(one.name, one.path, one.key, one.detail) for one in found] == expected


def test_keys_of_one_grant_do_not_go_with_paths_of_another() -> None:
    grants = [
        make_grant(identities=[str(API)], paths=["kv/a"], keys=["x"]),
        make_grant(identities=[str(API)], paths=["kv/b"], keys=["y"]),
    ]
    rules = Policy(tuple(grants))
    rules.require(API, "kv/a", "x")
    rules.require(API, "kv/b", "y")
    for path, key in (("kv/a", "y"), ("kv/b", "x")):
        with pytest.raises(DeniedError):
            rules.require(API, path, key)


@given(
    segments=st.lists(
        st.sampled_from(["shop", "..", ".", "", "%2e%2e", "other", "%2F", "shop\\", "*", "\uff41", "a b"]),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_a_path_that_could_be_read_in_two_ways_never_reaches_the_policy(segments: list[str]) -> None:
    path = "kv/" + "/".join(segments)
    try:
        canonical = check_path(path)
    except ConfigError:
        return
    assert canonical == path
    assert not {"", ".", ".."} & set(path.split("/"))
    assert not set(path) & set("%\\")

"""What a value may hold: references, texts, literals, values of other clients, and near misses."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.launch.reference import Reference
from strongroom.launch.value import parse_value
from tests.strongroom.references import DEFAULTS, SCHEMES, references, written

CANARY = "canary-Gh51xQ"


@given(scheme=SCHEMES, reference=references())
def test_a_value_that_begins_with_a_scheme_is_one_reference_whatever_follows(scheme: str, reference: Reference) -> None:
    assert parse_value(written(scheme, reference)) == [reference]


def test_an_unclosed_reference_does_not_swallow_the_next() -> None:
    with pytest.raises(ConfigError):
        parse_value("${bao:kv/a#x?default=1 ${bao:kv/b#y}")


@given(st.text().filter(lambda text: not text.startswith(("bao:", "vault:", "literal:")) and "{" not in text))
def test_a_value_without_references_comes_back_as_it_is(value: str) -> None:
    assert parse_value(value) == [value]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "${HOME}/x",
        "$(bao:x)",
        "x bao:kv/a#b",
        "see bao:kv/a#b for the password",
        "see (bao:kv/a#b), or 'bao:kv/a#b'",
        "https://wiki/bao:kv/a#b",
        "{bao:kv/a} #",
        "profile(bao:kv/a#b)",
        "ref+vault://kv/a#b",
        "@{HOME}#{x}",
        "${ bao:x}",
        "}${x",
        "vault:8200",
        "vault:1.13",
        "bao:latest",
        "Vault: see https://wiki/vault#start",
        "https://vault:8200/ui#/secrets",
        "key: #fff",
        "'${HOME}' #bao:",
    ],
)
def test_what_only_resembles_a_reference_is_plain_text(value: str) -> None:
    assert parse_value(value) == [value]


@pytest.mark.parametrize(
    "value",
    [
        "vault://secret/app",
        "vault://",
        "optional:vault://secret/app",
        "ref+vault://secret/app",
        "vault:/var/lib/vault",
        "vault:/vault/file:rw",
        "${vault:secret/data/kafka:password}",
        "user=${vault:secret/data/kafka:user} password=${vault:secret/data/kafka:password}",
    ],
)
def test_values_that_can_only_be_those_of_other_clients_go_on(value: str) -> None:
    assert parse_value(value) == [value]


@pytest.mark.parametrize(
    "value",
    [
        "vault://secret/app#password",
        "bao://kv/shop/db#password",
        "bao://kv/shop/db",
        "bao:/var/lib/bao",
        "${bao://kv/shop/db#password}",
        "vault:secret/app",
        "${vault:secret/app}",
        "${bao:secret/app:password}",
    ],
)
def test_values_that_might_be_those_of_other_clients_are_refused_with_the_way_out(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_value(value)

    assert "literal:" in caught.value.hint
    assert "bao:" in caught.value.hint
    assert parse_value(f"literal:{value}") == [value]


NEAR_MISSES = [
    '"bao:kv/shop/t#k"',
    "'bao:kv/shop/t#k'",
    "`bao:kv/shop/t#k`",
    " bao:kv/shop/t#k",
    "\tbao:kv/shop/t#k",
    "\ufeffbao:kv/shop/t#k",
    "\u00a0bao:kv/shop/t#k",
    "BAO:kv/shop/t#k",
    "Vault:kv/shop/t#k",
    "openbao:kv/shop/t#k",
    ">>vault:kv/shop/t#k",
    "$bao:kv/shop/t#k",
    "$(bao:kv/shop/t#k)",
    "{bao:kv/shop/t#k}",
    "{{bao:kv/shop/t#k}}",
    "${ bao:kv/shop/t#k}",
    "${BAO:kv/shop/t#k}",
    '${"bao:kv/shop/t#k"}',
    "${openbao:kv/shop/t#k}",
    "${>>vault:kv/shop/t#k}",
    "x${ bao:kv/shop/t#k}y",
    "x{{bao:kv/shop/t#k}}y",
    "x{{ bao:kv/shop/t#k }}y",
    "x{bao:kv/shop/t#k}y",
    "x%{bao:kv/shop/t#k}y",
    "x#{bao:kv/shop/t#k}y",
    "x@{ bao:kv/shop/t#k}y",
    "@{BAO:kv/shop/t#k}",
    "x$(bao:kv/shop/t#k)y",
    "x$bao:kv/shop/t#k",
    "x<bao:kv/shop/t#k>y",
    "${bao:kv/shop/t#k}{{bao:kv/shop/t#k}}",
    "${literal:x}{{bao:kv/shop/t#k}}",
    "=bao:kv/shop/t#k",
    ":bao:kv/shop/t#k",
    "- bao:kv/shop/t#k",
    "[bao:kv/shop/t#k]",
    "\\bao:kv/shop/t#k",
    "FILE:bao:kv/shop/t#k",
    "file::bao:kv/shop/t#k",
    "file bao:kv/shop/t#k",
    "file: bao:kv/shop/t#k",
    '"file:bao:kv/shop/t#k"',
    "file(mode=0400) bao:kv/shop/t#k",
    "file (mode=0400):bao:kv/shop/t#k",
    "File(mode=0400):bao:kv/shop/t#k",
    "file[mode=0400]:bao:kv/shop/t#k",
    "${bao:kv/shop/t#k}${Bao:kv/shop/t#k}",
    "${ bao:kv/shop/t#k",
]


@pytest.mark.parametrize("value", ["${vault:kv/x:{y}#k}", "a${vault:kv/x:{}#k}b", "${vault:kv/a:b}${vault:kv/x:{y}#k}"])
def test_a_brace_in_a_path_does_not_make_it_that_of_another_client(value: str) -> None:
    with pytest.raises(ConfigError, match="must be percent-encoded"):
        parse_value(value)


@pytest.mark.parametrize("value", ["vault:/etc/${bao:kv/x#k}", "vault:${bao:kv/x#k}/y", "bao:kv/${bao:kv/x#k}#k"])
def test_a_text_that_begins_with_a_scheme_and_holds_a_reference_is_refused_with_a_way_that_resolves_it(
    value: str,
) -> None:
    """Behind literal: it would be handed out as it stands."""
    with pytest.raises(ConfigError, match="cannot have another one in it") as caught:
        parse_value(value)

    scheme, _, rest = value.partition(":")
    spelled = f"${{literal:{scheme}:}}"
    assert spelled in caught.value.hint
    assert Reference("kv/x", "k") in parse_value(spelled + rest)


@pytest.mark.parametrize("default", ["literal:${bao:kv/x#k}", "literal:bao:kv/x#k", "${bao:kv/x#k}", "literal:text"])
def test_a_default_is_no_reference_and_has_nothing_to_escape(default: str) -> None:
    with pytest.raises(ConfigError, match="a default is a string as it is"):
        parse_value(f"bao:kv/db#k?default={default}")


@pytest.mark.parametrize("value", NEAR_MISSES)
def test_what_was_probably_meant_as_a_reference_is_refused_and_never_passed_on(value: str) -> None:
    with pytest.raises(ConfigError, match="looks like a reference") as caught:
        parse_value(value)

    assert "bao:PATH#KEY" in caught.value.hint
    assert "literal:" in caught.value.hint


@pytest.mark.parametrize("value", NEAR_MISSES)
def test_its_error_shows_no_default(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_value(value.replace("#k", f"#k?default={CANARY}"))

    assert CANARY not in caught.value.message + caught.value.hint


@given(st.text())
@example("bao:kv/a#b")
@example("literal:x")
@example("file:bao:kv/a#b")
@example("${bao:kv/a#b} ${")
def test_whatever_is_behind_literal_is_the_value(text: str) -> None:
    assert parse_value(f"literal:{text}") == [text]


@pytest.mark.parametrize(("before", "after"), [('"', '"'), ("(", ")"), (">>", ""), (" ", " "), ("{{", "}}"), ("$", "")])
def test_a_text_may_have_anything_around_its_references(before: str, after: str) -> None:
    expected = [before, Reference("kv/a", "b"), *([after] if after else [])]
    assert parse_value(f"{before}${{bao:kv/a#b}}{after}") == expected


def test_a_literal_may_stand_within_a_text() -> None:
    assert parse_value("${literal:file:}./dev.db?key=${bao:kv/a#b}") == ["file:./dev.db?key=", Reference("kv/a", "b")]
    assert parse_value("${literal:${vault:kv/a#b}}, ${bao:kv/a#b}") == ["${vault:kv/a#b}, ", Reference("kv/a", "b")]
    assert parse_value("a${literal:}b") == ["ab"]
    with pytest.raises(ConfigError, match="not closed"):
        parse_value("${literal:{}")


def test_the_form_that_no_shell_takes_for_its_own_means_the_same() -> None:
    assert parse_value("pg://shop:@{bao:kv/db#pw|url}@db?k=${bao:kv/db#k}") == [
        "pg://shop:",
        Reference("kv/db", "pw", filter_name="url"),
        "@db?k=",
        Reference("kv/db", "k"),
    ]
    assert parse_value("@{literal:@{bao:kv/a#b}}@") == ["@{bao:kv/a#b}@"]
    with pytest.raises(ConfigError, match=r"@\{bao:… is not closed"):
        parse_value("@{bao:kv/a#b")


def test_what_is_behind_a_near_miss_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_value(f"{CANARY}{{{{bao:kv/a#b}}}}{CANARY}")
    assert CANARY not in caught.value.message + caught.value.hint


def test_several_references_may_stand_in_one_value() -> None:
    assert parse_value("pg://${bao:kv/db#user}:${vault:kv/db#pw#2?default=?#x}@db/${bao:kv/db#name?optional}") == [
        "pg://",
        Reference("kv/db", "user"),
        ":",
        Reference("kv/db", "pw", version=2, default="?#x"),
        "@db/",
        Reference("kv/db", "name", optional=True),
    ]


def is_balanced(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    return not depth


INLINE = st.text(st.characters(exclude_characters="${}#"), min_size=1).filter(
    lambda text: not text.startswith(("bao:", "vault:", "literal:"))
)
INLINE_REFERENCES = references(DEFAULTS.filter(is_balanced) | st.sampled_from(["{}", '{"a":{}}', "", "}{"[::-1]]))


@given(parts=st.lists(st.tuples(INLINE, SCHEMES, INLINE_REFERENCES), min_size=1, max_size=5), tail=INLINE)
def test_texts_and_references_alternate_as_they_were_written(
    parts: list[tuple[str, str, Reference]], tail: str
) -> None:
    value = "".join(f"{text}${{{written(scheme, reference)}}}" for text, scheme, reference in parts) + tail

    assert parse_value(value) == [part for text, _, reference in parts for part in (text, reference)] + [tail]


@pytest.mark.parametrize(
    "value", ["${bao:kv/a#b", "x${bao:kv/a#b}${vault:kv/c#d", "${bao:kv/a#b} and ${bao:", "${bao:"]
)
def test_an_unclosed_reference_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="not closed"):
        parse_value(value)


def test_an_inline_reference_ends_at_the_brace_that_closes_it() -> None:
    assert parse_value("${bao:kv/a#b?default=x}y}") == [Reference("kv/a", "b", default="x"), "y}"]
    assert parse_value("${bao:kv/a#b?default={}}") == [Reference("kv/a", "b", default="{}")]
    assert parse_value('${bao:kv/a#b?default={"a":{}}}, ${HOME}') == [
        Reference("kv/a", "b", default='{"a":{}}'),
        ", ${HOME}",
    ]


def test_a_default_with_an_open_brace_is_refused_in_a_text_and_taken_alone() -> None:
    with pytest.raises(ConfigError, match="not closed") as caught:
        parse_value("${bao:kv/a#b?default={}")
    assert "in pairs" in caught.value.hint
    assert parse_value("bao:kv/a#b?default={") == [Reference("kv/a", "b", default="{")]


@pytest.mark.parametrize(
    "value",
    [
        "${" * 300_000,
        "#" + "${" * 300_000,
        "#" + "${ " * 200_000 + "}" * 200_000,
        "${vault:a:b}" * 60_000,
        "#" + "{" * 500_000,
        "${bao" * 200_000 + "#",
        "@{" * 300_000 + "#",
        "bao:" * 100_000,
        "x bao:" * 100_000 + "#",
    ],
    ids=["open", "with a number sign", "nested", "of another client", "braces", "almost", "at", "schemes", "mentions"],
)
def test_a_long_text_with_many_braces_is_parsed_at_once(value: str) -> None:
    """In time that grows with its square each would take minutes, and the limit on the time of a test would end it."""
    assert parse_value(value) == [value]


def test_a_long_text_that_is_refused_does_not_fill_the_log() -> None:
    for value in ("${vault:a:b" * 90_000 + "}" * 90_000, "bao:a/" + "x" * 100_000, "bao:a/" + "x" * 100_000 + "#k"):
        with pytest.raises(ConfigError) as caught:
            parse_value(value)
        assert len(caught.value.message) < 2500


@given(st.text())
def test_any_value_is_parsed_or_refused_with_our_own_error(value: str) -> None:
    for text in (value, f"bao:{value}", f"${{bao:{value}}}", f"bao:kv/a#{value}", f"bao:kv/a#b#{value}"):
        try:
            parts = parse_value(text)
        except ConfigError:
            continue
        assert parts

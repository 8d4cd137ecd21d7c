"""The policy file: what it may hold, and that a broken edit keeps the policy in force."""

import os
from pathlib import Path

import pytest

from bridge.policy.file import follow_policy, parse_policy
from strongroom.errors import ConfigError, DeniedError
from strongroom.identity import parse_spiffe_id
from tests.support.looking import look_twice

API = parse_spiffe_id("spiffe://example.org/ns/shop/sa/api")
GOOD = '[[grant]]\nidentity = "spiffe://example.org/ns/shop/sa/*"\npaths = ["kv/shop/*"]\n'
OTHER = GOOD.replace("kv/shop/*", "kv/other/*")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[grant", "is not TOML"),
        ("grants = []", "grants: unknown"),
        ("[grant]\nidentity='spiffe://a/b'\npaths=['kv/a']", "must be a list of tables"),
        ("[[grant]]\npaths=['kv/a']", "grant 1: identity: is missing"),
        (GOOD + "[[grant]]\nidentity='spiffe://a/b'\npaths=['kv/a']\npath='x'", "grant 2: path: unknown"),
        ("[[grant]]\nidentity=1\npaths=['kv/a']", "grant 1: identity: must be a string or a list"),
        ("[[grant]]\nidentity='spiffe://a/b'\npaths=['kv/../a']", "grant 1: path 'kv/../a'"),
        ("[[grant]]\nidentity='spiffe://a/b'\npaths=[1]", "grant 1: paths: must be a string or a list"),
    ],
)
def test_a_broken_policy_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=r"policy.toml: ") as caught:
        parse_policy(text, origin="policy.toml")
    assert complaint in caught.value.message
    assert caught.value.hint


def test_identities_may_be_a_list() -> None:
    text = "[[grant]]\nidentity=['spiffe://a/b', 'spiffe://a/c']\npaths='kv/a'\nkeys='k'"
    parse_policy(text, origin="").require(parse_spiffe_id("spiffe://a/c"), "kv/a", "k")


@pytest.mark.parametrize("content", [None, "[[grant", b"\xff"])
def test_a_missing_or_broken_policy_stops_the_start(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "policy.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=r"policy.toml"):
        follow_policy(path)


def test_edits_are_followed_and_broken_ones_keep_the_old_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(GOOD)
    outcomes: list[bool] = []
    file = follow_policy(path, observe=outcomes.append)

    path.write_text(OTHER)
    look_twice(file.poll)
    file.value.require(API, "kv/other/x", "k")
    with pytest.raises(DeniedError):
        file.value.require(API, "kv/shop/x", "k")

    path.write_text("[[grant")
    look_twice(file.poll)
    file.value.require(API, "kv/other/x", "k")
    assert "is not TOML" in file.error

    path.unlink()
    look_twice(file.poll)
    file.value.require(API, "kv/other/x", "k")
    assert "does not exist" in file.error

    path.write_text(GOOD)
    look_twice(file.poll)
    file.value.require(API, "kv/shop/x", "k")
    assert file.error == ""
    look_twice(file.poll)
    assert outcomes == [True, False, False, True]


def test_the_data_of_the_api_in_a_path_is_pointed_out_and_taken_as_it_stands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder may be called data, so it is a hint and no more."""
    file = tmp_path / "policy.toml"
    paths = '["kv/data/shop/*", "kv/shop/data/*", "kv/database/*"]'
    file.write_text(f'[[grant]]\nidentity = "spiffe://example.org/a"\npaths = {paths}\n')
    policy = follow_policy(file).value
    policy.require(parse_spiffe_id("spiffe://example.org/a"), "kv/data/shop/db", "k")
    (record,) = [record for record in caplog.records if "policy_path_doubtful" in record.getMessage()]
    assert "kv/data/shop/*" in str(vars(record))
    assert "write kv/shop/*" in str(vars(record))


def test_a_swapped_link_is_a_change(tmp_path: Path) -> None:
    """Kubernetes updates a mounted volume so: ..data is a link to the directory of all files."""
    for name, text in (("one", GOOD), ("two", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.toml").write_text(text)
    os.utime(tmp_path / "two" / "policy.toml", ns=(0, 0))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "policy.toml").symlink_to("..data/policy.toml")
    file = follow_policy(tmp_path / "policy.toml")
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    look_twice(file.poll)
    file.value.require(API, "kv/other/x", "k")

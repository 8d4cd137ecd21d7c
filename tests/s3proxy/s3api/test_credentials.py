"""Client credentials: what the file may hold, and that a broken edit keeps the old ones."""

from pathlib import Path

import pytest

from s3proxy.s3api.credentials import Credentials, Right
from s3proxy.s3api.credentials_table import parse_credentials
from s3proxy.s3api.errors import S3Error
from s3proxy.serving.client_credentials import follow_credentials_file
from strongroom.errors import ConfigError
from strongroom.service.following import KeptFiles
from tests.support.looking import look_twice

SECRET = "c2VjcmV0LW9mLXRoZS1zaG9w"
GOOD = f"""
[[credential]]
access_key_id = "SHOP"
secret_key = "{SECRET}"
[[credential.grant]]
buckets = ["shop", "shop-*"]
prefixes = ["in/"]
rights = ["read", "list"]
[[credential.grant]]
buckets = "drop"
rights = "write"
"""
ANONYMOUS = '[[anonymous]]\nbuckets = ["public"]\nrights = ["read"]\n'


def parse(text: str) -> Credentials:
    return parse_credentials(text, origin="c.toml", read_secret=lambda name: f" {name}-of-a-file\n".encode())


def test_grants_and_secrets_are_read() -> None:
    table = parse(GOOD + ANONYMOUS)
    shop = table.require("SHOP")
    assert shop.secret_key.reveal() == SECRET.encode()
    shop.principal.require(Right.READ, "shop-1", "in/a")
    shop.principal.require(Right.WRITE, "drop", "any")
    table.anonymous.require(Right.READ, "public", "any")
    for right, bucket, key in ((Right.WRITE, "shop", "in/a"), (Right.READ, "drop", "a"), (Right.READ, "shop", "a")):
        with pytest.raises(S3Error, match="Access Denied"):
            shop.principal.require(right, bucket, key)
    with pytest.raises(S3Error, match="does not exist"):
        table.require("OTHER")


def test_without_grants_nothing_is_allowed() -> None:
    table = parse(GOOD[: GOOD.index("[[credential.grant]]")])
    with pytest.raises(S3Error):
        table.require("SHOP").principal.require(Right.READ, "shop", "in/a")
    with pytest.raises(S3Error):
        table.anonymous.require(Right.READ, "shop", "in/a")


def test_a_secret_of_a_file_is_trimmed() -> None:
    table = parse('[[credential]]\naccess_key_id = "SHOP"\nsecret_key_file = "shop-key"\n')
    assert table.require("SHOP").secret_key.reveal() == b"shop-key-of-a-file"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[credential", "is not TOML"),
        (f'secret_key = "{SECRET}" x', "is not TOML"),
        ("credentials = []", "credentials: unknown"),
        ("[credential]\na = 1", "credential: must be a list of tables"),
        ("[[credential]]\nname = 'x'", "credential 1: name: unknown"),
        (GOOD.replace('"SHOP"', '"a b"'), "credential 1: access_key_id"),
        (GOOD.replace('"SHOP"', '"anonymous"'), "credential 1: access_key_id"),
        (GOOD.replace("access_key_id", "#"), "credential 1: access_key_id"),
        (GOOD.replace(SECRET, "short"), "secret key must have 16"),
        (GOOD.replace("secret_key", "#"), "either secret_key or secret_key_file"),
        (GOOD.replace("secret_key", "secret_key_file = 'x'\nsecret_key"), "either secret_key or secret_key_file"),
        (GOOD + GOOD, "credential 2: SHOP stands twice"),
        (GOOD.replace('"read"', '"raed"'), "grant 1: rights: raed: unknown"),
        (GOOD.replace("rights =", "right ="), "grant 1: right: unknown"),
        (GOOD.replace('buckets = ["shop", "shop-*"]', "buckets = []"), "grant 1: buckets: must be"),
        (GOOD.replace('"shop",', '"",'), "grant 1: buckets: holds an empty text"),
        (GOOD.replace('"in/"', '"in/*"'), "grant 1: prefixes: must hold no star"),
        (GOOD.replace('"in/"', "1"), "grant 1: prefixes: must be"),
        (GOOD.replace('prefixes = ["in/"]', "prefixes = []"), "grant 1: prefixes: must be"),
        (ANONYMOUS.replace('"read"', '"write"'), "anonymous: can be given read and list only"),
        ("[anonymous]\nbuckets = ['a']", "anonymous: must be a list"),
        ("", "holds no [[credential]]"),
        ("# half written\n", "holds no [[credential]]"),
    ],
)
def test_a_broken_file_is_refused_with_its_place_and_without_its_secrets(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=r"c\.toml: ") as caught:
        parse(text)
    assert complaint in caught.value.message
    assert caught.value.hint
    assert SECRET not in caught.value.message + caught.value.hint


def test_nothing_prints_a_secret() -> None:
    assert SECRET not in repr(parse(GOOD))


@pytest.mark.parametrize("content", [None, b"", b"[[credential", b"\xff"])
def test_a_missing_or_broken_file_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.toml"):
        follow_credentials_file(path)


def test_edits_are_followed_and_broken_ones_keep_the_old_credentials(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(GOOD)
    outcomes: list[bool] = []
    file = follow_credentials_file(path, observe=outcomes.append)
    look_twice(file.poll)
    assert outcomes == []

    path.write_text(GOOD.replace("SHOP", "BUREAU"))
    look_twice(file.poll)
    file.value.require("BUREAU")
    with pytest.raises(S3Error):
        file.value.require("SHOP")

    path.write_text("[[credential")
    look_twice(file.poll)
    file.value.require("BUREAU")
    assert "is not TOML" in file.error

    path.write_text("")
    look_twice(file.poll)
    file.value.require("BUREAU")
    assert "holds no [[credential]]" in file.error

    path.unlink()
    look_twice(file.poll)
    file.value.require("BUREAU")
    assert "does not exist" in file.error

    path.write_text(GOOD)
    look_twice(file.poll)
    file.value.require("SHOP")
    assert (file.error, outcomes) == ("", [True, False, False, False, True])


def test_an_edit_that_ends_while_a_successor_starts_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.toml"
    path.write_text("")  # anyone who revokes SHOP has only emptied it yet
    read_bytes = Path.read_bytes

    def and_the_edit_ends(self: Path) -> bytes:
        content = read_bytes(self)
        path.write_text(GOOD.replace("SHOP", "BUREAU"))
        return content

    with monkeypatch.context() as edited:
        edited.setattr(Path, "read_bytes", and_the_edit_ends)
        file = follow_credentials_file(path, kept=KeptFiles({str(path): GOOD.encode()}))
    file.value.require("SHOP")
    look_twice(file.poll)
    file.value.require("BUREAU")
    with pytest.raises(S3Error):
        file.value.require("SHOP")


def test_a_changed_secret_file_is_followed(tmp_path: Path) -> None:
    path, secret = tmp_path / "c.toml", tmp_path / "shop.key"
    path.write_text(GOOD.replace(f'secret_key = "{SECRET}"', 'secret_key_file = "shop.key"'))
    secret.write_text("the first secret key\n")
    file = follow_credentials_file(path)
    secret.write_text("the second secret key\n")
    look_twice(file.poll)
    assert file.value.require("SHOP").secret_key.reveal() == b"the second secret key"

    secret.unlink()
    look_twice(file.poll)
    assert file.value.require("SHOP").secret_key.reveal() == b"the second secret key"
    assert "shop.key" in file.error

    secret.write_text("the third secret key\n")
    look_twice(file.poll)
    assert file.value.require("SHOP").secret_key.reveal() == b"the third secret key"

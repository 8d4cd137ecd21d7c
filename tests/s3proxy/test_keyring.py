"""A KEK is rotated, its records are rewrapped, its old versions retired: no object is touched, every object is read."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.transit import offer_transit, retire_versions, rotate_key
from tests.s3proxy.conftest import client_of

POLICY = '[[policy]]\nname = "{name}"\nkek = "{kek}"\nbuckets = ["*"]\n'


class World(NamedTuple):
    """What the tests share."""

    openbao: OpenBaoServer
    store: SeaweedServer
    bare: Any
    login: dict[str, object]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("keyring")
    with OpenBaoServer(directory / "openbao", Authority(directory / "tls")) as openbao:
        openbao.admin.enable_approle()
        login = offer_transit(openbao, directory / "login", keys=("rotated", "planted", "later"))
        bare.create_bucket(Bucket="keyring-test")
        yield World(openbao, store, bare, login)


@contextlib.contextmanager
def proxy_of(world: World, directory: Path, *, name: str, kek: str) -> Iterator[tuple[ProxyProcess, Any]]:
    system = {"system_bucket": f"system-{name}"}
    policy = POLICY.format(name=name, kek=kek)
    with (
        ProxyProcess(directory, world.store, policy=policy, settings=world.login | system) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        yield proxy, s3


def rewrap(proxy: ProxyProcess, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "s3", "rewrap", "--config", str(proxy.config_file), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def records_of(world: World, name: str) -> dict[str, bytes]:
    listed = world.bare.list_objects_v2(Bucket=f"system-{name}", Prefix=f"keyring/{name}/").get("Contents", [])
    return {
        item["Key"]: world.bare.get_object(Bucket=f"system-{name}", Key=item["Key"])["Body"].read() for item in listed
    }


def bucket_keys_of(world: World, name: str) -> list[bytes]:
    """Return the records of a policy without its witness, which is the key of no object."""
    return [record for key, record in records_of(world, name).items() if f"{0:032x}" not in key]


def test_rotation_rewraps_records_and_touches_no_object(world: World, tmp_path: Path) -> None:
    with proxy_of(world, tmp_path, name="rotated", kek="transit:rotated") as (proxy, s3):
        s3.put_object(Bucket="keyring-test", Key="old", Body=b"written before")
    before = world.bare.get_object(Bucket="keyring-test", Key="old")
    (record,) = bucket_keys_of(world, "rotated")
    assert json.loads(record)["format"] == "seg1-key"
    version = rotate_key(world.openbao, "rotated")

    dry = rewrap(proxy, "--dry-run")
    assert dry.stdout == f"rotated: 1 would be rewrapped, 0 already under transit version {version}\n"
    assert bucket_keys_of(world, "rotated") == [record]
    wet = rewrap(proxy)
    assert (wet.returncode, wet.stdout) == (0, f"rotated: 1 rewrapped, 0 already under transit version {version}\n")
    assert rewrap(proxy).stdout == f"rotated: 0 rewrapped, 1 already under transit version {version}\n"
    (after,) = bucket_keys_of(world, "rotated")
    assert {**json.loads(after), "wrapped": ""} == {**json.loads(record), "wrapped": ""}
    assert json.loads(after)["wrapped"] != json.loads(record)["wrapped"]

    retire_versions(world.openbao, "rotated", below=version)
    with proxy_of(world, tmp_path, name="rotated", kek="transit:rotated") as (_, s3):
        assert s3.get_object(Bucket="keyring-test", Key="old")["Body"].read() == b"written before"
    now = world.bare.get_object(Bucket="keyring-test", Key="old")
    assert (now["ETag"], now["LastModified"]) == (before["ETag"], before["LastModified"])
    assert now["Body"].read() == before["Body"].read()


def test_a_record_that_was_not_rewrapped_is_reported_and_its_objects_refused(world: World, tmp_path: Path) -> None:
    with proxy_of(world, tmp_path, name="planted", kek="transit:planted") as (proxy, s3):
        s3.put_object(Bucket="keyring-test", Key="planted", Body=b"x")
    retire_versions(world.openbao, "planted", below=rotate_key(world.openbao, "planted"))
    world.bare.put_object(Bucket="system-planted", Key="keyring/planted/no-record.json", Body=b"{}")
    late = rewrap(proxy)
    assert late.returncode == 1
    assert "3 records failed" in late.stdout  # the bucket key's, the witness, and what is not a record
    assert "version 1 of the transit key planted is retired" in late.stderr
    assert "min_decryption_version=1" in late.stderr
    assert "keyring: planted/no-record.json: not a record of a bucket key" in late.stderr
    with proxy_of(world, tmp_path, name="planted", kek="transit:planted") as (_, s3):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket="keyring-test", Key="planted")
        # Not damage, and no reason to try again: the version can be brought back.
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert caught.value.response["Error"]["Code"] == "KMS.DisabledException"
        s3.put_object(Bucket="keyring-test", Key="planted", Body=b"new objects are sealed under the new version")
        assert s3.get_object(Bucket="keyring-test", Key="planted")["Body"].read().startswith(b"new")


def test_a_policy_moves_from_a_key_file_to_transit(world: World, tmp_path: Path) -> None:
    with proxy_of(world, tmp_path, name="later", kek="file") as (proxy, s3):
        s3.put_object(Bucket="keyring-test", Key="moved", Body=b"by file")
    (tmp_path / "policy.toml").write_text(POLICY.format(name="later", kek="transit:later"))
    with proxy_of(world, tmp_path, name="later", kek="transit:later") as (proxy, s3):
        assert s3.get_object(Bucket="keyring-test", Key="moved")["Body"].read() == b"by file"
    assert rewrap(proxy).stdout == "later: 1 rewrapped, 0 already under transit version 1\n"
    lines = [line for line in proxy.config_file.read_text().splitlines() if not line.startswith("kek_file")]
    proxy.config_file.write_text("\n".join(lines))
    assert rewrap(proxy).stdout == "later: 0 rewrapped, 1 already under transit version 1\n"


def test_rewrap_knows_what_stands_under_a_key_that_ends_in_a_slash(world: World, tmp_path: Path) -> None:
    with proxy_of(world, tmp_path, name="folders", kek="file") as (proxy, s3):
        s3.put_object(Bucket="keyring-test", Key="!/", Body=b"content under a key that ends in a slash")
    names = sorted(records_of(world, "folders"))
    world.bare.delete_object(Bucket="system-folders", Key=names[0])
    for words, done in ((("--dry-run",), "would be rewrapped"), ((), "rewrapped")):
        result = rewrap(proxy, *words)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"folders: 0 {done}, 1 already under key file version 1\n"
        assert sorted(records_of(world, "folders")) == names[1:]  # it makes none


def test_rewrap_passes_over_a_name_that_the_store_is_said_to_change(world: World, tmp_path: Path) -> None:
    with proxy_of(world, tmp_path, name="changed", kek="file") as (proxy, s3):
        s3.put_object(Bucket="keyring-test", Key="!+", Body=b"x")
    result = rewrap(proxy, "--store-keeps-names", "no")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "s3proxy.toml").write_text("")
    command = [sys.executable, "-m", "cli", "s3", "rewrap", "--config", str(tmp_path / "s3proxy.toml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "strongroom: error: policy_file: must be set" in result.stderr

"""Drills with a real OpenBao and store: a key is lost, a wrong one is made, the right one restored; no object is lost.

Each way of losing a key is told apart from damage, by S3 code, exit status, log and /readyz, with the way back.
"""

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
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
from tests.support.process.waiting import wait_for

POLICY = '[[policy]]\nname = "{name}"\nkek = "transit:photos"\nbuckets = ["photos"]\n{more}'
SYSTEM = "system-photos"
NO_CACHE = {"bucket_key_ttl_s": 0, "unwrap_cache_s": 0, "reload_interval_s": 0.05, "system_bucket": SYSTEM}


class World(NamedTuple):
    """What the tests share; each leaves it as it was."""

    openbao: OpenBaoServer
    proxy: ProxyProcess
    s3: Any
    bare: Any
    directory: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("lost")
    with OpenBaoServer(directory / "openbao", Authority(directory / "tls")) as openbao:
        openbao.admin.enable_approle()
        login = offer_transit(openbao, directory / "login", keys=("photos",))
        may_be_lost = {"deletion_allowed": True, "exportable": True, "allow_plaintext_backup": True}
        openbao.admin.call("POST", "transit/keys/photos/config", may_be_lost)
        bare.create_bucket(Bucket="photos")
        policy = POLICY.format(name="photos", more="")
        with (
            ProxyProcess(directory / "proxy", store, policy=policy, settings=login | NO_CACHE) as proxy,
            contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
        ):
            s3.put_object(Bucket="photos", Key="old", Body=b"old")
            yield World(openbao, proxy, s3, bare, directory)


def ready(world: World) -> tuple[int, dict[str, Any]]:
    with contextlib.closing(http.client.HTTPConnection(world.proxy.health_address, timeout=30)) as connection:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def refused(request: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        request()
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def put(world: World, key: str) -> Callable[[], object]:
    return lambda: world.s3.put_object(Bucket="photos", Key=key, Body=b"new")


def get(world: World, key: str = "old") -> Callable[[], object]:
    return lambda: world.s3.get_object(Bucket="photos", Key=key)


def serves(world: World) -> bool:
    try:
        put(world, "healed")()
        return bool(world.s3.get_object(Bucket="photos", Key="old")["Body"].read() == b"old")
    except ClientError:
        return False


def verb(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "s3", *words, "--config", str(world.proxy.config_file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def events(world: World, event: str) -> list[dict[str, Any]]:
    lines = (world.directory / "proxy" / "s3proxy.log").read_text().splitlines()
    return [found for found in map(json.loads, lines) if found["event"] == event]


def test_a_lost_transit_key_is_restored_and_not_made_anew(world: World) -> None:
    admin = world.openbao.admin
    backup = admin.call("GET", "transit/backup/photos")["data"]
    admin.call("DELETE", "transit/keys/photos")
    try:
        assert refused(get(world)) == (400, "KMS.NotFoundException")
        wait_for(lambda: refused(put(world, "lost"))[0] == 400, "writes to be refused")
        told = events(world, "key_not_available")[-1]
        assert "do not make a new one" in told["hint"]
        assert "bao write" not in told["hint"]
        wait_for(lambda: ready(world)[0] == 503, "the proxy to be unready")
        assert "transit/decrypt/photos" in ready(world)[1]["policy photos"]["detail"]

        admin.call("POST", "transit/keys/photos", {"type": "aes256-gcm96"})  # what must not be done
        wait_for(
            lambda: refused(put(world, "wrong"))[1] == "KMS.KMSInvalidStateException", "the other key to be noticed"
        )
        assert refused(get(world)) == (400, "KMS.KMSInvalidStateException")
        assert "is not the one that its keyring was wrapped under" in ready(world)[1]["policy photos"]["detail"]
        found = verb(world, "verify", "photos")
        assert found.returncode == 3, found.stderr
        assert "damaged" not in found.stdout.replace("damaged or foreign", "")
    finally:
        admin.call("POST", "transit/keys/photos", {"type": "aes256-gcm96"})
        admin.call("POST", "transit/keys/photos/config", {"deletion_allowed": True})
        admin.call("DELETE", "transit/keys/photos")
        admin.call("POST", "transit/restore/photos", {"backup": backup["backup"] if isinstance(backup, dict) else ""})
    wait_for(lambda: serves(world), "the restored key to serve")
    wait_for(lambda: ready(world)[0] == 200, "the proxy to be ready again")
    assert refused(get(world, "wrong")) == (404, "NoSuchKey")


def test_a_right_that_is_missing_is_neither_load_nor_ready(world: World) -> None:
    rules = 'path "transit/{verb}/photos" {{ capabilities = ["{right}"] }}\n'
    allowed, denied = (
        "".join(rules.format(verb=v, right=r) for v in ("encrypt", "decrypt")) for r in ("update", "deny")
    )
    world.openbao.admin.write_policy("strongroom-s3proxy", denied)
    try:
        assert refused(get(world)) == (400, "KMS.DisabledException")
        assert "does not let the proxy use transit/decrypt/photos" in events(world, "key_not_available")[-1]["reason"]
        assert refused(put(world, "denied"))[0] == 400
        wait_for(lambda: ready(world)[0] == 503, "the proxy to be unready")
        assert not ready(world)[1]["policy photos"]["ok"]
        assert ready(world)[1]["kms"]["ok"]
    finally:
        world.openbao.admin.write_policy("strongroom-s3proxy", allowed)
    wait_for(lambda: serves(world), "the right to be back")


def test_a_version_that_was_retired_too_early_is_brought_back(world: World) -> None:
    put(world, "before")()
    version = rotate_key(world.openbao, "photos")
    retire_versions(world.openbao, "photos", below=version)
    try:
        assert refused(get(world, "before")) == (400, "KMS.DisabledException")
        assert f"min_decryption_version={version - 1}" in events(world, "key_not_available")[-1]["hint"]
        found = verb(world, "verify", "photos")
        assert found.returncode == 3
        assert "key is not available" in found.stdout
        assert f"min_decryption_version={version - 1}" in found.stderr
        put(world, "after")()  # the key is the right one
    finally:
        retire_versions(world.openbao, "photos", below=1)
    assert verb(world, "rewrap").returncode == 0
    retire_versions(world.openbao, "photos", below=version)
    try:
        get(world, "before")()
        assert verb(world, "verify", "photos").returncode == 0
    finally:
        retire_versions(world.openbao, "photos", below=1)


def test_a_record_that_is_missing_is_named(world: World) -> None:
    put(world, "recorded")()
    keyring = {
        item["Key"]: world.bare.get_object(Bucket=SYSTEM, Key=item["Key"])["Body"].read()
        for item in world.bare.list_objects_v2(Bucket=SYSTEM, Prefix="keyring/photos/")["Contents"]
    }
    for name in keyring:
        world.bare.delete_object(Bucket=SYSTEM, Key=name)
    try:
        emptied = verb(world, "rewrap")
        assert emptied.returncode == 3
        assert "the keyring has no record of photos, under which photos/" in emptied.stderr
        assert "restore keyring/photos/" in emptied.stderr
        version = rotate_key(world.openbao, "photos")
        retire_versions(world.openbao, "photos", below=version)
        assert refused(get(world, "recorded")) == (400, "KMS.NotFoundException")
        told = events(world, "key_not_available")[-1]
        assert f"in {SYSTEM} is missing" in told["reason"]
        assert "restore keyring/photos/" in told["hint"]
    finally:
        retire_versions(world.openbao, "photos", below=1)
        for name, record in keyring.items():
            world.bare.put_object(Bucket=SYSTEM, Key=name, Body=record)
    get(world, "recorded")()


def test_a_policy_that_was_renamed_reads_by_its_former_name(world: World) -> None:
    path = world.directory / "proxy" / "policy.toml"
    before = path.read_text()
    path.write_text(POLICY.format(name="pictures", more=""))
    try:
        wait_for(lambda: events(world, "policy_reloaded"), "the edit")
        wait_for(lambda: refused(get(world)) == (400, "KMS.NotFoundException"), "the new name")
        told = events(world, "key_not_available")[-1]
        assert "sealed under policy photos, which the policy file does not have" in told["reason"]
        assert 'formerly = ["photos"]' in told["hint"]
        wait_for(lambda: events(world, "policy_missing"), "the warning")
        warned = events(world, "policy_missing")[-1]
        assert warned["policy"] == "photos"
        assert 'formerly = ["photos"]' in warned["hint"]
        assert "photos" in ready(world)[1]["keyring"]["detail"]
        assert verb(world, "verify", "photos").returncode == 3

        path.write_text(POLICY.format(name="pictures", more='formerly = ["photos"]\n'))
        wait_for(lambda: serves(world), "the former name to be read")
        assert verb(world, "verify", "photos").returncode == 0
        wait_for(lambda: "keyring" not in ready(world)[1], "the warning to end")
    finally:
        path.write_text(before + '\n[[policy]]\nname = "pictures"\nkek = "transit:photos"\nbuckets = ["photos"]\n')
    wait_for(lambda: serves(world), "the old policy")


def test_a_keyring_that_was_begun_anew_is_told_lost_until_it_is_restored(world: World) -> None:
    path = world.directory / "proxy" / "policy.toml"
    before = path.read_text()
    keyring = {
        item["Key"]: world.bare.get_object(Bucket=SYSTEM, Key=item["Key"])["Body"].read()
        for item in world.bare.list_objects_v2(Bucket=SYSTEM, Prefix="keyring/photos/")["Contents"]
    }

    def detail() -> str:
        return str(ready(world)[1].get("policy photos", {"detail": ""})["detail"])

    wait_for(lambda: detail() == "opens and seals", "the policy to be in force")
    for name in keyring:
        world.bare.delete_object(Bucket=SYSTEM, Key=name)
    try:
        put(world, "sealed-since")()
        seen = len(events(world, "keyring_lost"))
        path.write_text(before + "# looked at anew\n")
        wait_for(lambda: len(events(world, "keyring_lost")) > seen, "the loss to be told")
        assert "restore keyring/photos/" in events(world, "keyring_lost")[-1]["hint"]
        wait_for(lambda: "the keyring has no record of photos, under which photos/" in detail(), "the loss to be shown")
        assert ready(world)[0] == 200  # what is left serves
    finally:
        for name, record in keyring.items():
            world.bare.put_object(Bucket=SYSTEM, Key=name, Body=record)
        path.write_text(before)
    wait_for(lambda: detail() == "opens and seals", "the keyring to be whole")


def test_a_bucket_that_does_not_exist_is_no_damage(world: World) -> None:
    for words in (("verify", "no-such-bucket"), ("seal-bucket", "no-such-bucket")):
        found = verb(world, *words)
        assert found.returncode == 5
        assert "bucket does not exist" in found.stderr

"""``strongroom s3 reseal``: a bucket moves to another policy and key, with nothing lost on the way."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.s3proxy.test_verbs import upload_in_parts
from tests.support.process.waiting import wait_for

MIB = 1 << 20
OLD = '[[policy]]\nname = "old"\nkek = "file"\nbuckets = ["reseal"]\n'
NEW = '[[policy]]\nname = "new"\nkek = "file"\nbuckets = ["reseal"]\n'


class World(NamedTuple):
    """A proxy whose bucket moves to another policy."""

    proxy: ProxyProcess
    s3: Any
    bare: Any
    system: str


@pytest.fixture
def world(tmp_path: Path, store: SeaweedServer, bare: Any) -> Iterator[World]:
    system = f"reseal-{os.urandom(4).hex()}"
    settings = {"system_bucket": system, "reload_interval_s": 0.05, "unwrap_cache_s": 0, "bucket_key_ttl_s": 0}
    with (
        ProxyProcess(tmp_path, store, policy=OLD, settings=settings) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        s3.create_bucket(Bucket="reseal")
        yield World(proxy, s3, bare, system)
        for item in bare.list_objects_v2(Bucket="reseal").get("Contents", []):
            bare.delete_object(Bucket="reseal", Key=item["Key"])
        bare.delete_bucket(Bucket="reseal")


def reseal(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "s3", "reseal", "reseal", "--config", str(world.proxy.config_file), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_bucket_moves_to_another_policy(world: World) -> None:
    s3, policy = world.s3, world.proxy.config_file.parent / "policy.toml"
    small, large = b"small", os.urandom(3 * MIB)
    kept = {"ContentType": "text/x", "Metadata": {"who": "me"}, "CacheControl": "no-cache"}
    s3.put_object(Bucket="reseal", Key="small", Body=small, Tagging="a=b", **kept)
    s3.put_object(Bucket="reseal", Key="large", Body=large)
    parts = upload_in_parts(s3, "reseal", "parts", (5 * MIB, MIB))
    policy.write_text(NEW + OLD)
    wait_for(lambda: s3.put_object(Bucket="reseal", Key="new", Body=b"new"), "a write")

    before = {item["Key"]: item["ETag"] for item in world.bare.list_objects_v2(Bucket="reseal")["Contents"]}
    dry = reseal(world, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would be sealed anew" in dry.stdout
    after = {item["Key"]: item["ETag"] for item in world.bare.list_objects_v2(Bucket="reseal")["Contents"]}
    assert after == before

    done = reseal(world)
    assert done.returncode == 0, done.stdout + done.stderr
    again = reseal(world)
    assert again.stdout == "0 sealed anew, 4 under their policy already, 0 left\n"
    policy.write_text(NEW)
    wait_for(lambda: s3.get_object(Bucket="reseal", Key="small")["Body"].read() == small, "the new policy")
    found = s3.get_object(Bucket="reseal", Key="small")
    assert {name: found[name] for name in kept} == kept
    assert s3.get_object_tagging(Bucket="reseal", Key="small")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert s3.get_object(Bucket="reseal", Key="large")["Body"].read() == large
    assert s3.get_object(Bucket="reseal", Key="parts")["Body"].read() == parts


def test_what_is_damaged_or_has_no_key_is_left_as_it_is_and_named(world: World) -> None:
    policy = world.proxy.config_file.parent / "policy.toml"
    for key in ("cut", "good"):
        world.s3.put_object(Bucket="reseal", Key=key, Body=os.urandom(MIB * 2))
    raw = world.bare.get_object(Bucket="reseal", Key="cut")
    damaged = bytearray(raw["Body"].read())
    damaged[MIB] ^= 1
    world.bare.put_object(Bucket="reseal", Key="cut", Body=bytes(damaged), Metadata=raw["Metadata"])
    policy.write_text(NEW + OLD)
    left = reseal(world)
    assert left.returncode == 1
    assert "reseal/cut: left: damaged" in left.stdout
    assert "1 sealed anew" in left.stdout
    assert world.bare.get_object(Bucket="reseal", Key="cut")["Body"].read() == bytes(damaged)
    policy.write_text(NEW)
    alone = reseal(world)
    assert alone.returncode == 3
    assert "sealed under policy old" in alone.stdout
    assert 'formerly = ["old"]' in alone.stderr


def test_a_lost_keyring_is_made_anew_by_sealing_everything(world: World) -> None:
    world.s3.put_object(Bucket="reseal", Key="k", Body=b"k")
    records = world.bare.list_objects_v2(Bucket=world.system, Prefix="keyring/old/")["Contents"]
    for item in records:
        world.bare.delete_object(Bucket=world.system, Key=item["Key"])
    done = reseal(world, "--all")
    assert (done.returncode, done.stdout) == (0, "1 sealed anew, 0 under their policy already, 0 left\n")
    command = [sys.executable, "-m", "cli", "s3", "rewrap", "--config", str(world.proxy.config_file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert world.s3.get_object(Bucket="reseal", Key="k")["Body"].read() == b"k"

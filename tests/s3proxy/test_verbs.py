"""``strongroom s3 seal-bucket``, ``verify`` and ``open``, as an operator calls them."""

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
from s3proxy.store.slash_keys import kept_key
from tests.s3proxy.conftest import client_of
from tests.support.s3.relay import Fault, Harm, StoreRelay

pytestmark = pytest.mark.early

MIB = 1 << 20
POLICY = """\
[[policy]]
name = "main"
kek = "file"
buckets = ["verbs-*"]
mode = "migrate"
"""


class World(NamedTuple):
    """A proxy whose buckets are being migrated, and clients of it and of the store."""

    proxy: ProxyProcess
    s3: Any
    bare: Any


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("verbs")
    settings = {"system_bucket": "verbs-system"}
    with (
        ProxyProcess(directory / "proxy", store, policy=POLICY, settings=settings) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        yield World(proxy, s3, bare)


def call(world: World, verb: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "cli", "s3", verb, "--config", str(world.proxy.config_file), *words]
    return subprocess.run(command, capture_output=True, check=False)


def upload_in_parts(s3: Any, bucket: str, key: str, sizes: tuple[int, ...]) -> bytes:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    bodies = [os.urandom(size) for size in sizes]
    parts = []
    for number, body in enumerate(bodies, start=1):
        etag = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    return b"".join(bodies)


def test_a_bucket_is_sealed_in_place_and_nothing_of_it_is_lost(world: World) -> None:
    bucket = "verbs-seal"
    world.bare.create_bucket(Bucket=bucket)
    bodies = {f"plain/{size}": os.urandom(size) for size in (0, 1, 100_000, 3 * MIB)}
    for key, body in bodies.items():
        world.bare.put_object(
            Bucket=bucket, Key=key, Body=body, ContentType="text/x", Metadata={"a": "b"}, Tagging="colour=blue&x=y"
        )
    bodies["plain/parts"] = upload_in_parts(world.bare, bucket, "plain/parts", (5 * MIB, 1000))
    world.s3.put_object(Bucket=bucket, Key="sealed", Body=b"sealed before")

    dry = call(world, "seal-bucket", "--dry-run", bucket)
    assert dry.stdout == b"5 would be sealed, 1 sealed before, 0 left\n", dry.stderr
    assert world.bare.get_object(Bucket=bucket, Key="plain/100000")["Body"].read() == bodies["plain/100000"]
    part = call(world, "seal-bucket", "--prefix", "plain/1", bucket)
    assert part.stdout == b"2 sealed now, 0 sealed before, 0 left\n", part.stderr
    whole = call(world, "seal-bucket", bucket)
    assert (whole.returncode, whole.stdout) == (0, b"3 sealed now, 3 sealed before, 0 left\n"), whole.stderr
    assert call(world, "seal-bucket", bucket).stdout == b"0 sealed now, 6 sealed before, 0 left\n"

    for key, body in bodies.items():
        got = world.s3.get_object(Bucket=bucket, Key=key)
        assert got["Body"].read() == body
        assert world.bare.get_object(Bucket=bucket, Key=key)["Body"].read()[:4] == b"SEG1"
        if key != "plain/parts":
            assert (got["ContentType"], got["Metadata"]) == ("text/x", {"a": "b"})
            tags = world.s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
            assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("colour", "blue"), ("x", "y")]
    verified = call(world, "verify", bucket)
    assert verified.returncode == 0
    assert verified.stdout.startswith(b"6 sealed and whole\n6 objects, ")


def test_the_verbs_know_content_under_a_key_that_ends_in_a_slash(world: World, tmp_path: Path) -> None:
    bucket = "verbs-slash"
    world.bare.create_bucket(Bucket=bucket)
    world.bare.put_object(
        Bucket=bucket, Key=kept_key("plain/"), Body=b"plain"
    )  # as a policy that seals nothing left it
    world.bare.put_object(Bucket=bucket, Key="plain/", Body=b"")
    world.s3.put_object(Bucket=bucket, Key="sealed/", Body=b"sealed")
    result = call(world, "seal-bucket", bucket)
    assert result.stdout == b"1 sealed now, 1 sealed before, 0 left\n", result.stderr
    assert world.s3.get_object(Bucket=bucket, Key="plain/")["Body"].read() == b"plain"
    verified = call(world, "verify", bucket)
    assert verified.stdout.startswith(b"2 sealed and whole\n2 objects, "), verified.stderr
    for key in ("plain/", "sealed/"):
        stored = world.bare.get_object(Bucket=bucket, Key=kept_key(key))
        (tmp_path / "raw").write_bytes(stored["Body"].read())
        for name in (key, kept_key(key)):
            words = ("--name", f"{bucket}/{name}", "--entry", stored["Metadata"]["seg1"], str(tmp_path / "raw"))
            assert call(world, "open", *words).stdout == key.removesuffix("/").encode()


def test_a_store_that_does_not_tell_what_it_can_do_is_named_and_nothing_is_written(world: World) -> None:
    bucket = "verbs-untold"
    world.bare.create_bucket(Bucket=bucket)
    world.bare.put_object(Bucket=bucket, Key="plain", Body=b"x")
    world.s3.put_object(Bucket=bucket, Key="sealed/", Body=b"sealed")
    with StoreRelay(world.bare.meta.endpoint_url) as relay:
        relay.plan = lambda exchange: Fault(Harm.REFUSE) if exchange.target.startswith("/verbs-system/probe/") else None
        for verb in (("seal-bucket", bucket), ("reseal", bucket), ("verify", bucket), ("rewrap",)):
            result = call(world, *verb, "--store-address", relay.address)
            first, hint = result.stderr.decode().splitlines()
            assert result.returncode == 4, verb
            assert first.startswith("strongroom: error: the store was asked in verbs-system what it can do, and ")
            assert "readyz" not in hint
        written = [one for one in relay.exchanges if one.method not in {"GET", "HEAD"} and one.status]
        assert written == []
        told = call(world, "verify", bucket, "--prefix", "plain", "--store-address", relay.address)
    assert told.returncode == 0, "what need not be known is not a hindrance"


def test_a_terminal_sees_how_far_it_is_and_a_pipe_does_not(world: World) -> None:
    bucket = "verbs-progress"
    world.bare.create_bucket(Bucket=bucket)
    for number in range(3):
        world.bare.put_object(Bucket=bucket, Key=str(number), Body=b"x")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "cli", "s3", "seal-bucket", "--config", str(world.proxy.config_file), bucket]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=False)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        shown = terminal.read(65_536).decode()
    assert result.stdout == b"3 sealed now, 0 sealed before, 0 left\n"
    assert "] 1 of 3 objects" in shown
    assert shown.endswith("\r\033[K"), "the line is gone at the end"
    assert call(world, "verify", bucket).stderr == b""


def test_what_cannot_be_sealed_is_left_and_named(world: World) -> None:
    world.bare.create_bucket(Bucket="other-bucket")
    world.bare.put_object(Bucket="other-bucket", Key="k", Body=b"x")
    result = call(world, "seal-bucket", "other-bucket")
    assert result.returncode == 1
    assert result.stdout.decode().splitlines() == [
        "other-bucket/k: left: No key policy of the proxy covers this name.",
        "0 sealed now, 0 sealed before, 1 left",
    ]
    missing = call(world, "seal-bucket", "verbs-missing")
    assert missing.returncode == 5  # nothing is damaged or left
    assert missing.stderr.startswith(b"strongroom: error: ")


def test_damage_is_found_wherever_it_is(world: World) -> None:
    bucket = "verbs-damage"
    world.s3.create_bucket(Bucket=bucket)
    for key in ("whole", "flipped", "cut", "swapped"):
        world.s3.put_object(Bucket=bucket, Key=key, Body=os.urandom(200_000))
    upload_in_parts(world.s3, bucket, "parts", (5 * MIB, 100))
    for key in ("flipped", "cut"):
        stored = world.bare.get_object(Bucket=bucket, Key=key)
        raw = bytearray(stored["Body"].read())
        if key == "flipped":
            raw[150_000] ^= 1
        else:
            raw.pop()
        world.bare.put_object(Bucket=bucket, Key=key, Body=bytes(raw), Metadata=stored["Metadata"])
    other = world.bare.get_object(Bucket=bucket, Key="whole")
    body, metadata = other["Body"].read(), other["Metadata"]
    world.bare.put_object(Bucket=bucket, Key="swapped", Body=body, Metadata=metadata)
    world.bare.put_object(Bucket=bucket, Key="plain", Body=b"x")
    result = call(world, "verify", bucket)
    lines = result.stdout.decode().splitlines()
    assert result.returncode == 1
    assert [line.partition(":")[0] for line in lines[:3]] == [
        f"{bucket}/{key}" for key in ("cut", "flipped", "swapped")
    ]
    assert lines[3:6] == ["2 sealed and whole", "1 plaintext, as the policy allows", "3 damaged"]
    assert lines[6].startswith("6 objects, ")


@pytest.mark.parametrize("sizes", [(0,), (200_000,), (5 * MIB, 5 * MIB, 17)])
def test_a_stored_object_opens_without_its_store(world: World, tmp_path: Path, sizes: tuple[int, ...]) -> None:
    bucket, key = "verbs-open", f"o{len(sizes)}-{sizes[0]}"
    with contextlib.suppress(world.s3.exceptions.BucketAlreadyExists, world.s3.exceptions.BucketAlreadyOwnedByYou):
        world.s3.create_bucket(Bucket=bucket)
    if len(sizes) == 1:
        body = os.urandom(sizes[0])
        world.s3.put_object(Bucket=bucket, Key=key, Body=body)
    else:
        body = upload_in_parts(world.s3, bucket, key, sizes)
    stored = world.bare.get_object(Bucket=bucket, Key=key)
    entry = stored["Metadata"]["seg1"]
    (tmp_path / "raw").write_bytes(stored["Body"].read())
    kek = ["--kek-file", str(world.proxy.directory / "kek")]
    opened = call(world, "open", str(tmp_path / "raw"))
    assert (opened.returncode, opened.stdout) == (0, body)
    assert b"the name was not checked" in opened.stderr

    out = ["--output", str(tmp_path / "out")]
    (tmp_path / ".out.part").write_text("of another call, which is under way")
    named = call(world, "open", *kek, *out, "--name", f"{bucket}/{key}", "--entry", entry, str(tmp_path / "raw"))
    assert (tmp_path / "out").read_bytes() == body
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.part", "out", "raw"]
    assert f"the name {bucket}/{key} holds".encode() in named.stderr
    (tmp_path / "out").unlink()
    other = call(world, "open", *kek, *out, "--name", f"{bucket}/other", "--entry", entry, str(tmp_path / "raw"))
    assert other.returncode == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    with contextlib.suppress(world.s3.exceptions.BucketAlreadyExists, world.s3.exceptions.BucketAlreadyOwnedByYou):
        world.s3.create_bucket(Bucket="verbs-open")
    world.s3.put_object(Bucket="verbs-open", Key="d", Body=os.urandom(200_000))
    raw = bytearray(world.bare.get_object(Bucket="verbs-open", Key="d")["Body"].read())
    raw[180_000] ^= 1
    (tmp_path / "raw").write_bytes(raw)
    result = call(world, "open", "--output", str(tmp_path / "out"), str(tmp_path / "raw"))
    assert result.returncode == 1
    assert result.stderr.startswith(b"strongroom: error: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]
    empty = call(world, "open", str(tmp_path / "missing"))
    assert empty.returncode == 2
    assert b"cannot be read" in empty.stderr


def test_settings_of_the_proxy_are_options_of_each_verb(world: World) -> None:
    world.s3.create_bucket(Bucket="verbs-options")
    world.s3.put_object(Bucket="verbs-options", Key="k", Body=b"x")
    whole = call(world, "verify", "--store-region", "us-east-1", "verbs-options", "--log-level=error")
    assert (whole.returncode, whole.stderr) == (0, b"")
    wrong = call(world, "verify", "--kek-file", "/nowhere/kek", "verbs-options")
    assert wrong.returncode == 2
    assert b"/nowhere/kek: cannot be read" in wrong.stderr
    lacking = call(world, "verify", "verbs-options", "--kek-file")
    assert lacking.returncode == 2
    assert b"--kek-file: needs a value" in lacking.stderr


def test_a_key_file_that_everybody_may_write_is_refused(world: World, tmp_path: Path) -> None:
    config = world.proxy.config_file.read_text()
    kek = tmp_path / "kek"
    kek.write_bytes((world.proxy.config_file.parent / "kek").read_bytes())
    kek.chmod(0o666)
    assert "kek_file" in config
    refused = call(world, "verify", "--kek-file", str(kek), "verbs-options")
    assert refused.returncode == 2
    assert b"may be written by every user (mode 0666)" in refused.stderr
    kek.chmod(0o600)
    assert call(world, "verify", "--kek-file", str(kek), "verbs-options").returncode in {0, 5}

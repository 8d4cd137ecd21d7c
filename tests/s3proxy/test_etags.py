"""ETags as stores send them, as older versions showed them, and what they cost in requests to the store."""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import POLICY, ProxyProcess
from devstack.seaweed import SeaweedServer
from s3proxy.keys.policies import EtagMode, Policy
from s3proxy.keys.policy_file import parse_policies
from s3proxy.stored.etags import bare_etag, opaque_etag
from strongroom.errors import ConfigError
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import until_settled, wait_for
from tests.support.s3.relay import Exchange, StoreRelay

HEX = "0123456789abcdef0123456789abcdef"
BIG = bytes((1 << 20) + 1)  # its digests are behind its body
NAME = {"Bucket": "etags", "Key": "k"}
MD5_POLICY = POLICY + 'etag = "md5"\n'
Rewrite = Callable[[Exchange, bytes], bytes]


class World(NamedTuple):
    """A proxy whose way to the store leads over a relay."""

    relay: StoreRelay
    client: Any

    def requests_of(self, operation: str, **parameters: object) -> list[str]:
        """Return the methods of the requests to the store that a request costs."""
        before = len(self.relay.exchanges)
        getattr(self.client, operation)(**parameters)
        return [exchange.method for exchange in self.relay.exchanges[before:]]


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[World]:
    with StoreRelay(store.address) as relay:
        directory = tmp_path_factory.mktemp("etags")
        quiet = {"store_address": relay.address, "reload_interval_s": 600}  # what it does by itself is not counted
        with ProxyProcess(directory, store, settings=quiet) as proxy:
            client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
            client.create_bucket(Bucket=NAME["Bucket"])
            client.put_object(**NAME, Body=b"")  # the bucket key is made
            until_settled(lambda: len(relay.exchanges))
            yield World(relay, client)
            client.delete_object(**NAME)
            client.delete_bucket(Bucket=NAME["Bucket"])


def without_etag(*methods: str) -> Rewrite:
    def rewrite(exchange: Exchange, head: bytes) -> bytes:
        return re.sub(rb"(?im)^etag: [^\r]*\r\n", b"", head) if exchange.method in methods else head

    return rewrite


def with_weak_etags(_: Exchange, head: bytes) -> bytes:
    return re.sub(rb'(?im)^(etag: )"', rb'\1W/"', head)


def policy_of(text: str) -> Policy:
    (policy,) = parse_policies((POLICY + text).encode(), origin="policy.toml")
    return policy


@pytest.mark.parametrize("written", [HEX, f'"{HEX}"', f'W/"{HEX}"', f' "{HEX}" '])
def test_an_etag_that_could_be_an_md5_is_shown_as_none(written: str) -> None:
    assert bare_etag(written) == HEX
    assert opaque_etag(written) == f'"{HEX}-1"'
    assert opaque_etag(opaque_etag(written)) == f'"{HEX}-1"'
    assert opaque_etag(f'"{HEX}-7"') == f'"{HEX}-7"'
    assert opaque_etag("") == '""'


@pytest.mark.parametrize("body", [b"small", BIG], ids=["small", "big"])
def test_a_store_that_answers_a_write_without_an_etag_is_asked_for_it(world: World, body: bytes) -> None:
    world.relay.rewrite = without_etag("PUT")
    etag = world.client.put_object(**NAME, Body=body)["ETag"]
    assert etag == world.client.head_object(**NAME)["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}-1"', etag)


def test_an_object_whose_etag_the_store_does_not_tell_is_not_read(world: World) -> None:
    world.relay.rewrite = without_etag("GET", "HEAD")
    for operation in (world.client.get_object, world.client.head_object):
        with pytest.raises(ClientError) as caught:
            operation(**NAME)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500


def test_weak_etags_of_the_store_are_shown_as_strong_ones(world: World) -> None:
    etag = world.client.put_object(**NAME, Body=BIG)["ETag"]
    world.relay.rewrite = with_weak_etags
    assert world.client.get_object(**NAME, IfMatch=etag)["Body"].read() == BIG
    assert world.client.head_object(**NAME, ChecksumMode="ENABLED")["ETag"] == etag  # reads the end of that very object
    assert world.client.put_object(**NAME, Body=BIG, IfMatch=etag)["ETag"] != etag


def test_etags_cost_no_request_unless_they_are_md5s(world: World) -> None:
    world.client.put_object(**NAME, Body=BIG)
    for operation, asked in (("head_object", NAME), ("get_object", NAME), ("list_objects_v2", {"Bucket": "etags"})):
        assert len(world.requests_of(operation, **asked)) == 1, operation


@pytest.mark.parametrize(
    ("text", "etag", "advised"),
    [
        ("", EtagMode.OPAQUE, False),
        ('etag = "md5"', EtagMode.MD5, False),
        ('list_etag = "exact"', EtagMode.MD5, True),
        ('list_etag = "quick"', EtagMode.OPAQUE, True),
        ('etag = "md5"\nlist_etag = "quick"', EtagMode.MD5, True),
        ('etag = "opaque"\nlist_etag = "exact"', EtagMode.OPAQUE, True),
    ],
)
def test_policy_files_of_older_versions_are_understood(text: str, etag: EtagMode, advised: bool) -> None:  # noqa: FBT001 - what is expected
    policy = policy_of(text)
    assert policy.etag is etag
    assert (f'etag = "{etag.value}"' in policy.advice) == advised
    assert bool(policy.advice) == advised


@pytest.mark.parametrize("text", ['list_etag = "slow"', "list_etag = []", 'etag = "sha256"'])
def test_an_unknown_etag_setting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        policy_of(text)


def test_objects_keep_one_etag_when_the_setting_changes(
    tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer
) -> None:
    """What older versions wrote has an MD5 in its entry; listings of it may have been kept in memory."""
    directory = tmp_path_factory.mktemp("changed")
    with ProxyProcess(directory, store, policy=MD5_POLICY) as proxy:
        client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
        client.create_bucket(Bucket="etags-changed")
        name = {"Bucket": "etags-changed", "Key": "k"}
        md5 = f'"{hashlib.md5(BIG, usedforsecurity=False).hexdigest()}"'
        assert client.put_object(**name, Body=BIG)["ETag"] == md5 == listed(client, "k")
        (directory / "policy.toml").write_text(POLICY)
        wait_for(lambda: client.head_object(**name)["ETag"] != md5, "the new policy")
        shown = client.head_object(**name)["ETag"]
        assert shown == listed(client, "k") == client.get_object(**name, IfMatch=shown)["ETag"]
        name["Key"] = "without"
        put = client.put_object(**name, Body=BIG)["ETag"]
        (directory / "policy.toml").write_text(MD5_POLICY + 'list_etag = "quick"\n')
        wait_for(lambda: client.head_object(Bucket="etags-changed", Key="k")["ETag"] == md5, "the new policy")
        assert listed(client, "k") == md5
        assert put == listed(client, "without") == client.head_object(**name)["ETag"]
        assert '"policy_outdated"' in proxy.log_file.read_text()


def test_an_upload_of_an_older_version_is_completed_with_the_etags_that_it_told(s3: Any, bare: Any) -> None:
    s3.create_bucket(Bucket="etags-upload")
    name = {"Bucket": "etags-upload", "Key": "k"}
    upload = {**name, "UploadId": s3.create_multipart_upload(**name)["UploadId"]}
    shown = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    stored = bare.list_parts(**upload)["Parts"][0]["ETag"]
    assert shown == opaque_etag(stored) == s3.list_parts(**upload)["Parts"][0]["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": stored}]})
    assert s3.get_object(**name)["Body"].read() == b"x"


def listed(client: Any, key: str) -> str:
    entries = client.list_objects_v2(Bucket="etags-changed")["Contents"]
    return next(str(entry["ETag"]) for entry in entries if entry["Key"] == key)

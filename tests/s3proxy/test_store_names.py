"""Names that the store would change, and keys that end in a slash: never another object, never what the store says."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from s3proxy.s3api.errors import S3Error
from s3proxy.store.capabilities import ALL_TITLES, SHAPES, Capabilities, changed_shape
from strongroom.errors import UnavailableError
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import until_settled
from tests.support.s3.refusals import refusal_of
from tests.support.s3.relay import Exchange, Fault, Harm, StoreRelay

CHANGED = ("logs//app.log", "/lead", "win\\f.txt", "a//b")
BUCKET = "names"
POLICY = f"""
[[policy]]
name = "names"
kek = "file"
buckets = ["{BUCKET}"]

[[policy]]
name = "names-open"
kek = "file"
mode = "passthrough"
buckets = ["{BUCKET}-open"]
"""


def status_of(call: Callable[..., object], **arguments: Any) -> int:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return int(caught.value.response["ResponseMetadata"]["HTTPStatusCode"])


def make_buckets(bare: Any) -> None:
    for bucket in (BUCKET, f"{BUCKET}-open"):
        with contextlib.suppress(bare.exceptions.BucketAlreadyExists, bare.exceptions.BucketAlreadyOwnedByYou):
            bare.create_bucket(Bucket=bucket)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[Any]:
    make_buckets(bare)
    with (
        ProxyProcess(tmp_path_factory.mktemp("names"), store, policy=POLICY) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client,
    ):
        yield client


@pytest.mark.parametrize("bucket", [BUCKET, f"{BUCKET}-open"])
@pytest.mark.parametrize("key", CHANGED)
def test_a_name_that_the_store_would_change_is_refused_everywhere(s3: Any, bare: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"first")
    name = {"Bucket": bucket, "Key": key}
    assert refusal_of(s3.put_object, **name, Body=b"x") == "NotImplemented"
    assert refusal_of(s3.put_object, **name, Body=b"x" * (2 << 20)) == "NotImplemented"
    assert refusal_of(s3.create_multipart_upload, **name) == "NotImplemented"
    assert refusal_of(s3.copy_object, **name, CopySource=f"{bucket}/a/b") == "NotImplemented"
    assert refusal_of(s3.delete_object, **name) == "NotImplemented"
    (error,) = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})["Errors"]
    assert (error["Key"], error["Code"]) == (key, "NotImplemented")
    assert refusal_of(s3.get_object, **name) == "NoSuchKey"
    assert status_of(s3.head_object, **name) == 404
    assert refusal_of(s3.get_object_tagging, **name) == "NoSuchKey"
    assert refusal_of(s3.put_object_tagging, **name, Tagging={"TagSet": []}) == "NotImplemented"
    assert refusal_of(s3.copy_object, Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": key}) == "NoSuchKey"
    assert [one["Key"] for one in bare.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/b"]
    assert s3.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"first"


def test_a_folder_is_an_empty_object(s3: Any) -> None:
    name = {"Bucket": BUCKET, "Key": "empty/"}
    s3.put_object(**name, Body=b"")
    found = s3.get_object(**name)
    assert (found["Body"].read(), found["Metadata"]) == (b"", {})
    assert found["ETag"] == '"d41d8cd98f00b204e9800998ecf8427e"'
    assert s3.head_object(**name, IfMatch=found["ETag"])["ContentLength"] == 0
    (listed,) = s3.list_objects_v2(Bucket=BUCKET, Prefix="empty/")["Contents"]
    assert (listed["ETag"], listed["Size"]) == (found["ETag"], 0)
    assert status_of(s3.get_object, **name, IfNoneMatch=found["ETag"]) == 304
    assert refusal_of(s3.get_object, **name, IfMatch='"other"') == "PreconditionFailed"
    assert refusal_of(s3.get_object, **name, Range="bytes=0-1") == "InvalidRange"
    assert s3.get_object_attributes(**name, ObjectAttributes=["ObjectSize"])["ObjectSize"] == 0
    s3.copy_object(Bucket=BUCKET, Key="copied", CopySource=f"{BUCKET}/empty/")
    assert s3.get_object(Bucket=BUCKET, Key="copied")["Body"].read() == b""


@contextlib.contextmanager
def behind_a_relay(
    tmp_path: Path, store: SeaweedServer, relay: StoreRelay, settings: dict[str, object]
) -> Iterator[Any]:
    whole = settings | {"store_address": relay.address, "reload_interval_s": 0.05}
    with (
        ProxyProcess(tmp_path / "proxy", store, policy=POLICY, settings=whole) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client,
    ):
        yield client


def lie(exchange: Exchange, head: bytes) -> bytes:
    """Say more of an empty directory than there is."""
    if not exchange.target.startswith(f"/{BUCKET}/config/"):
        return head
    lines = b"x-amz-meta-role: admin\r\nContent-Disposition: inline\r\nx-amz-version-id: v7\r\n"
    return head.replace(b"\r\n", b"\r\n" + lines, 1)


def of_the_bucket(exchange: Exchange) -> bool:
    return exchange.target.startswith(f"/{BUCKET}/")


def test_nothing_that_a_store_says_of_a_folder_is_served(tmp_path: Path, store: SeaweedServer, bare: Any) -> None:
    make_buckets(bare)
    bare.put_object(Bucket=BUCKET, Key="config/", Body=b"", ContentType="text/html")
    with StoreRelay(store.address) as relay, behind_a_relay(tmp_path, store, relay, {}) as s3:
        s3.put_object(Bucket=BUCKET, Key="first", Body=b"x")  # else the proxy looks for what an empty keyring lost
        until_settled(lambda: sum(of_the_bucket(one) for one in relay.exchanges))  # it may have begun to
        relay.rewrite = lie
        for call in (s3.get_object, s3.head_object):
            relay.exchanges.clear()
            answer = call(Bucket=BUCKET, Key="config/")
            assert (answer["Metadata"], answer["ContentType"], answer["ContentLength"]) == (
                {},
                "binary/octet-stream",
                0,
            )
            assert "ContentDisposition" not in answer
            assert "VersionId" not in answer
            asked = [one for one in relay.exchanges if of_the_bucket(one)]
            assert [one.status for one in asked] == [404, 200]  # content, and then the folder


def test_a_folder_is_damage_where_the_store_keeps_what_was_sealed(
    tmp_path: Path, store: SeaweedServer, bare: Any
) -> None:
    make_buckets(bare)
    bare.put_object(Bucket=BUCKET, Key="config/", Body=b"")
    with (
        StoreRelay(store.address) as relay,
        behind_a_relay(tmp_path, store, relay, {"store_slash_content": "yes"}) as s3,
    ):
        assert refusal_of(s3.get_object, Bucket=BUCKET, Key="config/") == "InternalError"
        assert status_of(s3.head_object, Bucket=BUCKET, Key="config/") == 500


def test_what_is_not_known_of_names_yet_is_not_written(tmp_path: Path, store: SeaweedServer, bare: Any) -> None:
    make_buckets(bare)
    bare.put_object(Bucket=BUCKET, Key="config/", Body=b"")
    with StoreRelay(store.address) as relay:
        relay.plan = lambda one: Fault(Harm.REFUSE) if "/probe/" in one.target else None
        with behind_a_relay(tmp_path, store, relay, {}) as s3:
            assert refusal_of(s3.put_object, Bucket=BUCKET, Key="a//b", Body=b"x") == "SlowDown"
            assert refusal_of(s3.put_object, Bucket=BUCKET, Key="d/", Body=b"x") == "SlowDown"
            assert refusal_of(s3.get_object, Bucket=BUCKET, Key="config/") == "SlowDown"
            s3.put_object(Bucket=BUCKET, Key="plain", Body=b"x")


def test_each_shape_knows_its_own_sample_and_no_plain_name() -> None:
    for shape in SHAPES:
        assert changed_shape(shape.sample.format("probe/x/"), frozenset({shape.title})) == shape.title
    for key in ("a", "a/b.c", "a/b/", "ä/ö", "a b", "a.b/c"):
        assert not changed_shape(key, ALL_TITLES)


def test_names_are_asked_for_only_where_that_matters() -> None:
    unknown, keeps = Capabilities(), Capabilities(changed_names=frozenset())
    unknown.require_name("a//b", method="GET")
    unknown.require_name("plain", method="PUT")
    with pytest.raises(UnavailableError):
        unknown.require_name("a//b", method="PUT")
    keeps.require_name("a//b", method="PUT")
    with pytest.raises(S3Error, match="backslash"):
        Capabilities(changed_names=ALL_TITLES).require_name("a\\b", method="DELETE")
    for known in (unknown, keeps, Capabilities(part_counts=True, changed_names=ALL_TITLES)):
        assert Capabilities.from_json(known.to_json()) == known

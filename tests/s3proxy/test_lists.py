"""ListObjects, ListObjectsV2, ListObjectVersions and ListBuckets through the proxy, compared with the store's own."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

from devstack.authority import write_private
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.relay import StoreRelay

KEYS = ("a b+c", "a&b<c>", "a/1", "a/2", "b/1", "tab\tx", "ü€", "z")
POLICY = """\
[[policy]]
name = "moving"
kek = "file"
buckets = ["lists-moving"]
mode = "migrate"
etag = "md5"

[[policy]]
name = "md5"
kek = "file"
buckets = ["lists-md5"]
etag = "md5"

[[policy]]
name = "opaque"
kek = "file"
buckets = ["lists-opaque"]
etag = "opaque"

[[policy]]
name = "open"
kek = "file"
buckets = ["lists-open"]
mode = "passthrough"
"""


@pytest.fixture(scope="module")
def full(s3: Any) -> str:
    s3.create_bucket(Bucket="lists")
    for number, key in enumerate(KEYS):
        s3.put_object(Bucket="lists", Key=key, Body=os.urandom(70_000 * number))
    return "lists"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[Any]:
    """A client of a proxy with other policies."""
    with ProxyProcess(tmp_path_factory.mktemp("lists"), store, policy=POLICY) as running:
        client = client_of(running.url, running.access_key, running.secret_key)
        for name in ("md5", "opaque", "open"):
            client.create_bucket(Bucket=f"lists-{name}")
        yield client


def md5_of(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
def test_sizes_are_those_of_the_plaintext(s3: Any, bare: Any, full: str, version: str) -> None:
    mine = getattr(s3, version)(Bucket=full)
    theirs = getattr(bare, version)(Bucket=full)
    sizes = {item["Key"]: item["Size"] for item in mine["Contents"]}
    assert sizes == {key: 70_000 * number for number, key in enumerate(KEYS)}
    for one, other in zip(mine["Contents"], theirs["Contents"], strict=True):
        assert one["ETag"] == other["ETag"][:-1] + '-1"'
        assert {**one, "Size": 0, "ETag": ""} == {**other, "Size": 0, "ETag": ""}
    for answer in (mine, theirs):
        for name in ("Contents", "ResponseMetadata"):
            answer.pop(name)
    assert mine == theirs


@pytest.mark.parametrize("page", [1, 3, 1000])
def test_pages_have_as_many_keys_as_were_asked_for(s3: Any, full: str, page: int) -> None:
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=full, PaginationConfig={"PageSize": page}))
    assert [len(one["Contents"]) for one in pages[:-1]] == [page] * (len(pages) - 1)
    assert sorted(item["Key"] for one in pages for item in one["Contents"]) == sorted(KEYS)
    # The store does not encode NextMarker, so the other keys with a plus sign end version 1 in a circle.
    pages = list(
        s3.get_paginator("list_objects").paginate(Bucket=full, Prefix="a/", PaginationConfig={"PageSize": page})
    )
    assert [item["Key"] for one in pages for item in one["Contents"]] == ["a/1", "a/2"]
    assert len(pages[0]["Contents"]) == min(page, 2)


def test_delimiter_and_prefix(s3: Any, bare: Any, full: str) -> None:
    for parameters in ({"Delimiter": "/"}, {"Prefix": "a/"}, {"Prefix": "a/", "Delimiter": "/"}, {"StartAfter": "b/1"}):
        mine = s3.list_objects_v2(Bucket=full, **parameters)
        theirs = bare.list_objects_v2(Bucket=full, **parameters)
        assert mine.get("CommonPrefixes") == theirs.get("CommonPrefixes")
        names = [[item["Key"] for item in answer.get("Contents", [])] for answer in (mine, theirs)]
        assert names[0] == names[1]


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2", "list_object_versions"])
def test_no_list_has_a_name_beside_its_prefix(s3: Any, bare: Any, full: str, version: str) -> None:
    entries = "Versions" if version == "list_object_versions" else "Contents"
    for key in KEYS:
        for size in range(1, len(key) + 1):
            answer = getattr(s3, version)(Bucket=full, Prefix=key[:size])
            assert {item["Key"] for item in answer[entries]} == {one for one in KEYS if one.startswith(key[:size])}
    beside = getattr(bare, version)(Bucket=full, Prefix="/a/")
    assert [item["Key"] for item in beside[entries]] == ["a/1", "a/2"], "the store lists the same names, or none"
    with pytest.raises(ClientError) as caught:
        getattr(s3, version)(Bucket=full, Prefix="/a/")
    assert caught.value.response["Error"]["Code"] == "BadGateway"


ONE_BUCKET = """\
[[credential]]
access_key_id = "ONE"
secret_key = "one-one-one-one-one"
[[credential.grant]]
buckets = ["lists"]
rights = ["read"]
"""


class Relayed(NamedTuple):
    """A relay to the store, and a client of a proxy before it."""

    relay: StoreRelay
    client: Any


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[Relayed]:
    with StoreRelay(store.address) as relay:
        settings = {"store_address": relay.address}
        with ProxyProcess(tmp_path_factory.mktemp("relayed"), store, settings=settings) as running:
            yield Relayed(relay, client_of(running.url, running.access_key, running.secret_key))


@pytest.mark.parametrize(
    "of",
    [
        ("list_objects", "Marker", "Contents"),
        ("list_objects_v2", "StartAfter", "Contents"),
        ("list_object_versions", "KeyMarker", "Versions"),
        ("list_multipart_uploads", "KeyMarker", "Uploads"),
    ],
)
def test_no_marker_beside_the_prefix_goes_to_the_store(
    s3: Any, relayed: Relayed, full: str, of: tuple[str, str, str]
) -> None:
    """SeaweedFS before 4.48 lists what is there, and ends: what a client may not list, instead of what it may."""
    operation, marker, entries = of
    names = ["a/1", "a/2", "b/1"] if entries != "Uploads" else ["a/1", "b/1"]
    uploads = [s3.create_multipart_upload(Bucket=full, Key=key) for key in ("a/1", "b/1")]
    for prefix in ("a/", "b/"):
        for place in ("Z", "a", "a/0", "a/1", "a/2", "a/~", "b", "b/0", "b/1", "c", "~", "\uffff"):
            told = getattr(relayed.client, operation)(**{"Bucket": full, "Prefix": prefix, marker: place})
            shown = [item["Key"] for item in told.get(entries, [])]
            is_beside = not place.startswith(prefix)
            if is_beside:  # others are the store's matter
                assert shown == [name for name in names if name.startswith(prefix) and name > place]
            sent = [unquote(one.target) for one in relayed.relay.exchanges if one.target.startswith(f"/{full}?")]
            assert (f"={place}&" in f"{sent[-1]}&") != is_beside
    for upload in uploads:
        s3.abort_multipart_upload(Bucket=full, Key=upload["Key"], UploadId=upload["UploadId"])


def test_a_token_that_is_a_name_beside_the_prefix_is_refused_whatever_is_there(s3: Any, full: str) -> None:
    page = s3.list_objects_v2(Bucket=full, Prefix="a/", MaxKeys=1)
    rest = s3.list_objects_v2(Bucket=full, Prefix="a/", ContinuationToken=page["NextContinuationToken"])
    assert [item["Key"] for item in page["Contents"] + rest["Contents"]] == ["a/1", "a/2"]
    for token in ("b/", "b/0", "b/2", "a", "nothing"):
        with pytest.raises(ClientError) as caught:
            s3.list_objects_v2(Bucket=full, Prefix="a/", ContinuationToken=token)
        assert caught.value.response["Error"]["Code"] == "InvalidArgument"


def test_versions(s3: Any, bare: Any) -> None:
    s3.create_bucket(Bucket="lists-versions")
    s3.put_bucket_versioning(Bucket="lists-versions", VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket="lists-versions", Key="k", Body=b"x" * size)["VersionId"] for size in (1, 2, 70_000)]
    marker = s3.delete_object(Bucket="lists-versions", Key="k")["VersionId"]
    mine = s3.list_object_versions(Bucket="lists-versions")
    assert {item["VersionId"]: item["Size"] for item in mine["Versions"]} == dict(zip(ids, (1, 2, 70_000), strict=True))
    assert [item["VersionId"] for item in mine["DeleteMarkers"]] == [marker]
    theirs = bare.list_object_versions(Bucket="lists-versions")
    assert [item["VersionId"] for item in theirs["Versions"]] == [item["VersionId"] for item in mine["Versions"]]


def test_in_a_bucket_being_migrated_plaintext_keeps_its_size(other: Any, bare: Any) -> None:
    name = "lists-moving"
    bare.create_bucket(Bucket=name)
    plain, sealed = os.urandom(5000), os.urandom(5000)
    bare.put_object(Bucket=name, Key="plain", Body=plain)
    other.put_object(Bucket=name, Key="sealed", Body=sealed)
    for _ in range(2):  # the second time from what was seen
        items = {item["Key"]: item for item in other.list_objects_v2(Bucket=name)["Contents"]}
        assert {key: item["Size"] for key, item in items.items()} == {"plain": 5000, "sealed": 5000}
        assert items["plain"]["ETag"] == md5_of(plain)
        assert items["sealed"]["ETag"] == md5_of(sealed)
    other.put_object(Bucket=name, Key="plain", Body=plain[:100])
    items = {item["Key"]: item for item in other.list_objects_v2(Bucket=name)["Contents"]}
    assert items["plain"]["Size"] == 100


def test_md5_opaque_and_open_etags(other: Any, bare: Any) -> None:
    body = os.urandom(2000)
    shown = {}
    for name in ("lists-md5", "lists-opaque", "lists-open"):
        put = other.put_object(Bucket=name, Key="k", Body=body)
        (item,) = other.list_objects_v2(Bucket=name)["Contents"]
        assert item["Size"] == 2000
        assert put["ETag"] == item["ETag"] == other.head_object(Bucket=name, Key="k")["ETag"]
        shown[name] = item["ETag"]
    assert shown["lists-md5"] == shown["lists-open"] == md5_of(body)
    stored = bare.head_object(Bucket="lists-opaque", Key="k")["ETag"].strip('"')
    assert shown["lists-opaque"] == f'"{stored}-1"'


def test_multipart_objects_have_one_etag_everywhere(other: Any) -> None:
    name = {"Bucket": "lists-md5", "Key": "parts"}
    upload = other.create_multipart_upload(**name)["UploadId"]
    etag = other.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"x" * 100)["ETag"]
    other.complete_multipart_upload(
        **name, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    (item,) = other.list_objects_v2(Bucket="lists-md5", Prefix="parts")["Contents"]
    assert (item["Size"], item["ETag"]) == (100, other.head_object(**name)["ETag"])
    assert item["ETag"].endswith('-1"')


def test_a_condition_takes_the_etag_that_a_listing_shows(s3: Any, full: str) -> None:
    (item,) = s3.list_objects_v2(Bucket=full, Prefix="z")["Contents"]
    s3.delete_object(Bucket=full, Key="z", IfMatch=item["ETag"])
    assert "Contents" not in s3.list_objects_v2(Bucket=full, Prefix="z")


def test_missing_bucket(s3: Any) -> None:
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket="lists-missing")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"


def test_no_page_of_buckets_tells_what_a_client_may_not_see(
    tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any, full: str
) -> None:
    """A token of SeaweedFS is the name of the last bucket of its page, in base64."""
    bare.create_bucket(Bucket="a-bucket-of-others")
    directory = tmp_path_factory.mktemp("buckets")
    write_private(directory / "clients.toml", ONE_BUCKET.encode())
    settings = {"credentials_file": str(directory / "clients.toml")}
    with ProxyProcess(directory, store, settings=settings) as running:
        client = client_of(running.url, "ONE", "one-one-one-one-one")
        for place in ({}, {"ContinuationToken": "bGlzdHM"}):
            page = client.list_buckets(MaxBuckets=1, **place)
            assert [bucket["Name"] for bucket in page["Buckets"]] == [full]
            assert "ContinuationToken" not in page
    assert "ContinuationToken" in bare.list_buckets(MaxBuckets=1), "the store has pages"


def test_buckets_are_those_the_client_may_see(s3: Any, bare: Any, full: str, proxy: ProxyProcess) -> None:
    settings = Path(proxy.directory / "s3proxy.toml").read_text(encoding="utf-8")
    assert "system_bucket" not in settings
    names = {bucket["Name"] for bucket in bare.list_buckets()["Buckets"]} | {"strongroom-system"}
    shown = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert full in shown
    assert shown == names - {"strongroom-system"}
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket="strongroom-system")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"

"""Content under keys that end in a slash, on a store that makes a directory of such a key: one key to every client."""

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from s3proxy.operations.lists.slash_names import shown_names
from s3proxy.s3api.errors import S3Error
from s3proxy.store.capabilities import Capabilities
from s3proxy.store.slash_keys import SEGMENT, kept_key, shown_key
from strongroom.errors import UnavailableError
from tests.s3proxy.conftest import client_of
from tests.support.s3.refusals import refusal_of
from tests.support.s3.relay import StoreRelay

POLICY = """
[[policy]]
name = "slash"
kek = "file"
buckets = ["slash-sealed-*"]

[[policy]]
name = "slash-open"
kek = "file"
mode = "passthrough"
buckets = ["slash-open-*"]
"""
LONG = b"0123456789abcdef" * (6 << 16)  # 6 MiB


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[Any]:
    with (
        ProxyProcess(tmp_path_factory.mktemp("slash"), store, policy=POLICY) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client,
    ):
        yield client


@pytest.fixture(params=["sealed", "open"])
def bucket(request: pytest.FixtureRequest, bare: Any) -> str:
    # Each test has a bucket of its own, so that a listing shows its own objects alone.
    name = f"slash-{request.param}-{abs(hash(request.node.name)) % (1 << 40):x}"
    bare.create_bucket(Bucket=name)
    return name


def body(s3: Any, bucket: str, key: str, **more: Any) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read())


def listed(s3: Any, bucket: str, **more: Any) -> list[tuple[str, int]]:
    return [(one["Key"], one["Size"]) for one in s3.list_objects_v2(Bucket=bucket, **more).get("Contents", [])]


@pytest.mark.parametrize("content", [b"content", LONG])
def test_content_and_metadata_are_read_as_they_were_written(s3: Any, bare: Any, bucket: str, content: bytes) -> None:
    name = {"Bucket": bucket, "Key": "report/"}
    etag = s3.put_object(**name, Body=content, Metadata={"colour": "blue"}, ContentType="text/plain")["ETag"]
    found = s3.get_object(**name)
    assert (found["Body"].read(), found["Metadata"]) == (content, {"colour": "blue"})
    assert found["ContentType"] == "text/plain"
    assert (s3.head_object(**name)["ContentLength"], s3.head_object(**name)["ETag"]) == (len(content), etag)
    assert body(s3, bucket, "report/", Range="bytes=1-3") == content[1:4]
    assert s3.get_object_attributes(**name, ObjectAttributes=["ObjectSize"])["ObjectSize"] == len(content)
    assert listed(s3, bucket) == [("report/", len(content))]
    url = s3.generate_presigned_url("get_object", Params=name)
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - loopback
        assert answer.read() == content
    (stored,) = bare.list_objects_v2(Bucket=bucket)["Contents"]
    assert stored["Key"] == "report/" + SEGMENT
    if bucket.startswith("slash-sealed"):
        assert content[:16] not in bare.get_object(Bucket=bucket, Key=stored["Key"])["Body"].read()


def test_content_takes_the_place_of_a_folder_and_the_reverse(s3: Any, bare: Any, bucket: str) -> None:
    name = {"Bucket": bucket, "Key": "d/"}
    s3.put_object(**name, Body=b"")
    assert [one["Key"] for one in bare.list_objects_v2(Bucket=bucket)["Contents"]] == ["d/"]
    s3.put_object(**name, Body=b"content")
    assert (body(s3, bucket, "d/"), listed(s3, bucket)) == (b"content", [("d/", 7)])
    s3.put_object(**name, Body=b"")
    assert (body(s3, bucket, "d/"), listed(s3, bucket)) == (b"", [("d/", 0)])


def test_a_write_is_answered_after_the_directory_is_gone(tmp_path: Path, store: SeaweedServer, bucket: str) -> None:
    """Or else what the client has put there by then would go with it."""
    with StoreRelay(store.address) as relay:
        settings = {"store_address": relay.address}
        with ProxyProcess(tmp_path, store, policy=POLICY, settings=settings) as proxy:
            client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
            relay.exchanges.clear()
            client.put_object(Bucket=bucket, Key="d/", Body=b"content")
            asked = [one for one in relay.exchanges if one.target.startswith(f"/{bucket}/d/")]
            assert [(one.method, one.status) for one in asked] == [("PUT", 200), ("DELETE", 204)]
            client.close()


def test_what_a_program_beside_the_proxy_makes_of_the_directory_is_no_second_entry(
    s3: Any, bare: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="d/", Body=b"content")
    s3.put_object(Bucket=bucket, Key="d/a", Body=b"a")
    bare.put_object(Bucket=bucket, Key="d/", Body=b"")
    assert body(s3, bucket, "d/") == b"content"
    page = s3.list_objects_v2(Bucket=bucket)
    assert ([one["Key"] for one in page["Contents"]], page["KeyCount"]) == (["d/", "d/a"], 2)
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(one["Key"], one["Size"]) for one in versions] == [("d/", 7), ("d/a", 1)]


def test_a_deleted_key_is_gone_with_content_and_folder(s3: Any, bare: Any, bucket: str) -> None:
    several = {"Objects": [{"Key": "d/"}, {"Key": "none"}]}
    for operation, wish in (("delete_object", {"Key": "d/"}), ("delete_objects", {"Delete": several})):
        s3.put_object(Bucket=bucket, Key="d/", Body=b"")
        s3.put_object(Bucket=bucket, Key="d/", Body=b"content")
        bare.put_object(Bucket=bucket, Key="d/", Body=b"")
        answer = getattr(s3, operation)(Bucket=bucket, **wish)
        assert "Errors" not in answer
        assert {one["Key"] for one in answer.get("Deleted", [])} <= {"d/", "none"}
        assert refusal_of(s3.get_object, Bucket=bucket, Key="d/") == "NoSuchKey"
        assert "Contents" not in bare.list_objects_v2(Bucket=bucket)


def test_a_deleted_key_is_gone_although_others_are_below_it(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="d/a", Body=b"a")
    assert refusal_of(s3.get_object, Bucket=bucket, Key="d/") == "NoSuchKey"
    for content in (b"content", b""):
        s3.put_object(Bucket=bucket, Key="d/", Body=content, IfNoneMatch="*")
        assert body(s3, bucket, "d/") == content
        s3.delete_object(Bucket=bucket, Key="d/")
        assert refusal_of(s3.head_object, Bucket=bucket, Key="d/") == "404"
        assert listed(s3, bucket) == [("d/a", 1)]


def test_lists_go_on_behind_such_a_key(s3: Any, bucket: str) -> None:
    keys = ["d/", "d/!a", "d/a", "d/sub/", "e"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    assert [key for key, _ in listed(s3, bucket)] == keys
    for size in (1, 2):
        v1 = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [one["Key"] for page in v1 for one in page.get("Contents", [])] == keys
        v2 = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [one["Key"] for page in v2 for one in page.get("Contents", [])] == keys
    for after in keys:
        rest = keys[keys.index(after) + 1 :]
        assert [key for key, _ in listed(s3, bucket, StartAfter=after)] == rest
        page = s3.list_objects(Bucket=bucket, Marker=after)
        assert [one["Key"] for one in page.get("Contents", [])] == rest
        assert page["Marker"] == after
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [one["Prefix"] for one in page["CommonPrefixes"]] == ["d/"]
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="d/")
    assert [one["Key"] for one in page["Contents"]] == ["d/", "d/!a", "d/a"]
    assert [one["Prefix"] for one in page["CommonPrefixes"]] == ["d/sub/"]
    assert [key for key, _ in listed(s3, bucket, Prefix="d/!")] == ["d/!a"]
    assert refusal_of(s3.list_objects_v2, Bucket=bucket, Delimiter="!") == "NotImplemented"


def test_copies_tags_and_uploads_know_such_a_key(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="from/", Body=b"content", Tagging="a=b")
    s3.copy_object(Bucket=bucket, Key="to/", CopySource=f"{bucket}/from/")
    s3.copy_object(Bucket=bucket, Key="plain", CopySource=f"{bucket}/to/")
    assert [body(s3, bucket, key) for key in ("from/", "to/", "plain")] == [b"content"] * 3
    tags = {"TagSet": [{"Key": "c", "Value": "d"}]}
    s3.put_object_tagging(Bucket=bucket, Key="from/", Tagging=tags)
    assert s3.get_object_tagging(Bucket=bucket, Key="from/")["TagSet"] == tags["TagSet"]
    s3.delete_object_tagging(Bucket=bucket, Key="from/")
    assert s3.get_object_tagging(Bucket=bucket, Key="from/")["TagSet"] == []
    name = {"Bucket": bucket, "Key": "up/"}
    begun = s3.create_multipart_upload(**name)
    upload = begun["UploadId"]
    (shown,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (shown["Key"], shown["UploadId"]) == ("up/", upload)
    named = name | {"UploadId": upload}
    first = s3.upload_part(**named, PartNumber=1, Body=LONG)["ETag"]
    second = s3.upload_part_copy(**named, PartNumber=2, CopySource=f"{bucket}/to/")["CopyPartResult"]["ETag"]
    shown = s3.list_parts(**named)
    assert len(shown["Parts"]) == 2
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    made = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert [answer["Key"] for answer in (begun, shown, made)] == ["up/"] * 3
    assert SEGMENT not in made["Location"]
    assert body(s3, bucket, "up/") == LONG + b"content"
    s3.copy_object(Bucket=bucket, Key="up2/", CopySource=f"{bucket}/up/")
    assert body(s3, bucket, "up2/") == LONG + b"content"
    other = s3.create_multipart_upload(**name)["UploadId"]
    s3.abort_multipart_upload(**name, UploadId=other)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_conditions_are_those_of_what_clients_see(s3: Any, bucket: str) -> None:
    name = {"Bucket": bucket, "Key": "d/"}
    s3.put_object(**name, Body=b"")
    assert refusal_of(s3.put_object, **name, Body=b"x", IfNoneMatch="*") == "PreconditionFailed"
    assert refusal_of(s3.put_object, **name, Body=b"x", IfMatch='"other"') == "PreconditionFailed"
    etag = s3.put_object(**name, Body=b"first", IfMatch=s3.head_object(**name)["ETag"])["ETag"]
    assert body(s3, bucket, "d/") == b"first"
    assert refusal_of(s3.put_object, **name, Body=b"x", IfNoneMatch="*") == "PreconditionFailed"
    assert refusal_of(s3.put_object, **name, Body=b"", IfNoneMatch="*") == "PreconditionFailed"
    s3.put_object(**name, Body=b"second", IfMatch=etag)
    assert refusal_of(s3.put_object, **name, Body=b"x", IfMatch=etag) == "PreconditionFailed"
    assert body(s3, bucket, "d/") == b"second"


@pytest.mark.parametrize("key", ["d/", "plain"])
@pytest.mark.parametrize("content", [b"", b"content"])
def test_no_condition_of_a_deletion_is_dropped(s3: Any, bucket: str, key: str, content: bytes) -> None:
    name = {"Bucket": bucket, "Key": key}
    s3.put_object(**name, Body=content)
    for wish, code in (
        ({"ETag": '"0123"'}, "PreconditionFailed"),
        ({"Size": 99}, "NotImplemented"),
        ({"LastModifiedTime": 0}, "NotImplemented"),
    ):
        (error,) = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key, **wish}]})["Errors"]
        assert (error["Key"], error["Code"]) == (key, code)
    assert refusal_of(s3.delete_object, **name, IfMatch='"0123"') == "PreconditionFailed"
    for more in ({"IfMatchSize": 99}, {"IfMatchLastModifiedTime": 0}):
        assert refusal_of(s3.delete_object, **name, **more) == "NotImplemented"
    assert body(s3, bucket, key) == content
    upload = name | {"UploadId": s3.create_multipart_upload(**name)["UploadId"]}
    assert refusal_of(s3.abort_multipart_upload, **upload, IfMatchInitiatedTime=0) == "NotImplemented"
    s3.abort_multipart_upload(**upload)


def test_versions_of_such_a_key(s3: Any, bare: Any, bucket: str) -> None:
    bare.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    name = {"Bucket": bucket, "Key": "d/"}
    first = s3.put_object(**name, Body=b"first")["VersionId"]
    second = s3.put_object(**name, Body=b"second")["VersionId"]
    assert body(s3, bucket, "d/", VersionId=first) == b"first"
    shown = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert {(one["Key"], one["VersionId"], one["Size"]) for one in shown} == {("d/", first, 5), ("d/", second, 6)}
    marker = s3.delete_object(**name)
    assert marker["DeleteMarker"] is True
    assert refusal_of(s3.get_object, **name) == "NoSuchKey"
    (told,) = s3.list_object_versions(Bucket=bucket)["DeleteMarkers"]
    assert (told["Key"], told["VersionId"]) == ("d/", marker["VersionId"])
    s3.delete_object(**name, VersionId=marker["VersionId"])
    assert body(s3, bucket, "d/") == b"second"


def test_the_segment_that_the_proxy_needs_is_no_name_of_clients(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="d/", Body=b"content")
    name = {"Bucket": bucket, "Key": kept_key("d/")}
    assert refusal_of(s3.get_object, **name) == "NoSuchKey"
    assert refusal_of(s3.put_object, **name, Body=b"x") == "NotImplemented"
    assert refusal_of(s3.delete_object, **name) == "NotImplemented"
    (error,) = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name["Key"]}]})["Errors"]
    assert error["Code"] == "NotImplemented"
    assert refusal_of(s3.copy_object, Bucket=bucket, Key="c", CopySource=name) == "NoSuchKey"
    assert refusal_of(s3.create_multipart_upload, **name) == "NotImplemented"
    assert body(s3, bucket, "d/") == b"content"


def test_only_stores_that_drop_content_have_a_segment_of_the_proxy() -> None:
    key = kept_key("d/")
    for name in (key, key + "/", key + "/a"):  # below it, it would be a directory where content is to be
        Capabilities(slash_content=True, changed_names=frozenset()).require_name(name, method="PUT")
        with pytest.raises(S3Error, match="segment"):
            Capabilities(slash_content=False).require_name(name, method="PUT")
    Capabilities(slash_content=False).require_name(f"{SEGMENT}/{SEGMENT}a", method="GET")
    with pytest.raises(UnavailableError):
        Capabilities().require_name(key, method="GET")
    assert (shown_key(key), shown_key(SEGMENT)) == ("d/", SEGMENT)


@pytest.mark.parametrize("segment", [SEGMENT, "%21" * 8])
def test_a_page_has_one_entry_for_each_key(segment: str) -> None:
    slash = "/" if segment == SEGMENT else "%2F"
    entries = [f"<Contents><Key>d{slash}{tail}</Key><Size>1</Size></Contents>" for tail in ("", segment, "a")]
    page = f"<ListBucketResult><KeyCount>3</KeyCount>{''.join(entries)}</ListBucketResult>"
    shown = shown_names(page, prefix="d/", after="", is_encoded=segment != SEGMENT)
    assert shown == page.replace(entries[0], "").replace(segment, "").replace("<KeyCount>3", "<KeyCount>2")

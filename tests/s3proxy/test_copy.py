"""CopyObject through the proxy: within a policy, between policies, from and to what is not sealed."""

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.refusals import refusal_of

POLICY = """\
[[policy]]
name = "one"
kek = "file"
buckets = ["copy-one"]
etag = "md5"

[[policy]]
name = "two"
kek = "file"
buckets = ["copy-two"]

[[policy]]
name = "moving"
kek = "file"
buckets = ["copy-moving"]
mode = "migrate"
etag = "md5"

[[policy]]
name = "open"
kek = "file"
buckets = ["copy-open"]
mode = "passthrough"
"""
BIG = os.urandom((2 << 20) + 11)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[Any]:
    with ProxyProcess(tmp_path_factory.mktemp("copy"), store, policy=POLICY) as running:
        client = client_of(running.url, running.access_key, running.secret_key)
        for name in ("one", "two", "moving", "open"):
            client.create_bucket(Bucket=f"copy-{name}")
        yield client


def md5_of(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def tags_of(s3: Any, **name: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**name)["TagSet"]}


@pytest.fixture(params=[b"", b"small", BIG], ids=["empty", "small", "big"])
def source(s3: Any, request: pytest.FixtureRequest) -> tuple[dict[str, str], bytes]:
    name = {"Bucket": "copy-one", "Key": "from/a b+ü"}
    s3.put_object(
        **name,
        Body=request.param,
        Metadata={"colour": "blue"},
        ContentType="text/x-test",
        CacheControl="no-store",
        Tagging="kind=a&size=b%20c",
        ChecksumAlgorithm="SHA256",
    )
    return name, request.param


@pytest.mark.parametrize("bucket", ["copy-one", "copy-two", "copy-moving"])
def test_a_copy_has_what_its_source_has(s3: Any, bare: Any, source: tuple[dict[str, str], bytes], bucket: str) -> None:
    name, body = source
    target = {"Bucket": bucket, "Key": "to/copy"}
    answer = s3.copy_object(**target, CopySource=name)["CopyObjectResult"]
    got = s3.get_object(**target, ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert (got["Metadata"], got["ContentType"], got["CacheControl"]) == ({"colour": "blue"}, "text/x-test", "no-store")
    assert answer["ETag"] == got["ETag"] == s3.head_object(**target)["ETag"]
    assert (got["ETag"] == md5_of(body)) == (bucket != "copy-two")
    assert answer["ChecksumSHA256"] == got["ChecksumSHA256"]
    assert tags_of(s3, **target) == {"kind": "a", "size": "b c"}
    assert bare.get_object(**target)["Body"].read(4) == b"SEG1"


def test_a_native_copy_is_the_same_bytes(s3: Any, bare: Any) -> None:
    s3.put_object(Bucket="copy-one", Key="native", Body=BIG)
    s3.copy_object(Bucket="copy-one", Key="native-copy", CopySource="copy-one/native")
    s3.copy_object(Bucket="copy-two", Key="native-copy", CopySource="copy-one/native")
    stored = bare.get_object(Bucket="copy-one", Key="native")["Body"].read()
    assert bare.get_object(Bucket="copy-one", Key="native-copy")["Body"].read() == stored
    assert bare.get_object(Bucket="copy-two", Key="native-copy")["Body"].read() != stored


@pytest.mark.parametrize("bucket", ["copy-one", "copy-two"])
def test_metadata_and_tags_are_replaced(s3: Any, source: tuple[dict[str, str], bytes], bucket: str) -> None:
    name, body = source
    target = {"Bucket": bucket, "Key": "to/replaced"}
    s3.copy_object(
        **target,
        CopySource=name,
        MetadataDirective="REPLACE",
        Metadata={"shape": "round"},
        ContentType="text/other",
        TaggingDirective="REPLACE",
        Tagging="new=1",
    )
    got = s3.get_object(**target)
    assert got["Body"].read() == body
    assert (got["Metadata"], got["ContentType"], got.get("CacheControl")) == ({"shape": "round"}, "text/other", None)
    assert tags_of(s3, **target) == {"new": "1"}


def test_onto_itself(s3: Any) -> None:
    name = {"Bucket": "copy-one", "Key": "self"}
    s3.put_object(**name, Body=BIG, Metadata={"a": "1"})
    assert refusal_of(s3.copy_object, **name, CopySource=name) == "InvalidRequest"
    s3.copy_object(**name, CopySource=name, MetadataDirective="REPLACE", Metadata={"b": "2"})
    got = s3.get_object(**name)
    assert (got["Metadata"], got["Body"].read()) == ({"b": "2"}, BIG)


def test_plaintext_is_sealed_where_it_stands(s3: Any, bare: Any) -> None:
    name = {"Bucket": "copy-moving", "Key": "plain"}
    bare.put_object(**name, Body=BIG, Metadata={"a": "1"}, Tagging="t=1")
    assert s3.get_object(**name)["Body"].read() == BIG
    s3.copy_object(**name, CopySource=name)
    assert bare.get_object(**name)["Body"].read(4) == b"SEG1"
    got = s3.get_object(**name)
    assert (got["Metadata"], got["Body"].read()) == ({"a": "1"}, BIG)
    assert tags_of(s3, **name) == {"t": "1"}


def test_what_is_not_sealed(s3: Any, bare: Any) -> None:
    s3.put_object(Bucket="copy-open", Key="open", Body=BIG)
    s3.copy_object(Bucket="copy-open", Key="open-copy", CopySource="copy-open/open")
    assert bare.get_object(Bucket="copy-open", Key="open-copy")["Body"].read() == BIG
    s3.copy_object(Bucket="copy-one", Key="sealed-copy", CopySource="copy-open/open")
    assert bare.get_object(Bucket="copy-one", Key="sealed-copy")["Body"].read(4) == b"SEG1"
    assert s3.get_object(Bucket="copy-one", Key="sealed-copy")["Body"].read() == BIG
    refused = {"Bucket": "copy-open", "Key": "leak", "CopySource": "copy-one/sealed-copy"}
    assert refusal_of(s3.copy_object, **refused) == "InvalidRequest"
    assert refusal_of(bare.head_object, Bucket="copy-open", Key="leak") == "404"
    bare.put_object(Bucket="copy-one", Key="plain", Body=b"x")
    assert refusal_of(s3.copy_object, Bucket="copy-two", Key="x", CopySource="copy-one/plain") == "InternalError"


def test_conditions_of_source_and_target(s3: Any) -> None:
    name, target = {"Bucket": "copy-one", "Key": "if"}, {"Bucket": "copy-one", "Key": "if-copy"}
    etag = s3.put_object(**name, Body=b"1")["ETag"]
    for condition in ({"CopySourceIfMatch": '"0"'}, {"CopySourceIfNoneMatch": etag}):
        assert refusal_of(s3.copy_object, **target, CopySource=name, **condition) == "PreconditionFailed"
    assert refusal_of(s3.head_object, **target) == "404"
    s3.copy_object(**target, CopySource=name, CopySourceIfMatch=etag)
    assert refusal_of(s3.copy_object, **target, CopySource=name, IfNoneMatch="*") == "PreconditionFailed"
    assert refusal_of(s3.copy_object, **target, CopySource=name, IfMatch='"0"') == "PreconditionFailed"
    s3.copy_object(**target, CopySource=name, IfMatch=etag)


def test_a_version(s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="copy-one", VersioningConfiguration={"Status": "Enabled"})
    try:
        name = {"Bucket": "copy-one", "Key": "versions"}
        first = s3.put_object(**name, Body=b"first")["VersionId"]
        s3.put_object(**name, Body=b"second")
        old = {**name, "VersionId": first}
        answer = s3.copy_object(Bucket="copy-one", Key="old", CopySource=old)
        assert answer["CopySourceVersionId"] == first
        assert s3.get_object(Bucket="copy-one", Key="old", VersionId=answer["VersionId"])["Body"].read() == b"first"
        s3.copy_object(**name, CopySource=old)
        assert s3.get_object(**name)["Body"].read() == b"first"
        s3.copy_object(Bucket="copy-two", Key="old", CopySource=old)
        assert s3.get_object(Bucket="copy-two", Key="old")["Body"].read() == b"first"
    finally:
        s3.put_bucket_versioning(Bucket="copy-one", VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize("bucket", ["copy-one", "copy-two"])
def test_a_multipart_object(s3: Any, bucket: str) -> None:
    name = {"Bucket": "copy-one", "Key": "parts"}
    bodies = [os.urandom(5 << 20), os.urandom(70_000)]
    upload = s3.create_multipart_upload(**name, Metadata={"a": "1"}, Tagging="t=1")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**name, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, 1)
    ]
    s3.complete_multipart_upload(**name, UploadId=upload, MultipartUpload={"Parts": parts})
    target = {"Bucket": bucket, "Key": "parts-copy"}
    answer = s3.copy_object(**target, CopySource=name)
    got = s3.get_object(**target)
    assert got["Body"].read() == b"".join(bodies)
    assert (got["Metadata"], got["ETag"]) == ({"a": "1"}, answer["CopyObjectResult"]["ETag"])
    assert tags_of(s3, **target) == {"t": "1"}
    (item,) = s3.list_objects_v2(Bucket=bucket, Prefix="parts-copy")["Contents"]
    assert item["Size"] == sum(map(len, bodies))


def test_another_checksum(s3: Any) -> None:
    name, target = {"Bucket": "copy-one", "Key": "summed"}, {"Bucket": "copy-one", "Key": "summed-copy"}
    s3.put_object(**name, Body=b"hello", ChecksumAlgorithm="CRC32")
    expected = s3.put_object(Bucket="copy-one", Key="same", Body=b"hello", ChecksumAlgorithm="SHA1")["ChecksumSHA1"]
    assert (
        s3.copy_object(**target, CopySource=name, ChecksumAlgorithm="SHA1")["CopyObjectResult"]["ChecksumSHA1"]
        == expected
    )
    assert s3.head_object(**target, ChecksumMode="ENABLED")["ChecksumSHA1"] == expected


def test_a_missing_bucket_and_a_missing_object_are_told_apart(proxy: ProxyProcess) -> None:
    s3 = client_of(proxy.url, proxy.access_key, proxy.secret_key)
    bucket = "copy-sources"
    s3.create_bucket(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="x")["UploadId"]
    for source, code in (("no-such-bucket/x", "NoSuchBucket"), (f"{bucket}/missing", "NoSuchKey")):
        assert refusal_of(s3.copy_object, Bucket=bucket, Key="x", CopySource=source) == code
        part = {"UploadId": upload, "PartNumber": 1}
        assert refusal_of(s3.upload_part_copy, Bucket=bucket, Key="x", CopySource=source, **part) == code


@pytest.mark.parametrize("text", ["copy-one/k%2B1", "/copy-one/k%2B1", "copy-one%2Fk%2B1", "%2Fcopy-one%2Fk%2B1"])
@pytest.mark.parametrize("version", ["", "?versionId="])
def test_each_spelling_of_a_source_that_s3_takes(s3: Any, text: str, version: str) -> None:
    s3.put_object(Bucket="copy-one", Key="k+1", Body=b"spelled")

    def spell(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["x-amz-copy-source"] = text + version

    s3.meta.events.register("before-call.s3.CopyObject", spell)  # boto3 has one spelling of its own
    try:
        s3.copy_object(Bucket="copy-two", Key="spelled", CopySource="copy-one/k+1")
    finally:
        s3.meta.events.unregister("before-call.s3.CopyObject", spell)
    assert s3.get_object(Bucket="copy-two", Key="spelled")["Body"].read() == b"spelled"
    s3.delete_object(Bucket="copy-two", Key="spelled")


def test_what_may_not_be_a_source(s3: Any) -> None:
    for source, code in (("strongroom-system/x", "AccessDenied"), ("unknown-bucket/x", "AccessDenied")):
        assert refusal_of(s3.copy_object, Bucket="copy-one", Key="x", CopySource=source) == code
    assert refusal_of(s3.copy_object, Bucket="copy-one", Key="x", CopySource="copy-one/missing") in {"NoSuchKey", "404"}

"""What the proxy passes on, what it refuses by name, and objects that are not sealed."""

import contextlib
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from urllib3.filepost import encode_multipart_formdata

from devstack.authority import write_private
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
from s3proxy.s3api.signer import Signer, StoreCredential
from strongroom.secret import Secret
from tests.s3proxy.conftest import client_of
from tests.support.s3.refusals import refusal_of

POLICY = """\
[[policy]]
name = "moving"
kek = "file"
buckets = ["modes-moving"]
mode = "migrate"

[[policy]]
name = "open"
kek = "file"
buckets = ["modes-open"]
mode = "passthrough"

[[policy]]
name = "opaque"
kek = "file"
buckets = ["modes-opaque"]
etag = "opaque"

[[policy]]
name = "sealed"
kek = "file"
buckets = ["modes-sealed"]
"""
ANONYMOUS = """\
[[credential]]
access_key_id = "owner"
secret_key = "owner-secret-key"

[[credential.grant]]
buckets = ["*"]
rights = ["read", "write", "list", "delete", "admin"]

[[anonymous]]
buckets = ["modes-sealed"]
prefixes = ["public/"]
rights = ["read"]
"""
BIG = os.urandom((3 << 20) + 5)


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[ProxyProcess]:
    directory = tmp_path_factory.mktemp("modes")
    write_private(directory / "clients.toml", ANONYMOUS.encode())
    settings = {"credentials_file": str(directory / "clients.toml")}
    with ProxyProcess(directory, store, policy=POLICY, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def s3(modes: ProxyProcess) -> Any:
    client = client_of(modes.url, "owner", "owner-secret-key", signature_version="s3v4")
    for name in ("moving", "open", "opaque", "sealed"):
        client.create_bucket(Bucket=f"modes-{name}")
    return client


def http_answer(
    url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str | bytes] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    parts = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        answer = connection.getresponse()
        return answer, answer.read()


def test_plaintext_under_a_sealed_name_is_refused(s3: Any, bare: Any) -> None:
    name = {"Bucket": "modes-sealed", "Key": "plain"}
    bare.put_object(**name, Body=BIG)
    assert refusal_of(s3.get_object, **name) == "InternalError"
    assert refusal_of(s3.get_object, **name, Range="bytes=0-9") == "InternalError"
    assert refusal_of(s3.head_object, **name) == "500"
    assert refusal_of(s3.get_object_attributes, **name, ObjectAttributes=["ObjectSize"]) == "InternalError"
    s3.delete_object(**name)
    assert refusal_of(s3.head_object, **name) == "404"


def test_a_sealed_object_under_another_name_is_refused(s3: Any, bare: Any) -> None:
    s3.put_object(Bucket="modes-sealed", Key="mine", Body=b"x")
    bare.copy_object(Bucket="modes-sealed", Key="moved", CopySource="modes-sealed/mine")
    assert refusal_of(s3.get_object, Bucket="modes-sealed", Key="moved") == "InternalError"


def test_an_object_of_a_policy_that_is_not_of_its_bucket_is_refused(s3: Any, bare: Any) -> None:
    """Anyone who holds the key of one policy cannot plant objects in the buckets of another."""
    s3.put_object(Bucket="modes-opaque", Key="planted", Body=b"x")
    bare.copy_object(Bucket="modes-sealed", Key="planted", CopySource="modes-opaque/planted")
    assert refusal_of(s3.get_object, Bucket="modes-sealed", Key="planted") == "KMS.NotFoundException"


@pytest.mark.parametrize("bucket", ["modes-moving", "modes-open"])
@pytest.mark.parametrize("body", [b"", b"hello", BIG], ids=["empty", "small", "big"])
def test_plaintext_reads_as_it_does_from_the_store(s3: Any, bare: Any, bucket: str, body: bytes) -> None:
    name = {"Bucket": bucket, "Key": "plain"}
    bare.put_object(**name, Body=body, Metadata={"a": "1"}, ContentType="text/x-test", CacheControl="no-store")
    etag = bare.head_object(**name)["ETag"]
    asked: list[dict[str, Any]] = [{}, {"IfMatch": etag}, {"ResponseContentType": "text/other"}]
    if body:
        asked += [{"Range": "bytes=1-3"}, {"Range": "bytes=-2"}, {"Range": "bytes=1-3", "IfMatch": etag}]
    for parameters in asked:
        answers = [client.get_object(**name, **parameters) for client in (s3, bare)]
        contents = [answer.pop("Body").read() for answer in answers]
        assert contents[0] == contents[1]
        for member in ("ContentLength", "ContentRange", "ETag", "Metadata", "ContentType", "CacheControl"):
            assert answers[0].get(member) == answers[1].get(member)
    assert s3.head_object(**name)["ContentLength"] == len(body)
    for parameters in ({"IfNoneMatch": etag}, {"IfMatch": '"0"'}, {"Range": "bytes=99999999-"}):
        assert refusal_of(s3.get_object, **name, **parameters) == refusal_of(bare.get_object, **name, **parameters)
    assert s3.get_object_attributes(**name, ObjectAttributes=["ObjectSize"])["ObjectSize"] == len(body)


def test_a_bucket_being_migrated_is_written_sealed(s3: Any, bare: Any) -> None:
    name = {"Bucket": "modes-moving", "Key": "rewritten"}
    bare.put_object(**name, Body=b"plain")
    etag = bare.head_object(**name)["ETag"]
    assert refusal_of(s3.put_object, **name, Body=b"x", IfMatch='"0"') == "PreconditionFailed"
    s3.put_object(**name, Body=b"sealed", IfMatch=etag)
    assert bare.get_object(**name)["Body"].read(4) == b"SEG1"
    assert s3.get_object(**name)["Body"].read() == b"sealed"


@pytest.mark.parametrize("body", [b"", b"hello", BIG], ids=["empty", "small", "big"])
def test_an_open_bucket_is_written_as_it_is(s3: Any, bare: Any, body: bytes) -> None:
    name = {"Bucket": "modes-open", "Key": "written"}
    s3.put_object(**name, Body=body, Metadata={"a": "1"}, ContentEncoding="gzip", CacheControl="no-store")
    got = bare.get_object(**name)
    assert got["Body"].read() == body
    assert (got["Metadata"], got["ContentEncoding"], got["CacheControl"]) == ({"a": "1"}, "gzip", "no-store")
    assert refusal_of(s3.put_object, **name, Body=body + b"1", ChecksumCRC32="AAAAAA==") == "BadDigest"
    assert bare.get_object(**name)["Body"].read() == body


def test_checksums_of_an_open_bucket_reach_the_store(s3: Any, bare: Any) -> None:
    name = {"Bucket": "modes-open", "Key": "summed"}
    for body in (b"hello", BIG):
        answers = [client.put_object(**name, Body=body, ChecksumAlgorithm="SHA256") for client in (s3, bare)]
        assert answers[0]["ChecksumSHA256"] == answers[1]["ChecksumSHA256"]


def test_a_form_posted_to_an_open_bucket(s3: Any, bare: Any, modes: ProxyProcess) -> None:
    for body in (b"", BIG):
        post = s3.generate_presigned_post("modes-open", "posted")
        parts: Any = [*post["fields"].items(), ("file", ("x", body, "text/plain"))]
        form, content_type = encode_multipart_formdata(parts)
        answer, _ = http_answer(f"{modes.url}/modes-open", "POST", form, {"Content-Type": content_type})
        got = bare.get_object(Bucket="modes-open", Key="posted")
        assert (answer.status, answer.getheader("ETag"), got["Body"].read()) == (204, got["ETag"], body)


def test_opaque_etags_are_made_of_the_stores(s3: Any, bare: Any) -> None:
    name = {"Bucket": "modes-opaque", "Key": "k"}
    for body in (b"x", BIG):
        put = s3.put_object(**name, Body=body, ChecksumAlgorithm="SHA256")
        head = s3.head_object(**name, ChecksumMode="ENABLED")
        shown = f'"{bare.head_object(**name)["ETag"].strip(chr(34))}-1"'
        assert put["ETag"] == head["ETag"] == s3.get_object(**name)["ETag"] == shown
        assert head["ChecksumSHA256"] == put["ChecksumSHA256"]
        s3.put_object(**name, Body=body, IfMatch=put["ETag"])


def test_folders(s3: Any, bare: Any) -> None:
    """Of a key with a slash at its end this store makes a directory; what content it gets is kept beside that."""
    name = {"Bucket": "modes-sealed", "Key": "folder/"}
    s3.put_object(**name, Body=b"")
    assert bare.head_object(**name)["Metadata"] == {}
    assert s3.head_object(**name)["ContentLength"] == 0
    assert s3.get_object(**name)["Body"].read() == b""
    (item,) = s3.list_objects_v2(Bucket="modes-sealed", Prefix="folder/")["Contents"]
    assert (item["Key"], item["Size"]) == ("folder/", 0)
    s3.put_object(**name, Body=b"content")
    assert s3.get_object(**name)["Body"].read() == b"content"
    s3.delete_object(**name)
    assert refusal_of(s3.get_object, **name) == "NoSuchKey"


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("request_line", ["PUT /{}/unknown", "POST /{}?delete", "PUT /{}/k?tagging"])
@pytest.mark.parametrize("bucket", ["modes-sealed", "modes-open"])
def test_a_body_of_unknown_length_is_refused_and_never_taken_for_none(
    modes: ProxyProcess, bare: Any, bucket: str, request_line: str
) -> None:
    method, path = request_line.format(bucket).split()
    raw_path, _, query = path.partition("?")
    signer = Signer(StoreCredential("owner", Secret(b"owner-secret-key")), region=REGION)
    signed = signer.sign(
        method,
        host=modes.address,
        raw_path=raw_path,
        raw_query=f"{query}=" if query else "",
        headers={},
        now=datetime.now(UTC),
    )
    connection = http.client.HTTPConnection(modes.address, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, iter([b"some ", b"bytes"]), signed, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, b"MissingContentLength" in answer.read()) == (411, True)
    assert "unknown" not in [one["Key"] for one in bare.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_too_much_metadata(s3: Any) -> None:
    name = {"Bucket": "modes-sealed", "Key": "metadata"}
    room = 2048 - len("seg1") - 512
    s3.put_object(**name, Body=b"", Metadata={"a": "x" * (room - 1)})
    assert s3.head_object(**name)["Metadata"] == {"a": "x" * (room - 1)}
    assert refusal_of(s3.put_object, **name, Body=b"", Metadata={"a": "x" * room}) == "MetadataTooLarge"
    assert refusal_of(s3.put_object, **name, Body=b"", Metadata={"seg1": "x"}) == "InvalidArgument"
    assert refusal_of(s3.put_object, **name, Body=b"", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32) == (
        "NotImplemented"
    )


def test_metadata_is_utf_8(s3: Any) -> None:
    name = {"Bucket": "modes-sealed", "Key": "utf-8"}
    url = s3.generate_presigned_url("put_object", Params=name)
    answer, body = http_answer(url, "PUT", b"x", {"Cache-Control": b"\xe9"})
    assert (answer.status, b"<Code>InvalidArgument</Code>" in body) == (400, True)
    assert http_answer(url, "PUT", b"x", {"Cache-Control": "é€".encode()})[0].status == 200
    assert s3.head_object(**name)["CacheControl"].encode("latin-1").decode() == "é€"


def test_presigned(s3: Any) -> None:
    name = {"Bucket": "modes-sealed", "Key": "presigned ü"}
    put = s3.generate_presigned_url("put_object", Params=name | {"ContentType": "text/x-test"})
    assert http_answer(put, "PUT", BIG, {"Content-Type": "text/x-test"})[0].status == 200
    overriding = {"ResponseContentType": "text/other", "ResponseContentDisposition": 'attachment; filename="x"'}
    answer, body = http_answer(s3.generate_presigned_url("get_object", Params=name | overriding))
    assert (answer.status, body == BIG) == (200, True)
    assert answer.getheader("Content-Type") == "text/other"
    assert answer.getheader("Content-Disposition") == 'attachment; filename="x"'
    head = s3.generate_presigned_url("head_object", Params=name)
    answer, _ = http_answer(head, "HEAD")
    assert (answer.getheader("Content-Length"), answer.getheader("Content-Type")) == (str(len(BIG)), "text/x-test")
    assert http_answer(head, "GET")[0].status == 403
    answer, body = http_answer(s3.generate_presigned_url("get_object", Params=name), headers={"Range": "bytes=5-9"})
    assert (answer.status, body) == (206, BIG[5:10])
    assert http_answer(s3.generate_presigned_url("delete_object", Params=name), "DELETE")[0].status == 204
    assert http_answer(s3.generate_presigned_url("get_object", Params=name))[0].status == 404


def test_anonymous_reads_only_where_allowed(s3: Any, modes: ProxyProcess) -> None:
    for key in ("public/a", "private/a"):
        s3.put_object(Bucket="modes-sealed", Key=key, Body=b"x")
    asked = {
        ("GET", "/modes-sealed/public/a"): 200,
        ("HEAD", "/modes-sealed/public/a"): 200,
        ("GET", "/modes-sealed/private/a"): 403,
        ("PUT", "/modes-sealed/public/b"): 403,
        ("DELETE", "/modes-sealed/public/a"): 403,
        ("GET", "/modes-sealed?list-type=2"): 403,
        ("GET", "/"): 403,
    }
    assert {place: http_answer(modes.url + place[1], place[0])[0].status for place in asked} == asked


def test_cross_origin(s3: Any) -> None:
    rule = {
        "AllowedMethods": ["GET", "PUT"],
        "AllowedOrigins": ["https://app.example"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
    }
    s3.put_bucket_cors(Bucket="modes-sealed", CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(Bucket="modes-sealed")["CORSRules"][0]["AllowedMethods"] == ["GET", "PUT"]
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "modes-sealed", "Key": "crossed"})
    origin = {"Origin": "https://app.example"}
    asks = origin | {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    answer, _ = http_answer(url, "OPTIONS", headers=asks)
    assert (answer.status, answer.getheader("Access-Control-Allow-Origin")) == (200, "https://app.example")
    assert "PUT" in (answer.getheader("Access-Control-Allow-Methods") or "")
    answer, _ = http_answer(url, "PUT", b"x", origin)
    assert (answer.status, answer.getheader("Access-Control-Allow-Origin")) == (200, "https://app.example")
    read = s3.generate_presigned_url("get_object", Params={"Bucket": "modes-sealed", "Key": "crossed"})
    answer, body = http_answer(read, headers=origin)
    assert (body, answer.getheader("Access-Control-Expose-Headers")) == (b"x", "ETag")
    missing = s3.generate_presigned_url("get_object", Params={"Bucket": "modes-sealed", "Key": "missing"})
    answer, _ = http_answer(missing, headers=origin)
    assert (answer.status, answer.getheader("Access-Control-Allow-Origin")) == (404, "https://app.example")
    answer, _ = http_answer(url, "OPTIONS", headers=asks | {"Origin": "https://evil.example"})
    assert answer.getheader("Access-Control-Allow-Origin") is None
    s3.delete_bucket_cors(Bucket="modes-sealed")
    assert refusal_of(s3.get_bucket_cors, Bucket="modes-sealed") == "NoSuchCORSConfiguration"


def test_tags(s3: Any) -> None:
    name = {"Bucket": "modes-sealed", "Key": "tagged"}
    s3.put_object(**name, Body=b"x", Tagging="a=1&b=c%20d")
    assert {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**name)["TagSet"]} == {"a": "1", "b": "c d"}
    s3.put_object_tagging(**name, Tagging={"TagSet": [{"Key": "z", "Value": "9"}]})
    assert s3.get_object_tagging(**name)["TagSet"] == [{"Key": "z", "Value": "9"}]
    s3.delete_object_tagging(**name)
    assert s3.get_object_tagging(**name)["TagSet"] == []
    assert s3.get_object(**name)["Body"].read() == b"x"


def test_configurations_of_a_bucket(s3: Any, bare: Any) -> None:
    bucket = {"Bucket": "modes-sealed"}
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Suspended"})
    assert s3.get_bucket_versioning(**bucket)["Status"] == bare.get_bucket_versioning(**bucket)["Status"] == "Suspended"
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 9}}
    s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(**bucket)["Rules"][0]["ID"] == "old"
    s3.delete_bucket_lifecycle(**bucket)
    everybody = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"]}
    statement = everybody | {"Resource": ["arn:aws:s3:::modes-sealed/public/*"]}
    s3.put_bucket_policy(**bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert json.loads(s3.get_bucket_policy(**bucket)["Policy"])["Statement"][0]["Effect"] == "Allow"
    s3.delete_bucket_policy(**bucket)
    s3.put_bucket_tagging(**bucket, Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    assert s3.get_bucket_tagging(**bucket)["TagSet"] == [{"Key": "a", "Value": "1"}]
    assert s3.get_bucket_acl(**bucket)["Owner"] == bare.get_bucket_acl(**bucket)["Owner"]
    assert (
        s3.get_bucket_location(**bucket)["LocationConstraint"]
        == bare.get_bucket_location(**bucket)["LocationConstraint"]
    )
    s3.head_bucket(**bucket)
    assert refusal_of(s3.head_bucket, Bucket="modes-missing") == "404"


def test_object_lock(s3: Any) -> None:
    s3.create_bucket(Bucket="modes-opaque-lock", ObjectLockEnabledForBucket=True)
    assert (
        s3.get_object_lock_configuration(Bucket="modes-opaque-lock")["ObjectLockConfiguration"]["ObjectLockEnabled"]
        == "Enabled"
    )
    s3.delete_bucket(Bucket="modes-opaque-lock")


def test_a_retained_object_stays(s3: Any, bare: Any) -> None:
    bare.create_bucket(Bucket="modes-locked", ObjectLockEnabledForBucket=True)
    name = {"Bucket": "modes-locked", "Key": "held"}
    version = bare.put_object(**name, Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    assert s3.get_object_legal_hold(**name)["LegalHold"]["Status"] == "ON"
    assert refusal_of(s3.delete_object, **name, VersionId=version) == "AccessDenied"
    s3.put_object_legal_hold(**name, LegalHold={"Status": "OFF"})
    s3.delete_object(**name, VersionId=version)


def test_what_is_not_offered_says_so(s3: Any) -> None:
    name = {"Bucket": "modes-sealed", "Key": "x"}
    website = {"IndexDocument": {"Suffix": "index.html"}}
    asked: list[tuple[str, Any, dict[str, Any]]] = [
        ("PutBucketWebsite", s3.put_bucket_website, {"Bucket": "modes-sealed", "WebsiteConfiguration": website}),
        ("GetObjectTorrent", s3.get_object_torrent, name),
        (
            "SelectObjectContent",
            s3.select_object_content,
            name
            | {
                "Expression": "select 1",
                "ExpressionType": "SQL",
                "InputSerialization": {"CSV": {}},
                "OutputSerialization": {"CSV": {}},
            },
        ),
        ("RestoreObject", s3.restore_object, name | {"RestoreRequest": {"Days": 1}}),
        ("ListBucketMetricsConfigurations", s3.list_bucket_metrics_configurations, {"Bucket": "modes-sealed"}),
    ]
    for operation, call, parameters in asked:
        with pytest.raises(ClientError) as caught:
            call(**parameters)
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == ("NotImplemented", f"{operation} is not implemented.")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_name_that_no_policy_covers_is_refused(s3: Any, bare: Any) -> None:
    bare.create_bucket(Bucket="modes-nobody")
    name = {"Bucket": "modes-nobody", "Key": "x"}
    bare.put_object(**name, Body=b"x")
    assert refusal_of(s3.get_object, **name) == "AccessDenied"
    assert refusal_of(s3.put_object, **name, Body=b"x") == "AccessDenied"

"""The access log: one record of each request, with who, what, from where and with what result, and nothing secret."""

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from urllib3.filepost import encode_multipart_formdata

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from s3proxy.s3api.operation_table import LISTED_WITHOUT, PLAIN, SUBRESOURCES, Level, Operation
from tests.s3proxy.access_log import OWNER, READER, STRANGER, LoggedProxy
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for

BUCKET = "logged"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[LoggedProxy]:
    proxy = LoggedProxy(tmp_path_factory.mktemp("logged"), store, access_log_unknown_per_s=1000)
    with proxy.process:
        for bucket in (BUCKET, f"{BUCKET}-plain", f"{BUCKET}-watched"):
            assert proxy.send("PUT", f"/{bucket}").status == 200
            for key in ("public/key", "private/key"):
                assert proxy.send("PUT", f"/{bucket}/{key}", body=b"content").status == 200
        yield proxy


@pytest.fixture(scope="module")
def s3(logged: LoggedProxy) -> Any:
    return client_of(logged.process.url, *OWNER, signature_version="s3v4")


def requests_by_table() -> Iterator[tuple[str, str, str]]:
    """Yield a request for each operation that the tables know, on a bucket that is not there."""
    paths = {Level.SERVICE: "/", Level.BUCKET: "/absent-bucket", Level.OBJECT: "/absent-bucket/public/key"}
    for level, path in paths.items():
        for method, operation in PLAIN[level].items():
            yield method, path, operation.value
        for name, table in SUBRESOURCES[level].items():
            for method, operation in table.items():
                target, value = f"{path}?{name}=", operation.value
                if name == "uploadId":
                    target += "upload"
                if operation is Operation.UPLOAD_PART:
                    target += "&partNumber=1"
                if name in LISTED_WITHOUT and method == "GET":
                    parameter, listing = LISTED_WITHOUT[name]
                    yield method, target, listing.value
                    target += f"&{parameter}=x"
                yield method, target, value


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("who", "requester", "claimed"),
    [(OWNER, "OWNER", None), ((OWNER[0], "wrong" * 5), None, "OWNER"), (STRANGER, None, "STRANGER")],
    ids=["by anyone who may", "with a wrong signature", "with an unknown key"],
)
def test_each_operation_has_exactly_one_record_that_names_it(
    logged: LoggedProxy, who: tuple[str, str], requester: str | None, claimed: str | None
) -> None:
    asked = list(requests_by_table())
    assert {name for *_, name in asked} > {"GetObject", "PutBucketPolicy", "GetObjectTorrent", "UploadPart"}
    replies = [logged.send(method, target, who=who) for method, target, _ in asked]
    for (method, target, operation), reply in zip(asked, replies, strict=True):
        record = logged.record(reply.request_id)
        told = (record["operation"], record["requester"], record.get("claimed_requester"), record["http_status"])
        named = "PostObject" if (method, target) == ("POST", "/absent-bucket") else operation
        if method == "POST" and target == "/absent-bucket":  # no form: refused before it has a name
            named = "unknown"
        assert told == (named, requester, claimed, reply.status), (method, target)
        assert record["remote_ip"] == "127.0.0.1"
        assert record["bucket"] == (None if target.startswith("/?") or target == "/" else "absent-bucket")
        assert record["key"] == ("public/key" if "/public/key" in target else None)
        assert record["completed"] is True


def test_a_read_and_a_write_say_who_what_and_how_much(logged: LoggedProxy) -> None:
    put = logged.send("PUT", f"/{BUCKET}/a%20b/%C3%BC", body=b"x" * 1000, headers={"User-Agent": "tester/1"})
    record = logged.record(put.request_id)
    assert record.pop("time").endswith("Z")
    assert record.pop("total_time_ms") > 0
    assert len(record.pop("store_request_ids")) == 1
    assert record == {
        "event": "request",
        "request_id": put.request_id,
        "remote_ip": "127.0.0.1",
        "requester": "OWNER",
        "authentication_type": "AuthHeader",
        "signature_version": "SigV4",
        "operation": "PutObject",
        "decision": "allowed",
        "bucket": BUCKET,
        "key": "a b/ü",
        "version_id": None,
        "http_status": 200,
        "error_code": None,
        "completed": True,
        "bytes_received": 1000,
        "bytes_sent": 0,
        "user_agent": "tester/1",
    }
    got = logged.send("GET", f"/{BUCKET}/a%20b/%C3%BC", headers={"Range": "bytes=0-9"})
    record = logged.record(got.request_id)
    assert (record["http_status"], record["bytes_sent"], record["bytes_received"]) == (206, 10, 0)


def test_a_presigned_url_is_told_from_a_header_and_shows_nothing_of_its_signature(logged: LoggedProxy) -> None:
    reply = logged.send("GET", f"/{BUCKET}/public/key", presigned=True)
    record = logged.record(reply.request_id)
    assert (record["authentication_type"], record["requester"]) == ("QueryString", "OWNER")
    old = client_of(logged.process.url, *OWNER, signature_version="s3").generate_presigned_url(
        "get_object", {"Bucket": BUCKET, "Key": "public/key"}
    )
    reply = logged.send("GET", old.removeprefix(logged.process.url), who=None)
    assert reply.status == 200
    record = logged.record(reply.request_id)
    assert (record["signature_version"], record["requester"]) == ("SigV2", "OWNER")
    text = logged.file.read_text()
    assert "Signature=" not in text
    assert old.partition("Signature=")[2].partition("&")[0] not in text


def test_who_is_refused_is_told_apart_from_who_claims_to_be(logged: LoggedProxy) -> None:
    target = f"/{BUCKET}/private/key"
    expected = {
        READER: ("READER", None, "denied", 403, "AccessDenied"),
        None: ("anonymous", None, "denied", 403, "AccessDenied"),
        STRANGER: (None, "STRANGER", "undecided", 403, "InvalidAccessKeyId"),
        (READER[0], "wrong" * 5): (None, "READER", "undecided", 403, "SignatureDoesNotMatch"),
    }
    for who, told in expected.items():
        record = logged.record(logged.send("GET", target, who=who).request_id)
        shown = (record["requester"], record.get("claimed_requester"), record["decision"], record["http_status"])
        assert (*shown, record["error_code"]) == told
        assert (record["operation"], record["bucket"], record["key"]) == ("GetObject", BUCKET, "private/key")


def test_metrics_name_the_operation_of_what_was_refused(logged: LoggedProxy) -> None:
    sample = 'strongroom_s3proxy_request_seconds_count{operation="GetObjectLegalHold",status="403"}'
    before = logged.counted(sample)
    logged.send("GET", f"/{BUCKET}/private/key?legal-hold=", who=STRANGER)
    assert logged.counted(sample) == before + 1


def test_a_copy_tells_its_source_and_a_part_its_number(logged: LoggedProxy, s3: Any) -> None:
    source = {"x-amz-copy-source": f"/{BUCKET}/public/key"}
    record = logged.record(logged.send("PUT", f"/{BUCKET}/copied", headers=source).request_id)
    told = (record["operation"], record["key"], record["source_bucket"], record["source_key"])
    assert told == ("CopyObject", "copied", BUCKET, "public/key")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    reply = logged.send("PUT", f"/{BUCKET}/parts?partNumber=3&uploadId={upload}", headers=source)
    record = logged.record(reply.request_id)
    told = (record["operation"], record["part_number"], record["upload_id"], record["source_key"])
    assert (reply.status, told) == (200, ("UploadPartCopy", "3", upload, "public/key"))
    listed = logged.record(logged.send("GET", f"/{BUCKET}?list-type=2&prefix=public%2F").request_id)
    assert (listed["operation"], listed["prefix"]) == ("ListObjectsV2", "public/")


def test_each_key_of_a_multi_delete_has_a_record_of_its_own(logged: LoggedProxy) -> None:
    logged.send("PUT", f"/{BUCKET}/public/old", body=b"1")
    keys = ["public/old", "private/key", "public/../key"]
    document = "<Delete><Quiet>true</Quiet>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    reply = logged.send("POST", f"/{BUCKET}?delete=", body=(document + "</Delete>").encode(), who=READER)
    request, *deleted = logged.records(reply.request_id)
    assert (request["operation"], request["http_status"], request["event"]) == ("DeleteObjects", 200, "request")
    assert [(one["event"], one["requester"], one["bucket"]) for one in deleted] == [("delete", "READER", BUCKET)] * 3
    assert [(one["key"], one["decision"], one["error_code"]) for one in deleted] == [
        ("public/old", "allowed", None),
        ("private/key", "denied", "AccessDenied"),
        ("public/../key", "undecided", "InvalidArgument"),
    ]


def test_a_multi_delete_that_fails_as_a_whole_says_so_of_each_key(logged: LoggedProxy) -> None:
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    reply = logged.send("POST", "/absent-bucket?delete=", body=body)
    assert reply.status == 404
    _, deleted = logged.records(reply.request_id)
    assert (deleted["key"], deleted["error_code"]) == ("a", "NoSuchBucket")


@pytest.mark.parametrize("secret", [OWNER[1], "wrong" * 5], ids=["signed", "signed wrong"])
def test_a_form_is_recorded_under_whoever_signed_it_and_with_its_key(logged: LoggedProxy, secret: str) -> None:
    client = client_of(logged.process.url, OWNER[0], secret, signature_version="s3v4")
    post = client.generate_presigned_post(BUCKET, "public/${filename}")
    body, content_type = encode_multipart_formdata([*post["fields"].items(), ("file", ("photo", b"12", "image/png"))])
    reply = logged.send("POST", f"/{BUCKET}", who=None, headers={"Content-Type": content_type}, body=body)
    record = logged.record(reply.request_id)
    told = (record["operation"], record["authentication_type"], record["requester"], record.get("claimed_requester"))
    if secret == OWNER[1]:
        assert told == ("PostObject", "PostForm", "OWNER", None)
        assert (record["key"], record["decision"], record["http_status"]) == ("public/photo", "allowed", 204)
    else:
        assert told == ("PostObject", "PostForm", None, "OWNER")
        assert (record["decision"], record["error_code"]) == ("undecided", "SignatureDoesNotMatch")
    assert post["fields"]["x-amz-signature"] not in logged.file.read_text()


def test_keys_of_sse_c_and_other_headers_are_not_in_the_log(logged: LoggedProxy) -> None:
    secret = "c2VjcmV0LWtleS1vZi10aGUtY2xpZW50LTEyMzQ1Njc="
    headers = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": secret,
        "x-amz-security-token": "token-of-a-session",
    }
    logged.record(logged.send("PUT", f"/{BUCKET}/k", headers=headers, body=b"1").request_id)
    text = logged.file.read_text()
    assert secret not in text
    assert "token-of-a-session" not in text


@pytest.mark.parametrize(
    ("encoded", "shown"),
    [
        ("a%0A%7B%22event%22:%22forged%22%7D", 'a\n{"event":"forged"}'),
        ("quote%22%5Cslash", 'quote"\\slash'),
        ("%E2%80%A8line%C2%85", "\u2028line\x85"),
        ("%7F%C2%9Bansi", "\x7f\x9bansi"),
        ("k" * 1024, "k" * 1024),
        ("%F0%9F%94%91" * 256, "\U0001f511" * 256),
        ("k" * 1025, "k" * 1024),  # refused, and cut
    ],
)
def test_no_key_can_break_a_line_or_a_reader(logged: LoggedProxy, encoded: str, shown: str) -> None:
    reply = logged.send("GET", f"/{BUCKET}/{encoded}")
    assert logged.record(reply.request_id)["key"] == shown
    content = logged.file.read_bytes()
    assert content.isascii()
    assert b"\x7f" not in content
    assert max(map(len, content.splitlines())) < 16_384  # collectors cut longer lines


def test_a_path_that_is_no_utf_8_is_shown_as_it_was_sent(logged: LoggedProxy) -> None:
    record = logged.record(logged.send("GET", f"/{BUCKET}/%FF%FE?versionId=1").request_id)
    assert (record["key"], record["path"], record["error_code"]) == (None, f"/{BUCKET}/%FF%FE", "InvalidURI")


def _raw(logged: LoggedProxy, sent: bytes) -> socket.socket:
    host, _, port = logged.process.address.rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=30)
    client.sendall(sent)
    return client


def test_raw_bytes_in_a_header_are_escaped(logged: LoggedProxy) -> None:
    with _raw(logged, b"GET /raw-bytes HTTP/1.1\r\nHost: h\r\nUser-Agent: a\xffb\r\n\r\n") as client:
        assert client.recv(100).startswith(b"HTTP/1.1 4")
    wait_for(lambda: any(one.get("user_agent") == "a\\udcffb" for one in logged.all_records()), "the record")


def test_a_client_that_goes_in_the_middle_of_its_upload_or_its_answer_is_recorded(logged: LoggedProxy, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="public/large", Body=bytes(8 << 20))
    url = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "public/cut"})
    target = url.removeprefix(logged.process.url)
    host = logged.process.address
    for request in (
        f"PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
        f"GET /{BUCKET}/public/large HTTP/1.1\r\nHost: {host}\r\n\r\n",
    ):
        client = _raw(logged, request.encode())
        assert client.recv(1000)  # it is being served
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()

    def cut() -> dict[str, Any]:
        return {one["key"]: one for one in logged.all_records() if one.get("completed") is False}

    wait_for(lambda: len(cut()) == 2, "both are recorded")
    upload, answer = cut()["public/cut"], cut()["public/large"]
    assert (upload["operation"], upload["error_code"], upload["requester"]) == ("PutObject", "IncompleteBody", "OWNER")
    assert (answer["http_status"], answer["error_code"], answer["requester"]) == (200, None, "anonymous")
    assert 0 < answer["bytes_sent"] < 8 << 20


def test_refused_requests_of_unknown_senders_have_a_bound_and_are_counted(tmp_path: Path, store: SeaweedServer) -> None:
    """Or anyone who reaches the port could fill the disk."""
    proxy = LoggedProxy(tmp_path / "proxy", store, access_log_unknown_per_s=1)
    with proxy.process:
        for _ in range(60):
            assert proxy.send("GET", f"/{BUCKET}/private/key", who=STRANGER).status == 403
        reply = proxy.send("GET", f"/{BUCKET}/public/none", who=OWNER)
        proxy.record(reply.request_id)
        lost = proxy.counted('strongroom_s3proxy_access_log_lost_total{reason="unknown_sender"}')
    strangers = [one for one in proxy.all_records() if one.get("claimed_requester") == "STRANGER"]
    assert 10 <= len(strangers) < 60
    assert len(strangers) + lost == 60


def test_stdout_of_several_processes_can_be_the_log(tmp_path: Path, store: SeaweedServer) -> None:
    settings = {"access_log": "-", "processes": 2}
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        client = client_of(proxy.url, proxy.access_key, proxy.secret_key)
        ids = {client.list_buckets()["ResponseMetadata"]["RequestId"] for _ in range(10)}

        def recorded() -> set[str]:
            lines = proxy.log_file.read_text().splitlines()
            records = [json.loads(line) for line in lines if line.startswith("{") and '"event":"request"' in line]
            return {record["request_id"] for record in records if record["operation"] == "ListBuckets"}

        wait_for(lambda: recorded() == ids, "a record of each request")

"""DeleteObject and DeleteObjects through the proxy."""

import base64
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.authority import write_private
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.raw import RawClient
from tests.support.s3.refusals import refusal_of

LIMITED = """\
[[credential]]
access_key_id = "limited"
secret_key = "limited-secret-key"

[[credential.grant]]
buckets = ["delete"]
prefixes = ["mine/"]
rights = ["read", "write", "list", "delete"]
"""


@pytest.fixture(scope="module", autouse=True)
def _bucket(s3: Any) -> None:
    s3.create_bucket(Bucket="delete")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[Any]:
    directory = tmp_path_factory.mktemp("limited")
    write_private(directory / "clients.toml", LIMITED.encode())
    settings = {"credentials_file": str(directory / "clients.toml")}
    with ProxyProcess(directory, store, settings=settings) as running:
        yield client_of(running.url, "limited", "limited-secret-key")


def put(s3: Any, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket="delete", Key=key, Body=key.encode())


def keys_of(s3: Any) -> set[str]:
    return {item["Key"] for item in s3.list_objects_v2(Bucket="delete").get("Contents", [])}


def test_one(s3: Any) -> None:
    put(s3, "one")
    s3.delete_object(Bucket="delete", Key="one")
    s3.delete_object(Bucket="delete", Key="one")
    assert "one" not in keys_of(s3)


def test_one_under_a_condition(s3: Any) -> None:
    put(s3, "conditional")
    etag = s3.head_object(Bucket="delete", Key="conditional")["ETag"]
    assert refusal_of(s3.delete_object, Bucket="delete", Key="conditional", IfMatch='"0123"') == "PreconditionFailed"
    assert refusal_of(s3.delete_object, Bucket="delete", Key="conditional", IfMatchSize=1) == "NotImplemented"
    assert (
        refusal_of(s3.delete_object, Bucket="delete", Key="conditional", IfMatchLastModifiedTime=0) == "NotImplemented"
    )
    assert "conditional" in keys_of(s3)
    s3.delete_object(Bucket="delete", Key="conditional", IfMatch=etag)
    assert "conditional" not in keys_of(s3)


@pytest.mark.parametrize("quiet", [False, True])
def test_several(s3: Any, quiet: bool) -> None:  # noqa: FBT001 - a parameter of the request
    names = ["several/a b", "several/a&b<c>", "several/ü", "several/missing"]
    put(s3, *names[:3])
    answer = s3.delete_objects(Bucket="delete", Delete={"Objects": [{"Key": key} for key in names], "Quiet": quiet})
    assert [item["Key"] for item in answer.get("Deleted", [])] == ([] if quiet else names)
    assert "Errors" not in answer
    assert not keys_of(s3) & set(names)


def test_several_under_conditions(s3: Any) -> None:
    put(s3, "etag/1", "etag/2", "etag/3")
    etag = s3.head_object(Bucket="delete", Key="etag/1")["ETag"]
    objects = [{"Key": "etag/1", "ETag": etag}, {"Key": "etag/2", "ETag": etag}, {"Key": "etag/3", "Size": 6}]
    answer = s3.delete_objects(Bucket="delete", Delete={"Objects": objects})
    assert [item["Key"] for item in answer["Deleted"]] == ["etag/1"]
    assert {item["Key"]: item["Code"] for item in answer["Errors"]} == {
        "etag/2": "PreconditionFailed",
        "etag/3": "NotImplemented",
    }
    assert keys_of(s3) & {"etag/1", "etag/2", "etag/3"} == {"etag/2", "etag/3"}


def test_a_list_of_long_keys_that_are_escaped_is_within_the_limit(s3: Any) -> None:
    # 1,000 keys of 1,000 bytes, as four bytes each in the document. None is there, which counts as deleted.
    objects = [{"Key": f"long/{'/'.join(['<' * 197] * 5)}/{number:04}"} for number in range(1000)]
    answer = s3.delete_objects(Bucket="delete", Delete={"Objects": objects})
    assert (len(answer["Deleted"]), "Errors" in answer) == (1000, False)


def test_each_key_needs_the_right(s3: Any, limited: Any) -> None:
    put(s3, "mine/1", "yours/1")
    answer = limited.delete_objects(Bucket="delete", Delete={"Objects": [{"Key": "mine/1"}, {"Key": "yours/1"}]})
    assert [item["Key"] for item in answer["Deleted"]] == ["mine/1"]
    assert [(item["Key"], item["Code"]) for item in answer["Errors"]] == [("yours/1", "AccessDenied")]
    answer = limited.delete_objects(Bucket="delete", Delete={"Objects": [{"Key": "yours/1"}]})
    assert [item["Code"] for item in answer["Errors"]] == ["AccessDenied"]
    assert refusal_of(limited.delete_object, Bucket="delete", Key="yours/1") == "AccessDenied"
    assert "yours/1" in keys_of(s3)


def test_a_version_and_its_marker(s3: Any) -> None:
    s3.create_bucket(Bucket="delete-versions")
    s3.put_bucket_versioning(Bucket="delete-versions", VersioningConfiguration={"Status": "Enabled"})
    first, second = (s3.put_object(Bucket="delete-versions", Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    marker = s3.delete_object(Bucket="delete-versions", Key="k")
    assert marker["DeleteMarker"] is True
    objects = [{"Key": "k", "VersionId": marker["VersionId"]}, {"Key": "k", "VersionId": second}]
    s3.delete_objects(Bucket="delete-versions", Delete={"Objects": objects})
    got = s3.get_object(Bucket="delete-versions", Key="k")
    assert (got["VersionId"], got["Body"].read()) == (first, b"1")


def test_a_body_that_is_not_what_it_claims_deletes_nothing(s3: Any) -> None:
    put(s3, "claimed")
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()

    def falsify(request: Any, **_: Any) -> None:
        request.headers["Content-MD5"] = wrong

    s3.meta.events.register("before-sign.s3.DeleteObjects", falsify)
    try:
        assert refusal_of(s3.delete_objects, Bucket="delete", Delete={"Objects": [{"Key": "claimed"}]}) == "BadDigest"
    finally:
        s3.meta.events.unregister("before-sign.s3.DeleteObjects", falsify)
    assert "claimed" in keys_of(s3)


def test_too_many_keys_are_malformed(s3: Any) -> None:
    objects = [{"Key": str(number)} for number in range(1001)]
    assert refusal_of(s3.delete_objects, Bucket="delete", Delete={"Objects": objects}) == "MalformedXML"


def test_a_list_of_a_stranger_is_refused_before_it_is_read(proxy: ProxyProcess) -> None:
    head = (
        "POST /sealed?delete HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304\r\n"
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nx-amz-trailer: x-amz-checksum-crc32\r\n"
        "x-amz-decoded-content-length: 4000000\r\n\r\n"
    )
    host, _, port = proxy.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode())  # and nothing of the body
        answer = connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"AccessDenied" in answer


def test_a_list_of_a_stranger_who_may_read_is_refused_before_it_is_read(tmp_path: Path, store: SeaweedServer) -> None:
    """Strangers can be given no right to delete, so nothing is to be spent on what they would have deleted."""
    write_private(tmp_path / "clients.toml", b'[[anonymous]]\nbuckets = ["delete"]\nrights = ["read", "list"]\n')
    settings = {"credentials_file": str(tmp_path / "clients.toml")}
    head = "POST /delete?delete HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as running:
        host, _, port = running.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head.encode())  # and nothing of the body
            answer = connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"AccessDenied" in answer


def peak_kib(pid: int) -> int:
    """Return the most memory that a process has ever had."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


def test_a_long_namespace_costs_no_more_than_its_length(proxy: ProxyProcess) -> None:
    names = "".join(f"<a{number}/>" for number in range(1000))
    document = f'<Delete xmlns="{"n" * 500_000}">{names}</Delete>'.encode()
    before = peak_kib(proxy.pid)
    answer = RawClient(proxy).send("POST", "delete", query=(("delete", ""),), body=document)
    assert answer.status == 400
    assert b"<Code>MalformedXML</Code>" in answer.body
    assert peak_kib(proxy.pid) - before < 64 << 10

"""What a store is found to be able to do, and what is refused by name when it is not."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from s3proxy.s3api.head import make_head
from s3proxy.s3api.operation_table import Operation
from s3proxy.store.capabilities import Capabilities
from strongroom.errors import UnavailableError
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for
from tests.support.s3.relay import Exchange, Fault, Harm, StoreRelay


def readiness(proxy: ProxyProcess) -> dict[str, Any]:
    connection = http.client.HTTPConnection(proxy.health_address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        document: dict[str, Any] = json.loads(connection.getresponse().read())
    return document


def workers_of(proxy: ProxyProcess) -> list[int]:
    lines = [json.loads(line) for line in proxy.log_file.read_text().splitlines() if line.endswith("}")]
    return [line["pid"] for line in lines if line["event"] == "listening"]


def holds_the_lock(pid: int) -> bool:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            if link.readlink().name == "store.lock":
                return True
    return False


def test_the_store_is_asked_at_the_start_and_nothing_is_left_there(proxy: ProxyProcess, bare: Any) -> None:
    detail = readiness(proxy)["capabilities"]["detail"]
    assert detail == (
        "part counts in ETags: yes, conditional writes: yes, content under name/: no, checksums: yes, "
        "names that it changes: a backslash, a slash at the beginning, two slashes in a row"
    )
    assert f'"store_capabilities", "found": "{detail}"' in proxy.log_file.read_text()
    assert "Contents" not in bare.list_objects_v2(Bucket="strongroom-system", Prefix="probe/")
    assert not bare.list_multipart_uploads(Bucket="strongroom-system", Prefix="probe/").get("Uploads")


def test_what_needs_a_lacking_capability_is_refused_by_name(tmp_path: Path, store: SeaweedServer, bare: Any) -> None:
    settings = {"store_part_counts": "no", "store_conditional_writes": "no"}
    with contextlib.suppress(bare.exceptions.BucketAlreadyExists, bare.exceptions.BucketAlreadyOwnedByYou):
        bare.create_bucket(Bucket="lacking")
    with (
        ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        requests: tuple[tuple[Callable[[], object], str], ...] = (
            (lambda: s3.create_multipart_upload(Bucket="lacking", Key="k"), "number of parts in its ETags"),
            (lambda: s3.put_object(Bucket="lacking", Key="k", Body=b"x", IfNoneMatch="*"), "conditions of writes"),
        )
        for request, words in requests:
            with pytest.raises(ClientError, match=words) as caught:
                request()
            assert caught.value.response["Error"]["Code"] == "NotImplemented"
        s3.put_object(Bucket="lacking", Key="k", Body=b"x")
        assert s3.get_object(Bucket="lacking", Key="k", IfNoneMatch='"other"')["Body"].read() == b"x"


def test_what_is_not_known_yet_is_not_taken_for_granted() -> None:
    head = make_head("PUT", "/b/k", [("host", "h"), ("if-none-match", "*")])
    with pytest.raises(UnavailableError):
        Capabilities().require(Operation.PUT_OBJECT, head)
    with pytest.raises(UnavailableError):
        Capabilities().require(Operation.CREATE_MULTIPART_UPLOAD, make_head("POST", "/b/k?uploads", [("host", "h")]))
    Capabilities().require(Operation.PUT_OBJECT, make_head("PUT", "/b/k", [("host", "h")]))


def test_a_store_that_is_away_at_the_start_is_asked_when_it_is_back(tmp_path: Path) -> None:
    with SeaweedServer(tmp_path / "store") as own:
        own.kill()
        with ProxyProcess(tmp_path / "proxy", own, settings={"reload_interval_s": 0.05}) as proxy:
            state = readiness(proxy)
            assert not state["ready"]
            assert state["capabilities"]["detail"].endswith("not known yet")
            own.restart()
            with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3:
                s3.create_bucket(Bucket="back")
                while "not known" in readiness(proxy)["capabilities"]["detail"]:
                    s3.head_bucket(Bucket="back")
                s3.put_object(Bucket="back", Key="k", Body=b"x", IfNoneMatch="*")
                with pytest.raises(ClientError) as caught:
                    s3.put_object(Bucket="back", Key="k", Body=b"x", IfNoneMatch="*")
                assert caught.value.response["Error"]["Code"] == "PreconditionFailed"


def test_a_store_that_wants_signed_bodies_gets_them(tmp_path: Path, store: SeaweedServer, bare: Any) -> None:
    with contextlib.suppress(bare.exceptions.BucketAlreadyExists, bare.exceptions.BucketAlreadyOwnedByYou):
        bare.create_bucket(Bucket="signed")
    settings = {"store_payload": "signed", "buffered_body_bytes": 4096}
    with (
        StoreRelay(store.address) as relay,
        ProxyProcess(tmp_path / "proxy", store, settings=settings | {"store_address": relay.address}) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        s3.put_object(Bucket="signed", Key="k", Body=b"x" * 4096)
        assert s3.get_object(Bucket="signed", Key="k")["Body"].read() == b"x" * 4096
        s3.put_object(Bucket="signed", Key="large", Body=b"x" * 4097)
        assert s3.get_object(Bucket="signed", Key="large")["Body"].read() == b"x" * 4097
        put = next(exchange for exchange in relay.exchanges if exchange.target == "/signed/k")
    assert put.headers["x-amz-content-sha256"] == hashlib.sha256(put.body).hexdigest()
    large = next(exchange for exchange in relay.exchanges if exchange.target == "/signed/large")
    assert large.headers["x-amz-content-sha256"] == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"


def test_one_error_of_the_store_is_not_taken_for_a_no(tmp_path: Path, store: SeaweedServer, bare: Any) -> None:
    with contextlib.suppress(bare.exceptions.BucketAlreadyExists, bare.exceptions.BucketAlreadyOwnedByYou):
        bare.create_bucket(Bucket="asked-again")
    name = {"Bucket": "asked-again", "Key": "k"}
    failing = True

    def plan(exchange: Exchange) -> Fault | None:
        return Fault(Harm.REFUSE) if failing and "if-none-match" in exchange.headers else None

    settings = {"reload_interval_s": 0.05}
    with StoreRelay(store.address) as relay:
        relay.plan = plan
        with (
            ProxyProcess(tmp_path / "proxy", store, settings=settings | {"store_address": relay.address}) as proxy,
            contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
        ):
            assert "conditional writes: not known yet" in readiness(proxy)["capabilities"]["detail"]
            with pytest.raises(ClientError) as caught:
                s3.put_object(**name, Body=b"x", IfNoneMatch="*")
            assert caught.value.response["Error"]["Code"] == "SlowDown"
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
            failing = False
            wait_for(lambda: "conditional writes: yes" in readiness(proxy)["capabilities"]["detail"], "the answer")
            s3.delete_object(**name)
            s3.put_object(**name, Body=b"x", IfNoneMatch="*")


def test_one_process_asks_the_store_for_all_of_them(tmp_path: Path, store: SeaweedServer) -> None:
    settings = {"processes": 3, "reload_interval_s": 0.05}
    with StoreRelay(store.address) as relay:
        whole = settings | {"store_address": relay.address}
        with ProxyProcess(tmp_path / "proxy", store, settings=whole) as proxy:
            wait_for(lambda: proxy.log_file.read_text().count('"store_capabilities"') == 3, "all three")
            assert "not known" not in readiness(proxy)["capabilities"]["detail"]
        asked = {
            one.target.split("/")[3] for one in relay.exchanges if one.target.startswith("/strongroom-system/probe/")
        }
    assert len(asked) == 1


def test_another_process_asks_when_the_one_that_did_has_died(tmp_path: Path, store: SeaweedServer) -> None:
    settings = {"processes": 2, "reload_interval_s": 0.05}
    with StoreRelay(store.address) as relay:
        relay.plan = lambda exchange: Fault(Harm.REFUSE) if "if-none-match" in exchange.headers else None
        whole = settings | {"store_address": relay.address}
        with ProxyProcess(tmp_path / "proxy", store, settings=whole) as proxy:
            (asking,) = wait_for(lambda: [pid for pid in workers_of(proxy) if holds_the_lock(pid)], "one to ask")
            os.kill(asking, signal.SIGKILL)
            relay.plan = lambda _: None
            wait_for(
                lambda: "conditional writes: yes" in readiness(proxy)["capabilities"]["detail"],
                "another process's answer",
            )

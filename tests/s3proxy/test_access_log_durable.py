"""The access log where it counts: on disk before the answer, on a full disk, rotated under load, by killed workers."""

import contextlib
import http.client
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from urllib3.filepost import encode_multipart_formdata

from devstack.seaweed import SeaweedServer
from strongroom.errors import PeerError
from tests.s3proxy.access_log import OWNER, READER, STRANGER, WRITER, LoggedProxy, Record, Reply, records_in
from tests.s3proxy.conftest import client_of
from tests.support.process.small_disk import small_disk
from tests.support.process.waiting import wait_for

PLAIN, WATCHED = "durable", "durable-watched"
SIZE = 256 << 10


def _fill(proxy: LoggedProxy) -> LoggedProxy:
    for bucket in (PLAIN, WATCHED):
        assert proxy.send("PUT", f"/{bucket}").status in {200, 409}
        for key in ("public/key", "private/key"):
            assert proxy.send("PUT", f"/{bucket}/{key}", body=bytes(SIZE)).status == 200
    return proxy


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[LoggedProxy]:
    proxy = LoggedProxy(tmp_path_factory.mktemp("durable"), store)
    with proxy.process:
        yield _fill(proxy)


def _audits(records: list[Record], request_id: str) -> list[Record]:
    return [one for one in records if (one["event"], one.get("request_id")) == ("audit", request_id)]


TAGS = b"<Tagging><TagSet></TagSet></Tagging>"


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "public/key", b"", 200),
        ("HEAD", "public/key", b"", None),
        ("GET", "public/key?tagging=", b"", None),
        ("GET", "public/absent", b"", None),
        ("PUT", "public/new", b"1", None),
        ("PUT", "public/new?tagging=", TAGS, None),
        ("DELETE", "public/new", b"", None),
        ("POST", "public/parts?uploads=", b"", None),
    ],
)
def test_every_request_for_a_watched_name_is_on_record_when_its_answer_comes(
    logged: LoggedProxy, method: str, target: str, body: bytes, status: int | None
) -> None:
    """The file is looked at once the answer is there, and never waited for."""
    reply = logged.send(method, f"/{WATCHED}/{target}", body=body)
    (audit,) = _audits(logged.all_records(), reply.request_id)
    assert (audit["requester"], audit["bucket"], audit["decision"]) == ("OWNER", WATCHED, "allowed")
    assert audit["key"] == target.partition("?")[0]
    assert audit["remote_ip"] == "127.0.0.1"
    if status is not None:
        assert audit["http_status"] == status
    ended = [one for one in logged.records(reply.request_id) if one["event"] == "request"]
    assert [one["http_status"] for one in ended] == [reply.status]


def test_what_is_not_watched_is_recorded_a_moment_later(logged: LoggedProxy) -> None:
    reply = logged.send("GET", f"/{PLAIN}/public/key")
    assert [one["event"] for one in logged.records(reply.request_id)] == ["request"]


@pytest.mark.parametrize(("source", "to"), [(WATCHED, PLAIN), (PLAIN, WATCHED)])
def test_a_copy_is_on_record_for_either_of_its_names(logged: LoggedProxy, source: str, to: str) -> None:
    reply = logged.send("PUT", f"/{to}/copy", headers={"x-amz-copy-source": f"/{source}/public/key"})
    assert reply.status == 200
    (audit,) = _audits(logged.all_records(), reply.request_id)
    assert (audit["source_bucket"], audit["source_key"], audit["bucket"]) == (source, "public/key", to)


def _post(proxy: LoggedProxy, who: tuple[str, str], key: str, **fields: str) -> Reply:
    client = client_of(proxy.process.url, *who, signature_version="s3v4")
    post = client.generate_presigned_post(WATCHED, key, Fields=fields, Conditions=[{n: v} for n, v in fields.items()])
    body, content_type = encode_multipart_formdata([*post["fields"].items(), ("file", ("f", b"12", "image/png"))])
    return proxy.send("POST", f"/{WATCHED}", who=None, headers={"Content-Type": content_type}, body=body)


def test_a_form_is_on_record_with_the_key_that_it_names(logged: LoggedProxy) -> None:
    reply = _post(logged, OWNER, "public/form")
    assert reply.status == 204
    (audit,) = _audits(logged.all_records(), reply.request_id)
    assert (audit["requester"], audit["key"], audit["operation"]) == ("OWNER", "public/form", "PostObject")


@pytest.mark.parametrize(
    ("who", "key", "fields"), [(READER, "private/form", {}), (WRITER, "public/form", {"acl": "public-read"})]
)
def test_a_form_that_is_refused_is_on_record(
    logged: LoggedProxy, who: tuple[str, str], key: str, fields: dict[str, str]
) -> None:
    reply = _post(logged, who, key, **fields)
    assert reply.status == 403
    (audit,) = _audits(logged.all_records(), reply.request_id)
    assert (audit["requester"], audit["key"], audit["decision"]) == (who[0], key, "denied")


def test_each_key_of_a_multi_delete_is_on_record_before_one_is_deleted(logged: LoggedProxy) -> None:
    keys = ("public/none", "private/key")
    document = "<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>"
    reply = logged.send("POST", f"/{WATCHED}?delete=", body=document.encode(), who=READER)
    _, *each = _audits(logged.all_records(), reply.request_id)
    assert [(one["key"], one["decision"]) for one in each] == [("public/none", "allowed"), ("private/key", "denied")]


def test_refusals_of_whom_the_proxy_knows_are_on_record_and_strangers_cost_no_fsync(logged: LoggedProxy) -> None:
    reply = logged.send("GET", f"/{WATCHED}/private/key", who=READER)
    (audit,) = _audits(logged.all_records(), reply.request_id)
    assert (audit["requester"], audit["decision"], audit["http_status"]) == ("READER", "denied", 403)
    for who in (STRANGER, None):
        reply = logged.send("GET", f"/{WATCHED}/private/key", who=who)
        assert [one["event"] for one in logged.records(reply.request_id)] == ["request"]


def _get(proxy: LoggedProxy, bucket: str) -> Reply | None:
    with contextlib.suppress(OSError, http.client.HTTPException):  # its worker was killed
        return proxy.send("GET", f"/{bucket}/public/key")
    return None


def test_a_stranger_who_names_a_thousand_keys_costs_one_line_and_no_fsync(logged: LoggedProxy) -> None:
    document = "<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in range(1000)) + "</Delete>"
    reply = logged.send("POST", f"/{WATCHED}?delete=", body=document.encode(), who=None)
    (record,) = logged.records(reply.request_id)
    assert (record["event"], record["operation"], record["decision"]) == ("request", "DeleteObjects", "denied")
    assert record["requester"] == "anonymous"


def test_a_preflight_for_a_watched_name_costs_no_fsync(logged: LoggedProxy) -> None:
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    reply = logged.send("OPTIONS", f"/{WATCHED}/public/key", who=None, headers=headers)
    assert [one["event"] for one in logged.records(reply.request_id)] == ["request"]


def _wait_for_more(replies: list[Reply], more: int) -> None:
    answered = len(replies)
    wait_for(lambda: len(replies) > answered + more, "clients to be under way", timeout_s=60)


def _wait_for_rotation(proxy: LoggedProxy, times: int) -> None:
    anew = "each process to open the file anew"
    wait_for(lambda: len(proxy.events("access_log_reopened")) == times, anew, timeout_s=60)


def test_killed_workers_lose_no_record_of_what_they_answered(tmp_path: Path, store: SeaweedServer) -> None:
    """Four workers, one file, and a SIGKILL for each while all are in flight."""
    proxy = LoggedProxy(tmp_path / "proxy", store, processes=4)
    with proxy.process:
        _fill(proxy)
        end, replies = threading.Event(), list[Reply]()

        def keep_asking() -> None:
            while not end.is_set():
                reply = _get(proxy, WATCHED)
                if reply is not None and reply.status == 200:
                    replies.append(reply)

        with ThreadPoolExecutor(6) as pool:
            try:
                callers = [pool.submit(keep_asking) for _ in range(6)]
                for pid in proxy.process.workers():
                    _wait_for_more(replies, 10)
                    os.kill(pid, signal.SIGKILL)
            finally:
                end.set()
            for caller in callers:
                caller.result()
        recorded = {one["request_id"] for one in proxy.all_records() if one["event"] == "audit"}
        assert len(replies) > 40
        assert {reply.request_id for reply in replies} <= recorded


def test_who_has_the_first_bytes_is_on_record_even_if_the_worker_is_killed_then(
    tmp_path: Path, store: SeaweedServer
) -> None:
    proxy = LoggedProxy(tmp_path / "proxy", store, processes=2)
    with proxy.process:
        _fill(proxy)
        url = client_of(proxy.process.url, *OWNER, signature_version="s3v4").generate_presigned_url(
            "get_object", {"Bucket": WATCHED, "Key": "public/key"}
        )
        with contextlib.closing(http.client.HTTPConnection(proxy.process.address, timeout=60)) as connection:
            connection.request("GET", url.removeprefix(proxy.process.url))
            answer = connection.getresponse()
            for pid in proxy.process.workers():
                os.kill(pid, signal.SIGKILL)
            assert len(_audits(proxy.all_records(), answer.headers["x-amz-request-id"])) == 1


@pytest.mark.timeout(300)
def test_rotation_under_load_loses_nothing_and_repeats_nothing(tmp_path: Path, store: SeaweedServer) -> None:
    proxy = LoggedProxy(tmp_path / "proxy", store, processes=4)
    files = [proxy.file]
    with proxy.process:
        _fill(proxy)
        end, replies = threading.Event(), list[Reply]()

        def keep_asking(bucket: str) -> None:
            while not end.is_set():
                replies.append(proxy.send("GET", f"/{bucket}/public/none"))

        with ThreadPoolExecutor(4) as pool:
            try:
                callers = [pool.submit(keep_asking, bucket) for bucket in (PLAIN, WATCHED) * 2]
                for number in range(5):
                    _wait_for_more(replies, 20)
                    rotated = proxy.file.with_suffix(f".{number}")
                    proxy.file.rename(rotated)
                    files.append(rotated)
                    proxy.process.process.send_signal(signal.SIGHUP)
                    _wait_for_rotation(proxy, 4 * (number + 1))
                _wait_for_more(replies, 20)  # which the newest file has
            finally:
                end.set()
            for caller in callers:
                caller.result()
    recorded = Counter(
        one["request_id"] for file in files for one in records_in(file) if one["event"] == "request"
    )  # fmt: skip
    assert {recorded[reply.request_id] for reply in replies} == {1}
    assert {reply.status for reply in replies} == {404}
    assert all(records_in(file) for file in files)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", "512k") as path:
        yield path


def _use_up(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(1 << 10)):
            pass


def _told_lost(proxy: LoggedProxy) -> int:
    return sum(one["count"] for one in proxy.all_records() if one["event"] == "access_log_lost")


def _part(proxy: LoggedProxy) -> tuple[int, dict[str, Any]]:
    status, text = proxy.ask("/readyz")
    found = re.search(r'"access_log": (\{[^}]*\})', text)
    assert found is not None
    return status, {"ok": '"ok": true' in found[1], "text": found[1]}


def test_on_a_full_disk_watched_objects_are_refused_and_the_others_served_and_counted(
    tmp_path: Path, store: SeaweedServer, disk: Path
) -> None:
    proxy = LoggedProxy(tmp_path / "proxy", store, access_log=str(disk / "log"), access_log_queue_bytes=1 << 16)
    lost = 'strongroom_s3proxy_access_log_lost_total{reason="full"}'
    with proxy.process:
        _fill(proxy)
        _use_up(disk)
        wait_for(lambda: proxy.send("GET", f"/{WATCHED}/public/key").status == 503, "the disk to be full")
        reply = proxy.send("GET", f"/{WATCHED}/public/key")
        assert b"<Code>ServiceUnavailable</Code>" in reply.body
        assert proxy.send("PUT", f"/{WATCHED}/unrecorded", body=b"1").status == 503
        wait_for(lambda: not _part(proxy)[1]["ok"], "readyz to say so")
        assert "No space left" in _part(proxy)[1]["text"]
        while not proxy.counted(lost):
            assert proxy.send("GET", f"/{PLAIN}/public/none").status == 404
        (disk / "ballast").unlink()
        wait_for(lambda: proxy.send("GET", f"/{WATCHED}/public/key").status == 200, "it to be served again")
        assert proxy.send("GET", f"/{WATCHED}/unrecorded").status == 404  # nothing was changed unrecorded
        count = proxy.counted(lost)
        wait_for(lambda: _told_lost(proxy) == count, "the whole gap to be told, in as many lines as it takes")
        wait_for(lambda: _part(proxy)[1]["ok"], "readyz to be well")


def test_with_refuse_nothing_is_served_that_cannot_be_recorded(
    tmp_path: Path, store: SeaweedServer, disk: Path
) -> None:
    settings = {"access_log": str(disk / "log"), "access_log_when_full": "refuse"}
    proxy = LoggedProxy(tmp_path / "proxy", store, **settings)
    with proxy.process:
        _fill(proxy)
        _use_up(disk)
        wait_for(lambda: proxy.send("GET", f"/{PLAIN}/public/key").status == 503, "the disk to be full")
        wait_for(lambda: _part(proxy)[0] == 503, "readyz to say so")
        assert proxy.send("PUT", f"/{PLAIN}/unrecorded", body=b"1").status == 503
        (disk / "ballast").unlink()
        wait_for(lambda: proxy.send("GET", f"/{PLAIN}/public/key").status == 200, "it to be served again")
        assert proxy.send("GET", f"/{PLAIN}/unrecorded").status == 404
        refused = [one for one in proxy.events("request_failed") if one["code"] == "ServiceUnavailable"]
        assert "access_log: No space left on device" in refused[0]["hint"]


@pytest.mark.parametrize("access_log", ["", "-"])
def test_a_policy_that_cannot_be_obeyed_stops_the_start(tmp_path: Path, store: SeaweedServer, access_log: str) -> None:
    with pytest.raises(PeerError, match='policy watched: audit = "durable" needs access_log to name a file'):
        LoggedProxy(tmp_path / "proxy", store, access_log=access_log)

"""The memory budget: first come, first served; nothing is lost by who gives up; and a process stays flat."""

import asyncio
import contextlib
import datetime as dt
import http.client
import os
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from s3proxy.exchange import memory
from s3proxy.exchange.memory import STREAM_BYTES, MemoryBudget, announced_bytes, needed_bytes
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.operation_table import Operation
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for

MIB = 1 << 20


def test_the_first_to_ask_is_the_first_to_get() -> None:
    async def work() -> None:
        budget, order = MemoryBudget(10), list[int]()
        gates = [asyncio.Event() for _ in range(4)]

        async def holder(number: int, size: int) -> None:
            async with budget.take(size):
                order.append(number)
                await gates[number].wait()

        async with asyncio.TaskGroup() as group:
            for number, size in enumerate((6, 6, 4, 10)):  # the third would fit at once, and waits all the same
                group.create_task(holder(number, size))
                await asyncio.sleep(0)
            assert order == [0]
            gates[0].set()
            for _ in range(20):
                await asyncio.sleep(0)
            assert order == [0, 1, 2]
            gates[1].set()
            gates[2].set()
            gates[3].set()
        assert order == [0, 1, 2, 3]
        assert budget.taken_bytes == 0

    asyncio.run(work())


def test_whoever_gives_up_leaves_the_line_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_S", 0.01)

    async def work() -> None:
        budget = MemoryBudget(10)
        async with budget.take(5):
            with pytest.raises(S3Error) as caught:
                async with budget.take(8):
                    pytest.fail("there is no room")
            assert (caught.value.code, caught.value.status) == ("SlowDown", 503)
            assert caught.value.retry_after_s
            impatient = asyncio.create_task(budget.take(8).__aenter__())
            await asyncio.sleep(0)
            impatient.cancel()
            await asyncio.gather(impatient, return_exceptions=True)
            async with budget.take(5):
                assert budget.taken_bytes == 10
        assert budget.taken_bytes == 0
        async with budget.take(1000):  # more than there is: all of it
            assert budget.taken_bytes == 10

    asyncio.run(work())


def test_of_two_that_wait_for_what_the_other_holds_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_S", 2.0)

    async def work() -> None:
        budget = MemoryBudget(10)

        async def growing() -> str:
            held = await budget.acquire(5)
            await asyncio.sleep(0)  # so that both have their half
            try:
                held += await budget.grow(3)
            except S3Error as error:
                return error.code
            finally:
                budget.release(held)
            return "done"

        assert list(await asyncio.gather(growing(), growing())) == ["done", "SlowDown"]
        assert budget.taken_bytes == 0

    asyncio.run(work())


def test_a_turn_that_comes_to_nobody_is_given_back() -> None:
    async def work() -> None:
        budget = MemoryBudget(10)
        holder = budget.take(10)
        await holder.__aenter__()
        waiting = asyncio.create_task(budget.take(10).__aenter__())
        await asyncio.sleep(0)
        await holder.__aexit__(None, None, None)  # its turn has come
        waiting.cancel()  # and it goes away before it notices
        await asyncio.gather(waiting, return_exceptions=True)
        assert budget.taken_bytes == 0

    asyncio.run(work())


@pytest.mark.parametrize(
    ("operation", "size", "needed"),
    [
        (Operation.GET_OBJECT, 0, STREAM_BYTES),
        (Operation.PUT_OBJECT, MIB, STREAM_BYTES + 3 * MIB),
        (Operation.PUT_OBJECT, 5 << 30, STREAM_BYTES),
        (Operation.UPLOAD_PART, MIB, STREAM_BYTES + 3 * MIB),
        (Operation.UPLOAD_PART, 64 * MIB, STREAM_BYTES + 2 * 65_536),
        (Operation.UPLOAD_PART, 5 << 30, STREAM_BYTES + 16 * MIB),
        (Operation.UPLOAD_PART_COPY, 0, STREAM_BYTES + 32 * MIB),  # chunks of 8 MiB, opened and sealed
        (Operation.COMPLETE_MULTIPART_UPLOAD, 1000, STREAM_BYTES + 10_000 + 15 * MIB),  # the last part, once more
        (Operation.DELETE_OBJECTS, 1000, STREAM_BYTES + 10_000),
        (Operation.DELETE_OBJECTS, 1 << 50, STREAM_BYTES + 40 * MIB),
        (Operation.COMPLETE_MULTIPART_UPLOAD, 1 << 50, STREAM_BYTES + 40 * MIB + 15 * MIB),  # 4 MiB are the most
    ],
)
def test_what_a_request_needs(operation: Operation, size: int, needed: int) -> None:
    assert needed_bytes(operation, size, buffered_bytes=MIB) == needed


def resident_bytes(pid: int, which: str = "VmRSS") -> int:
    found = re.search(rf"{which}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_clients_that_read_nothing_pin_no_memory(tmp_path: Path, store: SeaweedServer) -> None:
    with (
        ProxyProcess(tmp_path / "proxy", store) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
        contextlib.ExitStack() as open_answers,
    ):
        s3.create_bucket(Bucket="flat")
        s3.put_object(Bucket="flat", Key="large", Body=os.urandom(64 * MIB))
        s3.head_object(Bucket="flat", Key="large")
        before = resident_bytes(proxy.pid)
        for _ in range(9):  # 576 MiB, if they were held
            answer = s3.get_object(Bucket="flat", Key="large")["Body"]
            open_answers.callback(answer.close)
            assert len(answer.read(10)) == 10
        assert resident_bytes(proxy.pid) - before < 9 * 4 * MIB


def test_a_form_of_a_stranger_whose_key_names_its_file_again_and_again_takes_no_memory(
    tmp_path: Path, store: SeaweedServer
) -> None:
    """80 KB of fields, whose key would have 100 MB, and four times that in memory for one sign of a long kind."""
    name = "a" * 20_000 + "\U0001f600"
    body = (
        '--B\r\nContent-Disposition: form-data; name="key"\r\n\r\n' + "${filename}" * 5_000 + "\r\n"
        f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n1\r\n--B--\r\n'
    ).encode()
    with (
        ProxyProcess(tmp_path / "proxy", store) as proxy,
        contextlib.closing(http.client.HTTPConnection(proxy.address, timeout=60)) as connection,
    ):
        before = resident_bytes(proxy.pid, "VmHWM")
        connection.request("POST", "/flat", body, {"Content-Type": "multipart/form-data; boundary=B"})
        answer = connection.getresponse()
        assert (answer.status, b"<Code>KeyTooLongError</Code>" in answer.read()) == (400, True)
        assert resident_bytes(proxy.pid, "VmHWM") - before < 16 * MIB


def test_a_stranger_is_not_told_all_that_it_has_sent(tmp_path: Path, store: SeaweedServer) -> None:
    """Whoever leaves such an answer untaken has it held; names of headers may be nothing but what XML escapes."""
    now = dt.datetime.now(dt.UTC)
    scope = f"NOBODY/{now:%Y%m%d}/r/s3/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders=host,Signature={'0' * 64}",
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
    } | {f"x-amz-{number}{'&' * 2000}": "" for number in range(25)}
    with (
        ProxyProcess(tmp_path / "proxy", store) as proxy,
        contextlib.closing(http.client.HTTPConnection(proxy.address, timeout=60)) as connection,
    ):
        connection.request("GET", "/flat/key", headers=headers)
        answer = connection.getresponse()
        told = answer.read()
        assert (answer.status, b"x-amz-0&amp;" in told) == (403, True)
        assert len(told) < 16 << 10


def test_a_budget_that_is_used_up_is_told_and_comes_back(tmp_path: Path, store: SeaweedServer) -> None:
    """Slow clients that hold buffered bodies use it up; when they go, others get in."""
    settings = {"memory_bytes": 13 * MIB, "body_rate_interval_s": 600.0}  # 8 for bodies; slow ones are not cut here
    with (
        ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key, signature_version="s3v4")) as s3,
        contextlib.ExitStack() as slow,
    ):
        with contextlib.suppress(s3.exceptions.BucketAlreadyExists, s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="flat")
        body = os.urandom(MIB)
        url = s3.generate_presigned_url("put_object", Params={"Bucket": "flat", "Key": "slow"})
        path = url.removeprefix(proxy.url)

        def begin(_: int) -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection(proxy.address, timeout=60)
            slow.callback(connection.close)
            connection.putrequest("PUT", path)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            connection.send(body[:1000])
            return connection

        connections = [begin(number) for number in range(2)]
        wait_for(lambda: reserved(proxy) > 7 * MIB, "both slow uploads to be at work")
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket="flat", Key="quick", Body=body)
        assert caught.value.response["Error"]["Code"] == "SlowDown"
        for connection in connections:
            connection.send(body[1000:])
            assert connection.getresponse().status == 200
        s3.put_object(Bucket="flat", Key="quick", Body=body)


def test_what_is_refused_for_its_length_does_not_wait_for_memory_before_others(
    tmp_path: Path, store: SeaweedServer
) -> None:
    """Nobody has to hold much for that: what announces more than there is waits while anything is in flight."""
    with (
        ProxyProcess(tmp_path / "proxy", store) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key, signature_version="s3v4")) as s3,
        contextlib.ExitStack() as opened,
    ):

        def begin(operation: str, length: int, **parameters: object) -> http.client.HTTPConnection:
            url = s3.generate_presigned_url(operation, Params={"Bucket": "flat", "Key": "begun", **parameters})
            connection = http.client.HTTPConnection(proxy.address, timeout=60)
            opened.callback(connection.close)
            connection.putrequest("PUT" if operation == "put_object" else "POST", url.removeprefix(proxy.url))
            connection.putheader("Content-Length", str(length))
            connection.endheaders()
            return connection

        begin("put_object", MIB)
        wait_for(lambda: reserved(proxy) > 3 * MIB, "an upload to be at work")
        answer = begin("complete_multipart_upload", 1 << 30, UploadId="none").getresponse()
        assert (answer.status, b"MaxMessageLengthExceeded" in answer.read()) == (400, True)


def reserved(proxy: ProxyProcess) -> float:
    connection: Any = http.client.HTTPConnection(proxy.health_address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    found = re.search(r"^strongroom_s3proxy_memory_reserved_bytes ([0-9.e+]+)$", text, re.MULTILINE)
    assert found
    return float(found[1])


@pytest.mark.parametrize(
    ("content_length", "decoded", "expected"),
    [(None, "", 0), (7, "", 7), (None, "5000000", 5_000_000), (5, "5000000", 5_000_000), (9, "5", 9), (9, "x", 9)],
)
def test_what_is_reserved_goes_by_the_longer_of_both_lengths(
    content_length: int | None, decoded: str, expected: int
) -> None:
    """Chunks of HTTP announce no length, and a framed body is read by that of its content."""
    assert announced_bytes(content_length, decoded) == expected

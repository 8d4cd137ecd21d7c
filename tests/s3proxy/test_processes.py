"""Several processes on one port: they share the work, die and come back, add up their metrics, and end together."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from strongroom.errors import PeerError
from tests.s3proxy.conftest import client_of
from tests.support.process.privileges import PREFIX, core_limits, has_loaded, what_its_user_can_open
from tests.support.process.waiting import stop_process, wait_for

pytestmark = pytest.mark.early

BUCKET = "processes"


def ask(proxy: ProxyProcess, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(proxy.health_address, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def readiness(proxy: ProxyProcess) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ask(proxy, "/readyz")[1])
    return document


def events(proxy: ProxyProcess, name: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in proxy.log_file.read_text().splitlines() if line.endswith("}"))
    return [line for line in lines if line.get("event") == name]


def workers_of(proxy: ProxyProcess) -> list[int]:
    return [event["pid"] for event in events(proxy, "listening")]


def counted(proxy: ProxyProcess, sample: str) -> float:
    lines = ask(proxy, "/metrics")[1].decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample + " "))


def puts_counted(proxy: ProxyProcess) -> float:
    return counted(proxy, 'strongroom_s3proxy_request_seconds_count{operation="PutObject",status="200"}')


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def runs_our_code(pid: int) -> bool:
    """Whether a process is a worker that ignores SIGINT, or already has what SIGTERM asks for done by itself."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    ignored, caught = (
        next(int(line.split()[1], 16) for line in lines if line.startswith(name)) for name in ("SigIgn:", "SigCgt:")
    )
    return bool(ignored & 1 << (signal.SIGINT - 1) or caught & 1 << (signal.SIGTERM - 1))


def began_since(proxy: ProxyProcess, before: set[int]) -> set[int]:
    return set(proxy.workers()) - before


@pytest.fixture
def proxy(tmp_path: Path, store: SeaweedServer) -> Iterator[ProxyProcess]:
    with ProxyProcess(tmp_path / "proxy", store, settings={"processes": 2}) as running:
        yield running


@pytest.fixture
def s3(proxy: ProxyProcess) -> Iterator[Any]:
    with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client:
        with contextlib.suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=BUCKET)
        yield client


def put_with_new_connections(proxy: ProxyProcess, count: int) -> None:
    """The kernel spreads connections, not requests."""
    for number in range(count):
        with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client:
            client.put_object(Bucket=BUCKET, Key=f"spread/{number}", Body=b"x")


@pytest.mark.usefixtures("s3")
def test_both_serve_and_their_metrics_are_one(proxy: ProxyProcess) -> None:
    first, second = workers_of(proxy)
    assert len({first, second, proxy.pid}) == 3
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: put_with_new_connections(proxy, 10), range(4)))
    assert puts_counted(proxy) == 40
    with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client:
        assert client.get_object(Bucket=BUCKET, Key="spread/3")["Body"].read() == b"x"
    state = readiness(proxy)
    assert state["ready"]
    assert state["workers"]["detail"] == "2 of 2 processes serve"
    assert state["store"]["ok"]


def test_no_process_can_be_dumped_or_looked_into(proxy: ProxyProcess) -> None:
    """Workers are started by an exec, which makes a process dumpable again."""
    proxy.stop()
    command = [*PREFIX, sys.executable, "-m", "s3proxy", f"--config={proxy.config_file}"]
    seen = len(workers_of(proxy))
    with proxy.log_file.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as parent:
        try:
            wait_for(lambda: len(workers_of(proxy)) == seen + 2, "both to serve", timeout_s=120)
            for pid in (parent.pid, *workers_of(proxy)[seen:]):
                assert core_limits(pid) == ["0", "0"]
                assert what_its_user_can_open(pid) == set()
        finally:
            parent.terminate()


def test_a_worker_that_comes_back_is_closed_before_it_imports_what_takes_time(proxy: ProxyProcess) -> None:
    """It is given keys and credentials then, and who has its memory open goes on reading it."""
    proxy.stop()
    command = [*PREFIX, sys.executable, "-m", "s3proxy", f"--config={proxy.config_file}"]
    seen = len(workers_of(proxy))
    with proxy.log_file.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as proxy.process:
        try:
            wait_for(lambda: len(workers_of(proxy)) == seen + 2, "both to serve", timeout_s=120)
            victim, other = workers_of(proxy)[seen:]
            os.kill(victim, signal.SIGKILL)
            (successor,) = wait_for(partial(began_since, proxy, {victim, other}), "a successor to begin", timeout_s=120)
            wait_for(lambda: has_loaded(successor, "aiohttp"), "it to import what it runs", timeout_s=120)
            stop_process(successor)
            assert what_its_user_can_open(successor) == set()
            os.kill(successor, signal.SIGCONT)
            wait_for(lambda: len(workers_of(proxy)) == seen + 3, "the successor to serve", timeout_s=120)
        finally:
            proxy.process.terminate()


def test_nothing_that_a_worker_begins_by_can_be_opened_by_others_of_its_user(proxy: ProxyProcess) -> None:
    """Until it has closed itself they can open a pipe in /proc/PID/fd, with Yama, too, and tell it what to run."""
    proxy.stop()
    command = [*PREFIX, sys.executable, "-m", "s3proxy", f"--config={proxy.config_file}"]
    seen = len(workers_of(proxy))
    with proxy.log_file.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as proxy.process:
        try:
            wait_for(lambda: len(workers_of(proxy)) == seen + 2, "both to serve", timeout_s=120)
            for _ in range(10):  # on a busy machine it may have come further before it is seen
                before = set(proxy.workers())
                os.kill(min(before), signal.SIGKILL)
                (successor,) = wait_for(partial(began_since, proxy, before), "a successor to begin", timeout_s=120)
                stop_process(successor)
                # Not what its interpreter reads of the disk at this moment: a module is nobody's secret.
                descriptors = Path(f"/proc/{successor}/fd").iterdir()
                own = [f"fd/{at.name}" for at in descriptors if int(at.name) > 2 and not at.readlink().is_file()]
                opened = what_its_user_can_open(successor, ("environ", *own))
                os.kill(successor, signal.SIGCONT)
                if "environ" in opened:
                    break
            assert own
            assert opened == {"environ"}
        finally:
            proxy.process.terminate()


def test_a_dead_worker_comes_back_and_what_it_counted_stays(proxy: ProxyProcess, s3: Any) -> None:
    put_with_new_connections(proxy, 12)
    before = puts_counted(proxy)
    for pid in workers_of(proxy):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(workers_of(proxy)) == 4, "both workers to be back", timeout_s=120)
    wait_for(lambda: readiness(proxy)["workers"]["detail"] == "2 of 2 processes serve", "both to serve")
    s3.put_object(Bucket=BUCKET, Key="after", Body=b"x")
    assert puts_counted(proxy) == before + 1
    assert b"strongroom_s3proxy_worker_restarts_total 2.0" in ask(proxy, "/metrics")[1]
    assert [event["status"] for event in events(proxy, "worker_ended")] == [-signal.SIGKILL] * 2


def test_a_worker_that_dies_while_an_edit_is_broken_comes_back_with_what_is_in_force(
    tmp_path: Path, store: SeaweedServer
) -> None:
    settings = {"processes": 2, "reload_interval_s": 0.05}
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        for name in ("policy.toml", "credentials.toml", "store.toml", "kek"):
            (proxy.directory / name).write_text("[[broken")
        wait_for(lambda: readiness(proxy)["credentials"]["detail"], "the broken edit to be told")
        for pid in workers_of(proxy):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(workers_of(proxy)) == 4, "both to be back", timeout_s=120)
        wait_for(lambda: readiness(proxy)["workers"]["detail"] == "2 of 2 processes serve", "both to serve")
        with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client:
            client.list_buckets()
        state = readiness(proxy)
        assert state["ready"]
        assert "what was read before is in force" in state["policy"]["detail"]
        assert "what was read before is in force" in state["credentials"]["detail"]
        assert proxy.secret_key not in proxy.log_file.read_text()


def test_a_worker_that_does_not_answer_is_replaced(tmp_path: Path, store: SeaweedServer) -> None:
    settings = {"processes": 2, "worker_timeout_s": 6.0}  # twice what the parent waits for an answer to one question
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        stopped, other = workers_of(proxy)
        os.kill(stopped, signal.SIGSTOP)
        wait_for(lambda: len(workers_of(proxy)) == 3, "a worker in its place", timeout_s=120)
        assert gone(stopped)
        assert not gone(other)
        assert [event["worker_pid"] for event in events(proxy, "worker_silent")] == [stopped]
        wait_for(lambda: readiness(proxy)["workers"]["detail"] == "2 of 2 processes serve", "both to serve")


def test_a_worker_that_hangs_before_it_listens_is_replaced(tmp_path: Path, store: SeaweedServer) -> None:
    settings = {"processes": 2, "worker_start_timeout_s": 40.0}
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        victim, other = workers_of(proxy)
        os.kill(victim, signal.SIGKILL)
        (hanging,) = wait_for(partial(began_since, proxy, {victim, other}), "a successor to begin", timeout_s=120)
        os.kill(hanging, signal.SIGSTOP)
        silent = partial(events, proxy, "worker_silent")
        wait_for(lambda: [event["worker_pid"] for event in silent()] == [hanging], "its end", timeout_s=120)
        in_its_place = "another in its place"
        wait_for(lambda: readiness(proxy)["workers"]["detail"] == "2 of 2 processes serve", in_its_place, timeout_s=120)
        assert hanging not in workers_of(proxy)
        assert gone(hanging)
        assert not gone(other)


def begin_and_hang(proxy: ProxyProcess, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Begin a proxy whose workers are all stopped before they listen."""
    command = [sys.executable, "-m", "s3proxy", f"--config={proxy.config_file}"]
    proxy.process = subprocess.Popen(command, stdout=log, stderr=log)
    wait_for(lambda: len(proxy.workers()) == 2, "both to begin", timeout_s=120)
    for pid in proxy.workers():
        os.kill(pid, signal.SIGSTOP)
    return proxy.process


@pytest.mark.parametrize("way", ["signal", "deadline"])
def test_a_first_start_that_hangs_comes_to_an_end(tmp_path: Path, store: SeaweedServer, way: str) -> None:
    wait_s = 3.0 if way == "deadline" else 600.0
    settings = {"processes": 2, "worker_start_timeout_s": 60.0, "drain_timeout_s": 0.1}
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        proxy.stop()
        config = proxy.config_file.read_text()
        proxy.config_file.write_text(config.replace("start_timeout_s = 60.0", f"start_timeout_s = {wait_s}"))
        with proxy.log_file.open("ab") as log:
            parent = begin_and_hang(proxy, log)
            workers = proxy.workers()
            if way == "signal":
                parent.terminate()
            assert parent.wait(60) == (0 if way == "signal" else 2)
        wait_for(lambda: all(gone(pid) for pid in workers), "the workers to end")
        assert ("does not serve 3 seconds after its start" in proxy.log_file.read_text()) == (way == "deadline")


def test_sigterm_drains_all(proxy: ProxyProcess, s3: Any) -> None:
    """A transfer that has begun is finished, by whichever worker has it."""
    body = os.urandom(8 << 20)
    s3.put_object(Bucket=BUCKET, Key="slow", Body=body)
    answer = s3.get_object(Bucket=BUCKET, Key="slow")["Body"]
    begin = answer.read(1000)
    proxy.process.send_signal(signal.SIGTERM)
    wait_for(lambda: len(events(proxy, "draining")) >= 2, "the end to begin")
    assert begin + answer.read() == body
    answer.close()
    assert proxy.process.wait(60) == 0
    assert all(gone(pid) for pid in workers_of(proxy))
    assert len(events(proxy, "stopped")) == 2


def test_an_upload_that_has_begun_outlives_sigterm(proxy: ProxyProcess, s3: Any) -> None:
    body = os.urandom(4 << 20)
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "late"}))
    with contextlib.closing(http.client.HTTPConnection(url.netloc, timeout=30)) as connection:
        connection.putrequest("PUT", f"{url.path}?{url.query}")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[: 1 << 20])
        wait_for(lambda: counted(proxy, "strongroom_s3proxy_requests_in_flight") == 1, "the upload is in flight")
        proxy.process.send_signal(signal.SIGTERM)
        wait_for(lambda: len(events(proxy, "draining")) >= 2, "the end to begin")
        connection.send(body[1 << 20 :])
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
    assert proxy.process.wait(60) == 0
    assert not events(proxy, "drain_incomplete")


def test_workers_end_with_a_parent_that_was_killed(proxy: ProxyProcess) -> None:
    proxy.process.kill()
    proxy.process.wait()
    wait_for(lambda: all(gone(pid) for pid in workers_of(proxy)), "the workers to end")


def test_a_worker_that_starts_when_its_parent_is_killed_ends_without_a_traceback(proxy: ProxyProcess) -> None:
    for pid in workers_of(proxy):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(events(proxy, "worker_ended")) == 2, "the deaths to be noticed")
    wait_for(lambda: any(runs_our_code(pid) for pid in proxy.workers()), "a successor to reach our code")
    successors = proxy.workers()
    proxy.process.kill()
    proxy.process.wait()
    wait_for(lambda: all(gone(pid) for pid in successors), "the successors to end")
    assert "Traceback" not in proxy.log_file.read_text()


def test_what_a_worker_cannot_start_with_stops_the_start(tmp_path: Path, store: SeaweedServer) -> None:
    with pytest.raises(PeerError, match="kek_file is not set"):
        ProxyProcess(tmp_path / "proxy", store, settings={"processes": 2, "kek_file": ""})


@pytest.mark.parametrize("processes", [1, 2])
def test_a_log_that_nobody_reads_stops_no_request_and_what_was_dropped_is_told(
    tmp_path: Path, store: SeaweedServer, processes: int
) -> None:
    directory = tmp_path / "proxy"
    directory.mkdir(mode=0o700)
    log = directory / "s3proxy.log"
    os.mkfifo(log, 0o600)
    reader, writer = os.open(log, os.O_RDONLY | os.O_NONBLOCK), os.open(log, os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    os.close(writer)
    read = bytearray()

    def told(event: bytes) -> bool:
        with contextlib.suppress(BlockingIOError):
            read.extend(os.read(reader, 1 << 20))
        return event in read

    try:
        with (
            ProxyProcess(directory, store, settings={"processes": processes}) as proxy,
            contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client,
        ):
            with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket=BUCKET)
            for number in range(20):
                client.put_object(Bucket=BUCKET, Key=f"unread/{number}", Body=b"x")
                with pytest.raises(client.exceptions.NoSuchKey):
                    client.get_object(Bucket=BUCKET, Key=f"unread/not-{number}")
            assert readiness(proxy)["ready"]
            while not told(b"log_lines_dropped"):
                client.list_buckets()
        assert proxy.process.returncode == 0
    finally:
        os.close(reader)

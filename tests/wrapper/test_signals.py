"""SIGTERM and SIGINT at every stage of the bootstrap, as an ordinary process and as PID 1."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle, full_backlog, problem, read_request, response
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.process.waiting import wait_for
from tests.support.tls.certificates import Certificates

SECRET = {
    "SECRET": "bao:kv/db#key",
    "STRONGROOM_WAIT": "60",
    "STRONGROOM_TIMEOUT": "60",
    "STRONGROOM_ATTEMPT_TIMEOUT": "60",
    "STRONGROOM_RETRIES": "9",
    "STRONGROOM_QUIET": "1",  # of a wait, of which it would tell where the machine is busy
}
SOON_S = 10.0  # a busy machine takes seconds to end a process; all that a launch waits for here takes 30 or 60
PATIENCE_S = 60.0

# A stage yields the address of a bridge and something that returns once the wrapper hangs in that stage.
Stage = Callable[[Certificates], contextlib.AbstractContextManager[tuple[str, Callable[[], object]]]]


@contextlib.contextmanager
def connecting(_: Certificates) -> Iterator[tuple[str, Callable[[], object]]]:
    with full_backlog() as port:

        def hanging() -> int:
            # Connections to the port in SYN_SENT, 02 (proc_net_tcp(5)); those that fill the backlog are among them.
            return Path("/proc/net/tcp").read_text().count(f":{port:04X} 02 ")

        before = hanging()
        yield f"https://127.0.0.1:{port}", lambda: wait_for(lambda: hanging() > before, "the wrapper connects")


@contextlib.contextmanager
def shaking_hands(_: Certificates) -> Iterator[tuple[str, Callable[[], object]]]:
    arrived = threading.Event()

    def script(connection: ssl.SSLSocket) -> None:
        connection.recv(1)  # of its first message
        arrived.set()
        bridge.until_stopped()

    with FakeBridge(None, script) as bridge:
        yield bridge.url, lambda: wait_for(arrived.is_set, "the handshake begins")


def serving(play: Callable[[FakeBridge, ssl.SSLSocket], None]) -> Stage:
    @contextlib.contextmanager
    def stage(certificates: Certificates) -> Iterator[tuple[str, Callable[[], object]]]:
        arrived = threading.Event()

        def script(connection: ssl.SSLSocket) -> None:
            read_request(connection)
            play(bridge, connection)
            arrived.set()
            bridge.until_stopped()

        with FakeBridge(certificates.server(), script) as bridge:
            yield bridge.url, lambda: wait_for(arrived.is_set, "the request arrives")

    return stage


def part_of_the_body(_: FakeBridge, connection: ssl.SSLSocket) -> None:
    connection.sendall(response(200, b"x" * 100_000)[:50_000])


def nothing(_: FakeBridge, __: ssl.SSLSocket) -> None:
    return


def busy(_: FakeBridge, connection: ssl.SSLSocket) -> None:
    connection.sendall(problem(503, "Retry-After: 30"))
    connection.recv(1)  # returns when the wrapper has read it and closes: now it pauses


STAGES: dict[str, Stage] = {
    "connect": connecting,
    "handshake": shaking_hands,
    "waiting for the answer": serving(nothing),
    "body": serving(part_of_the_body),
    "pause": serving(busy),
}


def wait_for_end(process: "subprocess.Popen[bytes]") -> tuple[int, float, bytes]:
    """Return status, seconds and stderr."""
    started = time.monotonic()
    _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, time.monotonic() - started, errors


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_ends_the_bootstrap_at_once(
    launches: Launches, certificates: Certificates, stage: str, number: signal.Signals, status: int
) -> None:
    with (
        STAGES[stage](certificates) as (url, reached),
        launches.started(["echo", "started"], SECRET, bridge=url) as process,
    ):
        reached()
        process.send_signal(number)
        ended, seconds, errors = wait_for_end(process)

    assert (ended, errors) == (status, b"")
    assert seconds < SOON_S


def first_process_in(unshare: "subprocess.Popen[bytes]") -> int:
    """Return the process that is PID 1 in the namespace, seen from here."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    wait_for(lambda: children.read_text() != "", "unshare has a child")
    return int(children.read_text().split()[0])


# Others than root need a user namespace around it, where the machine allows them any.
UNSHARE = ["unshare", *([] if is_root() else ["--user", "--map-root-user"]), "--pid", "--fork", "--kill-child"]
needs_pid_namespace = pytest.mark.skipif(
    subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode != 0,
    reason="no PID namespace can be made here",
)
needs_root = pytest.mark.skipif(not is_root(), reason="another resolv.conf and port 53 need root")


@needs_pid_namespace
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_ends_the_bootstrap_of_pid_1_which_the_kernel_would_not_do(
    launches: Launches, certificates: Certificates, stage: str, number: signal.Signals, status: int
) -> None:
    with (
        STAGES[stage](certificates) as (url, reached),
        launches.started(["echo", "started"], SECRET, bridge=url, prefix=UNSHARE) as process,
    ):
        reached()
        os.kill(first_process_in(process), number)
        ended, seconds, _ = wait_for_end(process)

    assert ended == status
    assert seconds < SOON_S


@needs_pid_namespace
def test_the_application_is_pid_1_with_its_secrets(launches: Launches, certificates: Certificates) -> None:
    command = ["sh", "-c", 'echo $$ "$SECRET"; exit 7']
    with (
        FakeBridge(certificates.server(), bundle({"SECRET": b"value"})) as bridge,
        launches.started(command, SECRET, bridge=bridge.url, prefix=UNSHARE) as process,
    ):
        output, _ = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, output) == (7, b"1 value\n")


def test_a_signal_that_was_held_back_is_not_lost_on_the_way_to_the_application(launches: Launches) -> None:
    done = launches.run(["echo", "started"], {}, sandbox=[f"pending={int(signal.SIGTERM)}"])

    assert (done.returncode, done.stdout) == (143, b"")


@pytest.fixture
def mute_name_server(tmp_path: Path) -> Iterator[tuple[socket.socket, list[str]]]:
    """A name server that never answers, and what to start a process with so that it uses it."""
    address = f"127.99.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"  # one of this process's own
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {address}\noptions timeout:30 attempts:1\n")
    mount = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as name_server:
        name_server.settimeout(PATIENCE_S)
        name_server.bind((address, 53))
        yield name_server, ["unshare", "--mount", "sh", "-c", mount, "sh"]


@needs_root
def test_a_signal_ends_the_wait_for_a_name_server_that_does_not_answer(
    launches: Launches, mute_name_server: tuple[socket.socket, list[str]]
) -> None:
    # getaddrinfo(3) goes on waiting after a signal, and Python can act on one only when it returns.
    name_server, prefix = mute_name_server
    with launches.started(["echo", "started"], SECRET, bridge="https://bridge.example", prefix=prefix) as process:
        name_server.recv(512)
        process.send_signal(signal.SIGTERM)
        ended, seconds, _ = wait_for_end(process)

    assert ended == 143
    assert seconds < SOON_S


@needs_root
def test_a_name_server_that_does_not_answer_cannot_hold_the_launch_beyond_its_deadline(
    launches: Launches, mute_name_server: tuple[socket.socket, list[str]]
) -> None:
    name_server, prefix = mute_name_server
    variables = {**SECRET, "STRONGROOM_TIMEOUT": "3"}
    with launches.started(["echo", "started"], variables, bridge="https://bridge.example", prefix=prefix) as process:
        name_server.recv(512)
        ended, seconds, errors = wait_for_end(process)

    assert ended == 114, errors
    assert seconds < 3 + SOON_S

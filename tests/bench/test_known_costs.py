"""The instruments, against costs that are known: processor time, memory, delay, instructions."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.getenv import TYPICAL, Case
from bench.launch_gauge import LaunchGauge
from bench.launchers import Launcher
from bench.processes import watched
from bench.relay import Relay
from bench.suite import compile_program
from strongroom.errors import PeerError

MIB = 1 << 20
# Takes processor time until its own clock of it says 0.3 s; then it writes what a program that is measured writes.
BUSY = """\
import os, time
first = time.monotonic_ns()
while time.process_time() < 0.3: pass
open(os.environ["BENCH_FIRST"], "w").write(f"{first} 0")
"""
SLEEPY = """\
import os, sys, time
time.sleep(float(sys.argv[1]))
open(os.environ["BENCH_FIRST"], "w").write(f"{time.monotonic_ns()} 0")
"""
# Leaves a child behind that would outlive it, and never ends.
ENDLESS = """\
import os, time
child = os.fork()
if child: open(os.environ["CHILD"], "w").write(str(child))
time.sleep(600)
"""
LARGE = """\
import os, time
first = time.monotonic_ns()
block = b"x" * (64 << 20)
open(os.environ["BENCH_FIRST"], "w").write(f"{first} 0")
"""


@pytest.fixture(scope="module")
def gauge(tmp_path_factory: pytest.TempPathFactory) -> LaunchGauge:
    return LaunchGauge(tmp_path_factory.mktemp("gauge"))


def python(code: str, *words: str, **environ: str) -> Launcher:
    return Launcher(command=[sys.executable, "-I", "-c", code, *words], environ={"PATH": os.environ["PATH"], **environ})


def test_processor_time_of_a_launch_is_what_the_program_took(gauge: LaunchGauge) -> None:
    gauge.start(python(BUSY), secrets=0)

    assert 0.29 <= gauge.cpu_s < 0.58  # starting an interpreter costs more on a busy machine, but never as much again


def test_peak_memory_of_a_launch_is_the_program_s_and_not_ours(gauge: LaunchGauge) -> None:
    ballast = b"y" * (200 * MIB)  # of the process that measures: must not count

    gauge.start(python(LARGE), secrets=0)

    assert 64 * MIB < gauge.peak_bytes < 100 * MIB
    del ballast


def test_a_launch_lies_within_the_time_around_it(gauge: LaunchGauge) -> None:
    before = time.monotonic_ns()
    begin, first = gauge.start(python(LARGE), secrets=0)

    assert before < begin < first < time.monotonic_ns()


def test_a_launch_takes_longer_by_what_it_sleeps_before_main(gauge: LaunchGauge) -> None:
    def seconds(sleep_s: float) -> float:
        begin, first = gauge.start(python(SLEEPY, str(sleep_s)), secrets=0)
        return (first - begin) / 1e9

    pairs = [(seconds(0.2), seconds(0.0)) for _ in range(5)]

    assert all(sleepy >= 0.2 for sleepy, _ in pairs)
    # The quickest of each kind: what a busy machine adds to the others is not the gauge's.
    assert 0.1 < min(sleepy for sleepy, _ in pairs) - min(quick for _, quick in pairs) < 0.5


def test_a_launch_that_does_not_end_leaves_nothing_behind(tmp_path: Path) -> None:
    note = tmp_path / "child"
    gauge = LaunchGauge(tmp_path, timeout_s=5.0)

    with pytest.raises(PeerError, match="did not end within 5 s"):
        gauge.start(python(ENDLESS, CHILD=str(note)), secrets=0)

    deadline = time.monotonic() + 20
    while is_running(int(note.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    return False


def test_a_program_without_its_secrets_is_no_sample(gauge: LaunchGauge) -> None:
    with pytest.raises(PeerError, match="0 of 3 secrets"):
        gauge.start(python(LARGE), secrets=3)


def test_a_program_that_fails_is_no_sample(gauge: LaunchGauge) -> None:
    with pytest.raises(PeerError, match="ended with 7"):
        gauge.start(python("raise SystemExit(7)"), secrets=0)


def test_processor_time_and_memory_of_a_running_family_are_seen() -> None:
    code = (
        "import sys, time\nsys.stdin.readline()\nblock = b'x' * (64 << 20)\n"
        "while time.process_time() < 0.3: pass\nprint(1, flush=True)\nsys.stdin.readline()\n"
    )
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}])\n"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with watched(process.pid) as usage:
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "1\n"
        process.stdin.write("end\n")

    assert 0.25 <= usage.cpu_s < 0.58
    assert 64 * MIB < usage.peak_bytes < 110 * MIB


@pytest.fixture
def echo() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    while data := peer.recv(1 << 16):
                        peer.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_relay_delays_by_a_round_trip_and_the_first_time_by_the_handshake_s_too(echo: int) -> None:
    with (
        Relay("127.0.0.1", echo, round_trip_s=0.1) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        lengths = []
        for _ in range(2):
            begin = time.monotonic()
            client.sendall(b"piece")
            assert client.recv(16) == b"piece"
            lengths.append(time.monotonic() - begin)

    # No upper bound: the machine may stall. Less than the delay would mean that something came early.
    assert lengths[0] >= 0.195
    assert lengths[1] >= 0.095


def test_a_relay_passes_every_byte_in_order(echo: int) -> None:
    sent = os.urandom(3 * MIB)
    with (
        Relay("127.0.0.1", echo, round_trip_s=0.002) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
        received = b""
        while len(received) < len(sent):
            received += client.recv(1 << 16)

    assert received == sent
    assert len(relay.passages) == 1
    assert relay.passages[0].accepted <= relay.passages[0].sent[0] <= relay.passages[0].received[-1]


def test_instructions_of_a_call_are_the_same_each_time_and_grow_with_the_work(tmp_path: Path) -> None:
    program = compile_program("getenv", tmp_path, flags=("-pthread",))
    few, many = (
        Case(program=program, libc="glibc", is_ours=False, variables=count) for count in (TYPICAL, 10 * TYPICAL)
    )

    first, again, more = few.instructions("hit"), few.instructions("hit"), many.instructions("hit")

    assert again == pytest.approx(first, rel=0.01)
    assert 7 < more / first < 11  # glibc looks through all variables before the one in the middle


def test_threads_are_timed_together_and_each_call_counts_once(tmp_path: Path) -> None:
    case = Case(
        program=compile_program("getenv", tmp_path, flags=("-pthread",)), libc="glibc", is_ours=False, variables=TYPICAL
    )

    alone = min(case.nanoseconds("hit", threads=1, calls=50_000, samples=9))
    crowded = min(case.nanoseconds("hit", threads=8, calls=50_000, samples=9))

    # As much work as 8 threads have takes 8 times as long on one core, and as long as alone on 8. The quickest samples:
    # other work of the machine takes its share of the cores from 8 threads in another measure than from one.
    assert 0.5 * alone < crowded < 30 * alone


def test_calls_that_would_read_some_names_more_often_than_others_are_refused(tmp_path: Path) -> None:
    case = Case(
        program=compile_program("getenv", tmp_path, flags=("-pthread",)), libc="glibc", is_ours=False, variables=10
    )

    assert len(case.nanoseconds("spread", threads=1, calls=100, samples=2)) == 2
    with pytest.raises(PeerError, match="ends with 2"):
        case.nanoseconds("spread", threads=1, calls=15, samples=1)

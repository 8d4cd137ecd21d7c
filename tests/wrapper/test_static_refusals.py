"""Where a static program cannot have its secrets, it does not start, and the message says what to change."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, answer, bundle, response
from tests.support.launch.launches import SANDBOX, Launches
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from tests.wrapper.static_programs import busybox
from wrapper import exit_status
from wrapper.program import ProtectionError
from wrapper.static.start import Tracer
from wrapper.static.tracee import CallError
from wrapper.static.tracer import _Tracing

SECRET = {"SECRET": "bao:kv/db#key"}
EPERM, ENOSYS = 1, 38
# ptrace, process_vm_readv, process_vm_writev
CALLS = {"x86_64": (101, 310, 311), "aarch64": (117, 270, 271)}[os.uname().machine]


@pytest.fixture(scope="module")
def bridge(certificates: Certificates) -> Iterator[FakeBridge]:
    with FakeBridge(certificates.server(), bundle({"SECRET": b"s3cret"})) as serving:
        yield serving


@pytest.mark.parametrize("number", [EPERM, ENOSYS])
@pytest.mark.parametrize("call", CALLS)
def test_a_forbidden_call_stops_the_launch_before_anything_is_fetched(
    call: int, number: int, launches: Launches, bridge: FakeBridge
) -> None:
    before = bridge.connections
    done = launches.run([busybox(), "echo", "started"], SECRET, bridge=bridge.url, sandbox=[f"refuse={call}:{number}"])

    assert done.returncode == exit_status.UNPROTECTED
    assert b"needs ptrace" in done.stderr
    assert b"seccomp profile" in done.stderr
    assert done.stdout == b""
    assert bridge.connections == before


def test_a_dynamic_program_does_not_need_ptrace(launches: Launches, bridge: FakeBridge) -> None:
    done = launches.run(["printenv", "SECRET"], SECRET, bridge=bridge.url, sandbox=[f"refuse={CALLS[0]}:{EPERM}"])

    assert done.stdout == b"s3cret\n"


def test_a_debugger_that_is_there_already_is_named(launches: Launches, bridge: FakeBridge) -> None:
    # The parent traces the wrapper until its exec, and on.
    tracer = (
        "import ctypes, os, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    libc.ptrace(0, 0, 0, 0)\n"
        "    os.execv(sys.argv[1], sys.argv[1:])\n"
        "while True:\n"
        "    _, status = os.waitpid(child, 0)\n"
        "    if os.WIFEXITED(status):\n"
        "        sys.exit(os.WEXITSTATUS(status))\n"
        "    number = os.WSTOPSIG(status)\n"
        "    libc.ptrace(7, child, 0, ctypes.c_void_p(0 if number == 5 else number))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", tracer, *launches.command([busybox(), "echo", "started"])],
        env=launches.environ(bridge.url, SECRET),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == exit_status.UNPROTECTED
    assert b"traces this one already" in done.stderr
    assert b"strongroom: hint: start it without a debugger" in done.stderr


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--no-placeholder", "SECRET: no placeholder in the environment"),
        ("--no-descriptor", "mmap in the application: Bad file descriptor"),
    ],
)
def test_what_fails_after_exec_ends_the_program_before_it_begins(option: str, message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.wrapper.static_launch", option, "SECRET=x", "--", busybox(), "echo", "begun"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == exit_status.REGION
    assert done.stdout == b"starting\n"
    assert done.stderr.decode() == f"strongroom: error: starting a static program: {message}\n"


def test_a_program_that_the_kernel_refuses_ends_with_its_status(
    launches: Launches, bridge: FakeBridge, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    content = Path(busybox()).read_bytes()
    program.write_bytes(content[:16] + b"\1\0" + content[18:])  # an object file (elf(5), ET_REL)
    program.chmod(0o755)
    done = launches.run([str(program)], SECRET, bridge=bridge.url)

    assert done.returncode == exit_status.CANNOT_EXEC
    assert b"strongroom: error: " in done.stderr
    assert b"Traceback" not in done.stderr


def test_plan_names_the_rung(launches: Launches, certificates: Certificates) -> None:
    document = b'{"identity": "x", "entries": [], "from_path": []}'
    with FakeBridge(certificates.server(), answer(response(200, document, media_type="application/json"))) as serving:
        done = subprocess.run(
            [sys.executable, "-m", "cli", "plan", "--", busybox(), "true"],
            env=launches.environ(serving.url, SECRET),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    assert "ptrace + memfd-secret memory" in done.stdout, done.stderr


def test_plan_says_why_there_is_no_rung(launches: Launches) -> None:
    sandbox = [sys.executable, str(SANDBOX), f"refuse={CALLS[0]}:{EPERM}", "--"]
    done = subprocess.run(
        [*sandbox, sys.executable, "-m", "cli", "plan", "--", busybox(), "true"],
        env=launches.environ("", {}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert "delivery  none: a program that loads no library needs ptrace" in done.stdout, done.stderr


def test_orders_that_cannot_be_sent_stop_the_launch_by_name() -> None:
    """The tracer has been killed since it attached; the kernel kills this process, too, but may take its time."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(ProtectionError, match="cannot be prepared: Broken pipe"):
        Tracer(os.getpid(), ours)._send(b"1")


def test_a_tracer_that_may_open_no_more_says_so() -> None:
    """The kernel then delivers the message without the descriptor."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b".")
        with pytest.raises(CallError, match="the limit on open files"):
            _Tracing(theirs)._received()

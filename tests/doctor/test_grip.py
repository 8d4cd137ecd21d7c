"""The hold on a running program: what it interrupted goes on as if nothing had been."""

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from doctor.attack.grip import Grip
from doctor.attack.outcome import NotTriedError
from doctor.attack.target import look_at
from tests.doctor.conftest import NOBODY

# Waits in one system call and prints what it returned; signals are not expected.
WAITS = """
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec duration = {5, 0};
    int pipe_ends[2];
    char byte;
    long result = -2;
    (void)argc;
    if (pipe(pipe_ends) != 0) return 1;
    puts("waiting");
    fflush(stdout);
    errno = 0;
    if (strcmp(argv[1], "nanosleep") == 0) result = nanosleep(&duration, NULL);
    if (strcmp(argv[1], "poll") == 0) result = poll(NULL, 0, 5000);
    if (strcmp(argv[1], "read") == 0) result = read(0, &byte, 1);
    if (strcmp(argv[1], "wait4") == 0) {
        if (fork() == 0) { nanosleep(&duration, NULL); _exit(0); }
        result = (long)(waitpid(-1, NULL, 0) > 0) - 1;
    }
    printf("%ld %d\\n", result, errno);
    return 0;
}
"""

# A machine that needs longer than this for all that is meddled with a wait has it ended before the wait is over.
ENOUGH_S = 2


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("waits")
    (directory / "waits.c").write_text(WAITS.replace("#include <time.h>", "#include <sys/wait.h>\n#include <time.h>"))
    subprocess.run(["gcc", "-o", str(directory / "waits"), str(directory / "waits.c")], check=True)
    return directory / "waits"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def descriptors_of(pid: int) -> set[str]:
    return {entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()}


def meddle(pid: int) -> None:
    """Have a program make a file and close it again."""
    target = look_at(pid)
    name = next(mapping.start for mapping in target.mappings if mapping.name == "[vdso]")  # an ELF header is a string
    before = descriptors_of(pid)
    with Grip(pid, target.mappings) as grip:
        descriptor = grip.call("memfd_create", name, 1)
        assert str(descriptor) in descriptors_of(pid) - before
        grip.call("close", descriptor)
    assert descriptors_of(pid) == before


@pytest.mark.parametrize("call", ["nanosleep", "poll", "read", "wait4"])
def test_an_interrupted_call_is_taken_up_again(waits: Path, call: str) -> None:
    with subprocess.Popen([str(waits), call], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "waiting\n"
        enough = time.monotonic() + ENOUGH_S
        meddled = 0
        while meddled < 20 and time.monotonic() < enough:
            meddle(process.pid)
            meddled += 1
        if call == "read":
            process.stdin.write("x")
            process.stdin.close()
        expected = {"read": "1 0\n"}.get(call, "0 0\n")
        assert process.stdout.readline() == expected


def test_a_call_that_fails_is_reported_and_undone(sleeper: subprocess.Popen[bytes]) -> None:
    with Grip(sleeper.pid, look_at(sleeper.pid).mappings) as grip, pytest.raises(NotTriedError, match="close in the"):
        grip.call("close", 12_345)
    meddle(sleeper.pid)
    assert sleeper.poll() is None


def test_somebody_else_who_traces_is_named(sleeper: subprocess.Popen[bytes]) -> None:
    mappings = look_at(sleeper.pid).mappings
    with (
        Grip(sleeper.pid, mappings),
        pytest.raises(NotTriedError, match=f"process {os.getpid()} traces it"),
        Grip(sleeper.pid, mappings),
    ):
        pass
    assert sleeper.poll() is None


def test_the_tracer_may_die(sleeper: subprocess.Popen[bytes]) -> None:
    child = os.fork()
    if child == 0:
        Grip(sleeper.pid, look_at(sleeper.pid).mappings).__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    meddle(sleeper.pid)
    assert sleeper.poll() is None


def test_what_may_not_be_traced_is_refused_and_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    become = {"x86_64": 117, "aarch64": 147}[os.uname().machine]  # setresuid(2), by which glibc signals to threads, too
    child = os.fork()
    if child == 0:
        if ctypes.CDLL(None).syscall(become, NOBODY, NOBODY, NOBODY) != 0:
            os._exit(2)
        try:
            Grip(sleeper.pid, []).__enter__()
        except PermissionError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert sleeper.poll() is None

"""What root tries against the region of a running program, and does not get."""

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.stack import DevStack
from tests.support.launch.launcher import Launcher
from tests.support.process.privileges import is_root

CANARY = "attack-canary-5d0e8f2a"

# Reads its secret in place, through the pointer that getenv() gives, and makes no copy of it.
TARGET = """
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    const char *secret = getenv("SECRET");
    printf("%p %c\\n", (const void *)secret, secret ? secret[0] : '?');
    fflush(stdout);
    return getchar() == EOF ? 0 : 1;
}
"""


class Target:
    """A running program with a secret, and where in its memory the secret is."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        address, first = process.stdout.readline().split()
        assert first == CANARY[0]
        self.pid = process.pid
        self.address = int(address, 16)
        maps = Path(f"/proc/{self.pid}/maps").read_text().splitlines()
        ranges = [[int(part, 16) for part in line.split()[0].split("-")] for line in maps if "secretmem" in line]
        self.mappings = [(start, end) for start, end in ranges]
        assert any(start <= self.address < end for start, end in self.mappings)


@pytest.fixture(scope="module")
def target(stack: DevStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    assert is_root(), "these attacks are root's; run the tests as root"
    directory = tmp_path_factory.mktemp("target")
    (directory / "target.c").write_text(TARGET)
    subprocess.run(["gcc", "-o", str(directory / "target"), str(directory / "target.c")], check=True)
    stack.openbao.admin.put_v2("kv", "shop/attacked", {"k": CANARY})
    process = Launcher(stack).start({"SECRET": "bao:kv/shop/attacked#k"}, str(directory / "target"))
    try:
        yield Target(process)
    finally:
        process.communicate(timeout=60)


def test_proc_mem_cannot_be_read(target: Target) -> None:
    for start, _ in target.mappings:
        with Path(f"/proc/{target.pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(start)
            with pytest.raises(OSError, match="Input/output error"):
                memory.read(16)


def test_process_vm_readv_cannot_read_it(target: Target) -> None:
    class Iovec(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    libc = ctypes.CDLL(None, use_errno=True)
    libc.process_vm_readv.restype = ctypes.c_ssize_t

    def read(address: int) -> int:
        buffer = ctypes.create_string_buffer(16)
        local = Iovec(ctypes.addressof(buffer), 16)
        remote = Iovec(address, 16)
        got: int = libc.process_vm_readv(target.pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        return got

    stack_line = next(
        line for line in Path(f"/proc/{target.pid}/maps").read_text().splitlines() if line.endswith("[stack]")
    )
    end_of_stack = int(stack_line.split()[0].split("-")[1], 16)
    assert read(end_of_stack - 16) == 16, "the attack itself must work on ordinary memory"
    assert read(target.address) == -1


def test_gdb_cannot_read_it(target: Target) -> None:
    commands = [f"x/s {target.address:#x}", "info proc", "detach"]
    flags = [word for command in commands for word in ("-ex", command)]
    result = subprocess.run(
        ["gdb", "-nx", "-batch", "-p", str(target.pid), *flags], capture_output=True, text=True, check=False
    )
    assert "Cannot access memory" in result.stdout + result.stderr, result.stdout
    assert f"process {target.pid}" in result.stdout, "gdb must have been attached"
    assert CANARY not in result.stdout + result.stderr


def test_gcore_writes_no_secret(target: Target, tmp_path: Path) -> None:
    core = tmp_path / "core"
    subprocess.run(
        ["gdb", "-nx", "-batch", "-p", str(target.pid), "-ex", f"generate-core-file {core}", "-ex", "detach"],
        capture_output=True,
        check=False,
    )
    content = core.read_bytes()
    assert len(content) > 100_000, "gdb must have written a core file"
    assert CANARY.encode() not in content


def test_environ_shows_a_placeholder(target: Target) -> None:
    environ = Path(f"/proc/{target.pid}/environ").read_bytes()
    assert b"SECRET=\0" in environ
    assert CANARY.encode() not in environ


def test_a_crash_leaves_no_core_file(launcher: Launcher, tmp_path: Path) -> None:
    launcher.stack.openbao.admin.put_v2("kv", "shop/attacked", {"k": CANARY})
    script = f"cd {tmp_path} && ulimit -c unlimited 2>/dev/null; ulimit -c; kill -SEGV $$"
    result = launcher.run({"SECRET": "bao:kv/shop/attacked#k"}, "sh", "-c", script)
    assert result.returncode == -11
    assert result.stdout == "0\n", "the limit can not be raised again"
    assert not list(tmp_path.iterdir())

import ctypes
import fcntl
import gc
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO, ENOSYS, EPERM
from pathlib import Path

import pytest

from strongroom.errors import IntegrityError
from tests.support.launch.launches import SANDBOX
from tests.support.tree import ROOT
from wrapper.memory import FIRST_DESCRIPTOR, SecretMemory

CANARY = b"canary-Gh51xQ"


@contextmanager
def allocated(require: str, size: int) -> Iterator[tuple[SecretMemory, mmap.mmap]]:
    memory = SecretMemory(require)
    mapping = memory.allocate(size)
    try:
        yield memory, mapping
    finally:
        os.close(memory._descriptor)


def read_through_proc(mapping: mmap.mmap, size: int) -> bytes:
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(size)


def in_sandbox(*options: str, code: str) -> str:
    """Run code in a process of a poorer machine; returns what it printed."""
    command = [sys.executable, str(SANDBOX), *options, "--", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def open_descriptors() -> int:
    gc.collect()  # what other tests have left behind must not close between two counts
    return len(list(Path("/proc/self/fd").iterdir()))


TRY = """
from wrapper.exit_status import status_of
from wrapper.memory import SecretMemory
from wrapper.program import ProtectionError
try:
    memory = SecretMemory({require!r})
    for size in {sizes!r}:
        memory.allocate(size)
    print("rung", memory.rung)
except ProtectionError as error:
    print(status_of(error), error.message, "|", error.hint)
"""


def try_memory(*options: str, require: str = "memfd-secret", sizes: tuple[int, ...] = (4096,)) -> str:
    return in_sandbox(*options, code=TRY.format(require=require, sizes=sizes))


def test_secret_memory_cannot_be_read_through_proc_not_even_by_root() -> None:
    with allocated("memfd-secret", 4096) as (memory, mapping):
        assert memory.rung == "memfd-secret"
        mapping[: len(CANARY)] = CANARY
        with pytest.raises(OSError, match=os.strerror(EIO)) as caught:
            read_through_proc(mapping, len(CANARY))
        assert caught.value.errno == EIO
        assert mapping[: len(CANARY)] == CANARY


def test_ordinary_memory_can_be_read_that_way_so_the_test_above_can_fail() -> None:
    mapping = mmap.mmap(-1, 4096)
    mapping[: len(CANARY)] = CANARY

    assert read_through_proc(mapping, len(CANARY)) == CANARY


def test_secret_memory_cannot_be_read_through_its_descriptor() -> None:
    with allocated("memfd-secret", 4096) as (memory, mapping):
        mapping[: len(CANARY)] = CANARY
        descriptor = memory.seal()
        with pytest.raises(OSError, match="Invalid argument"):
            os.read(descriptor, 16)
        with pytest.raises(OSError, match="No such device"):
            os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)


@pytest.mark.parametrize("require", ["memfd-secret", "locked", "any"])
def test_the_best_memory_is_used_whatever_less_would_do(require: str) -> None:
    with allocated(require, 100) as (memory, mapping):
        assert memory.rung == "memfd-secret"
        assert len(mapping) == 100


@pytest.mark.parametrize("size", [0, -1, 2**30 + 1, 2**62])
def test_a_size_that_no_region_has_is_refused(size: int) -> None:
    memory = SecretMemory("any")
    with pytest.raises(IntegrityError, match="not the size of a region"):
        memory.allocate(size)
    os.close(memory._descriptor)


@pytest.mark.parametrize("size", [1, 8, 4095, 4096, 4097, 1 << 20])
def test_the_block_is_exactly_as_large_as_asked_for_and_empty(size: int) -> None:
    with allocated("memfd-secret", size) as (memory, mapping):
        assert mapping[:] == bytes(size)
        assert os.fstat(memory.seal()).st_size == size


def test_a_second_answer_of_another_size_gets_a_block_of_its_own() -> None:
    memory = SecretMemory("memfd-secret")
    before = open_descriptors()
    memory.allocate(4096)[:4] = b"lost"
    for size in (8192, 100, 50_000):
        mapping = memory.allocate(size)
        assert mapping[:] == bytes(size)
        del mapping

    # One more than before: mmap.mmap keeps a descriptor of its own.
    assert open_descriptors() == before + 1
    os.close(memory._descriptor)


def test_the_descriptor_is_out_of_the_way_inheritable_and_leads_to_the_same_memory() -> None:
    with allocated("memfd-secret", 4096) as (memory, mapping):
        mapping[: len(CANARY)] = CANARY
        descriptor = memory.seal()

        assert descriptor >= FIRST_DESCRIPTOR
        assert os.get_inheritable(descriptor)
        with mmap.mmap(descriptor, 4096) as again:
            assert again[: len(CANARY)] == CANARY


LOCKED = """
import os, mmap, fcntl, re
from wrapper.memory import SecretMemory
memory = SecretMemory("locked")
mapping = memory.allocate(100_000)
mapping[:6] = b"canary"
descriptor = memory.seal()
status = open("/proc/self/status").read()
print(memory.rung, re.search(r"VmLck:\\s+(\\d+)", status)[1], descriptor, os.get_inheritable(descriptor))
print(fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & (fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW))
for size in (0, 200_000):
    try:
        os.ftruncate(descriptor, size)
    except PermissionError:
        print("sealed")
smaps = open("/proc/self/smaps").read()
flags = re.search(r"memfd:strongroom.*?VmFlags: ([a-z ]*)", smaps, re.DOTALL)[1].split()
print("dd" in flags, "lo" in flags, mmap.mmap(descriptor, 100_000)[:6])
"""


def test_locked_memory_is_locked_sealed_and_not_dumped() -> None:
    lines = in_sandbox(f"refuse={ENOSYS}", code=LOCKED).splitlines()

    assert lines[0] == "locked 100 100 True"  # kB: 25 pages
    assert lines[1] == str(fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    assert lines[2:4] == ["sealed", "sealed"]
    assert lines[4] == "True True b'canary'"


@pytest.mark.parametrize(
    ("number", "name", "cause"), [(ENOSYS, "ENOSYS", "the kernel does not have it"), (EPERM, "EPERM", "seccomp")]
)
def test_without_the_system_call_the_launch_stops_and_is_told_how_to_allow_less(
    number: int, name: str, cause: str
) -> None:
    shown = try_memory(f"refuse={number}")

    assert shown.startswith("117 memfd_secret cannot be had")
    assert f"({name})" in shown
    assert cause in shown
    assert "--require locked" in shown


@pytest.mark.parametrize("require", ["locked", "any"])
def test_without_the_system_call_locked_memory_is_used_where_that_will_do(require: str) -> None:
    assert try_memory(f"refuse={ENOSYS}", require=require, sizes=(4096, 8192)) == "rung locked"


@pytest.mark.parametrize(
    ("options", "require", "limit"),
    [
        (["memlock=65536"], "memfd-secret", "RLIMIT_MEMLOCK is 65536 bytes"),
        (["memlock=65536", f"refuse={ENOSYS}"], "locked", "RLIMIT_MEMLOCK is 65536 bytes"),
        (["memlock=0", f"refuse={ENOSYS}"], "locked", "RLIMIT_MEMLOCK is 0 bytes"),
    ],
)
def test_too_little_lockable_memory_stops_the_launch_and_the_line_names_the_limit(
    options: list[str], require: str, limit: str
) -> None:
    shown = try_memory(*options, require=require, sizes=(200_000,))

    assert shown.startswith("117 200000 bytes of ")
    assert limit in shown
    assert "raise RLIMIT_MEMLOCK" in shown


def test_memory_that_cannot_be_locked_does_where_anything_will_do() -> None:
    assert try_memory("memlock=0", f"refuse={ENOSYS}", require="any") == "rung any"


def test_what_fits_the_limit_once_fits_it_again_when_an_answer_was_lost() -> None:
    assert try_memory("memlock=65536", sizes=(60_000, 50_000, 60_000)) == "rung memfd-secret"


SEAL = """
from wrapper.memory import SecretMemory
from wrapper.program import ProtectionError
memory = SecretMemory('any')
memory.allocate(8)
try:
    print(memory.seal())
except ProtectionError as error:
    print(error.message, error.hint)
"""


def test_the_descriptor_is_one_that_the_library_takes() -> None:
    assert 100 <= int(in_sandbox("nofile=128", code=SEAL)) < 128


@pytest.mark.parametrize("count", [32, 64, 100])
def test_too_few_allowed_descriptors_are_named_and_not_the_library_s_to_complain_about(count: int) -> None:
    assert in_sandbox(f"nofile={count}", code=SEAL).startswith(
        f"no descriptor is free from 100 on: Invalid argument; RLIMIT_NOFILE is {count} raise RLIMIT_NOFILE"
    )


def test_a_limit_on_file_sizes_is_named() -> None:
    shown = try_memory("fsize=0", sizes=(8,))

    assert shown.startswith("117 8 bytes of ")
    assert "RLIMIT_FSIZE is 0" in shown

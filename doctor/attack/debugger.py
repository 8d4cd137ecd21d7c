"""Attacks by ptrace: what debuggers do, gdb itself, and the one that nothing in user space stops."""

import mmap
import os
import re
import shutil
import subprocess

from doctor.attack.grip import Grip
from doctor.attack.outcome import NotTriedError, Outcome, Result, Situation, not_applicable, not_stopped, stopped
from doctor.attack.reading import NO_VALUES, can_be_read, refusal_of_regions, search_memory, without_region
from doctor.attack.target import Target, holds_region
from doctor.machine import status_field
from strongroom.launch.region import MAGIC
from strongroom.linux import probing

_MFD_CLOEXEC = 1  # linux/memfd.h
_HEADER_BYTES = 48
_GDB_TIMEOUT_S = 60
_NOT_ATTACHED = re.compile(r"ptrace: |Could not attach|not permitted")
_GDB_MAGIC = "\t".join(f"{byte:#04x}" for byte in MAGIC)
_LARGEST_CORE_BYTES = 512 << 20  # it is written to memory, never to a disk
_PAGE_BYTES = mmap.PAGESIZE


def peek(situation: Situation) -> Outcome:
    """Read the region with PTRACE_PEEKDATA."""
    target = situation.target
    with Grip(target.pid, target.mappings) as grip:
        if not target.regions:
            return without_region(situation)
        ordinary = target.ordinary()
        if ordinary:
            grip.peek(ordinary.end - 8)
        refusal = refusal_of_regions(target, grip.peek)
    if not refusal:
        return can_be_read(target)
    return stopped(f"traced, yet {refusal}; ordinary memory can be read")


def inject(situation: Situation) -> Outcome:
    """Have the program itself copy its region to where it can be read."""
    target = situation.target
    with Grip(target.pid, target.mappings) as grip:
        if not target.regions:
            return without_region(situation)
        for region in target.regions:
            if _take_out(grip, situation, region.start, region.end - region.start):
                meaning = "the program was made to copy the region out itself"
                if situation.is_root:
                    meaning += "; no user-space measure stops root from that"
                return not_stopped(meaning, is_known=situation.is_root)
    return stopped("what came out was no region")


def _take_out(grip: Grip, situation: Situation, address: int, size: int) -> bool:
    """Have it write its memory to a file of its own, and copy that; return whether a region came out.

    What comes out goes to the secret memory of the needles when there is room for it, else only its head is looked at.
    """
    size = _within_file_limit(situation.target.pid, size)
    name_address = address  # any text in its memory will do as a name, and the image begins with one
    descriptor = grip.call("memfd_create", name_address, _MFD_CLOEXEC)
    pidfd = os.pidfd_open(situation.target.pid)
    try:
        copy = probing.pidfd_getfd(pidfd, descriptor)
        try:
            grip.call("write", descriptor, address, size)
            room = situation.needles.memory
            if room is not None and not len(situation.needles):
                os.preadv(copy, [memoryview(room)[:size]], 0)
            head = os.pread(copy, _HEADER_BYTES, 0)
            for place in range(0, size, _PAGE_BYTES):
                os.pwrite(copy, bytes(min(_PAGE_BYTES, size - place)), place)
        finally:
            os.close(copy)
    finally:
        os.close(pidfd)
        grip.call("close", descriptor)
    return holds_region(head)


def _within_file_limit(pid: int, size: int) -> int:
    """Return how much of it the program may write to a file; beyond its limit it would get SIGXFSZ."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:  # noqa: PTH123 - one line of it
        limit = next((line.split()[3] for line in file if line.startswith("Max file size")), "unlimited")
    allowed = size if limit == "unlimited" else min(size, int(limit))
    if allowed < _HEADER_BYTES:
        raise NotTriedError("it may write no files")
    return allowed


def examine_with_gdb(situation: Situation) -> Outcome:
    """Have gdb show the beginning of the region."""
    target = situation.target
    if not target.regions:
        return without_region(situation)
    output = _gdb(target, [f"x/8xb {region.start:#x}" for region in target.regions])
    if _GDB_MAGIC in _unbroken(output):
        return not_stopped(f"gdb shows its {target.kind} memory")
    if "Cannot access memory" in output and not _NOT_ATTACHED.search(output):
        return stopped("gdb attaches, and cannot access it")
    return _without_output(output)


def _without_output(output: str) -> Outcome:
    if _NOT_ATTACHED.search(output):
        return stopped("gdb cannot attach")
    return not_applicable("gdb showed nothing, and did not say why")


def _unbroken(output: str) -> str:
    return "\t".join(line.partition(":")[2].strip() for line in output.splitlines() if ":\t0x" in line)


def dump_with_gdb(situation: Situation) -> Outcome:
    """Have gdb write a core file, to memory, and look for values in it."""
    target = situation.target
    if not len(situation.needles) and target.mappings:
        return not_applicable(NO_VALUES)
    size = sum(mapping.end - mapping.start for mapping in target.mappings if "w" in mapping.permissions)
    resident_kib = int(status_field(target.pid, "VmRSS").split()[0] or 0)
    if min(size, resident_kib << 10) > _LARGEST_CORE_BYTES:
        return not_applicable(f"left out: it uses {resident_kib >> 10} MiB, and the file would be held in memory")
    core = os.memfd_create("core")
    try:
        output = _gdb(target, [f"generate-core-file /proc/self/fd/{core}"], core)
        written = os.fstat(core).st_size
        if not written:
            return _without_output(output)
        with mmap.mmap(core, written) as content:
            found = _search(content, situation)
    finally:
        os.close(core)
    if found and target.regions and _would_be_found(situation):
        return not_stopped("the program's own copies are in it, the region is not", is_known=situation.is_root)
    if found:
        return not_stopped(f"the value of {found} is in it")
    return stopped(f"no value in {written >> 10} KiB")


def _search(content: mmap.mmap, situation: Situation) -> str | None:
    step, overlap = 1 << 20, situation.needles.longest_bytes
    for start in range(0, len(content), step):
        found = situation.needles.find(content[start : start + step + overlap])
        if found:
            return found
    return None


def _would_be_found(situation: Situation) -> bool:
    """Return whether the values are in memory outside of the region, whence they come into a core file."""
    return search_memory(situation).result is Result.NOT_STOPPED


def _gdb(target: Target, commands: list[str], *inherited: int) -> str:
    gdb = shutil.which("gdb")
    if gdb is None:
        raise NotTriedError("gdb is not installed")
    if status_field(target.pid, "State").startswith(("T", "t")):
        raise NotTriedError("it is stopped")
    words = ["-iex", "set debuginfod enabled off", "-iex", "set auto-load off", "-p", str(target.pid)]
    for command in (*commands, "detach"):
        words += ["-ex", command]
    try:
        result = subprocess.run(
            [gdb, "-nx", "-batch", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GDB_TIMEOUT_S,
            check=False,
            cwd="/",
            pass_fds=inherited,
            start_new_session=True,  # Ctrl-C must not end it while it holds the program
        )
    except subprocess.TimeoutExpired:
        raise NotTriedError(f"gdb took longer than {_GDB_TIMEOUT_S} s") from None
    return (result.stdout + result.stderr).decode(errors="replace")

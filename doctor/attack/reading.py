"""Attacks that read: /proc files and memory, by system calls."""

import os
from collections.abc import Callable
from pathlib import Path

from doctor.attack.outcome import Outcome, Situation, not_applicable, not_stopped, stopped
from doctor.attack.target import Target, read_memory_file
from strongroom.linux import ptrace

_PROBE_BYTES = 8
_CHUNK_BYTES = 1 << 20
_MOST_BYTES = 1 << 30  # searched of one program
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_PAGEMAP_ENTRY_BYTES = 8
_IN_MEMORY_OR_SWAP = 0xC0  # in the last byte of an entry (Documentation/admin-guide/mm/pagemap.rst)

NO_REGION = "it has no secret memory: not started by strongroom run, or a child that may not have any"
UNSEEN = "where its secret memory is cannot even be seen"
NO_VALUES = "no value is known to look for; give its references in the environment"


def without_region(situation: Situation) -> Outcome:
    """Return what to say when there is no region to attack."""
    return not_applicable(NO_REGION) if situation.target.mappings else stopped(UNSEEN)


def refusal_of_regions(target: Target, read: Callable[[int], object]) -> str:
    """Return why none of its secret memory can be read, or "" when some can.

    Raises:
        PermissionError: nothing of the program can be read.
    """
    refusal = ""
    for region in target.regions:
        try:
            read(region.start)
        except PermissionError:
            raise
        except OSError as error:
            refusal = error.strerror or str(error)
        else:
            return ""
    return refusal


def can_be_read(target: Target) -> Outcome:
    """Return what to say when its secret memory can be read."""
    return not_stopped(f"its {target.kind} memory can be read")


def read_environ(situation: Situation) -> Outcome:
    """Read what ``ps e`` shows."""
    block = Path(f"/proc/{situation.target.pid}/environ").read_bytes()
    count = block.count(b"\0")
    return _searched(situation, block, f"readable, {count} variables, none with a value")


def read_cmdline(situation: Situation) -> Outcome:
    """Read what everybody sees in ``ps``."""
    words = Path(f"/proc/{situation.target.pid}/cmdline").read_bytes()
    return _searched(situation, words, "readable, no value")


def _searched(situation: Situation, content: bytes, nothing: str) -> Outcome:
    """Search what could be read for values; ``nothing`` is what to say when there is none."""
    name = situation.needles.find(content)
    if name:
        return not_stopped(f"the value of {name} is in it")
    return stopped(nothing) if len(situation.needles) else not_applicable(NO_VALUES)


def read_children(situation: Situation) -> Outcome:
    """Read the environ of what the program has started."""
    readable = denied = 0
    for child in situation.target.descendants:
        try:
            block = Path(f"/proc/{child}/environ").read_bytes()
        except PermissionError:
            denied += 1
            continue
        except OSError:  # it has ended
            continue
        name = situation.needles.find(block)
        if name:
            return not_stopped(f"child {child}: the value of {name} is in it")
        readable += 1
    if not readable and not denied:
        return not_applicable("it has no children now")
    if readable and not len(situation.needles):
        return not_applicable(NO_VALUES)
    return stopped(f"{readable} readable and without a value, {denied} refused")


def read_maps(situation: Situation) -> Outcome:
    """Read the lists of its memory."""
    pid = situation.target.pid
    text = Path(f"/proc/{pid}/smaps").read_bytes() + Path(f"/proc/{pid}/maps").read_bytes()
    name = situation.needles.find(text)
    if name:
        return not_stopped(f"the value of {name} is in it")
    return stopped("addresses and flags, no content")


def read_mem(situation: Situation) -> Outcome:
    """Read the region through /proc/PID/mem."""
    target = situation.target
    if not target.regions:
        os.close(os.open(f"/proc/{target.pid}/mem", os.O_RDONLY))
        return without_region(situation)
    refusal = refusal_of_regions(target, lambda address: read_memory_file(target.pid, address, _PROBE_BYTES))
    if not refusal:
        return can_be_read(target)
    ordinary = target.ordinary()
    if ordinary is None:
        return stopped(refusal)
    read_memory_file(target.pid, ordinary.end - _PROBE_BYTES, _PROBE_BYTES)
    return stopped(f"{refusal}, while ordinary memory can be read")


def call_process_vm_readv(situation: Situation) -> Outcome:
    """Read the region with process_vm_readv(2)."""
    target = situation.target
    ordinary = target.ordinary()
    if ordinary:
        ptrace.read_memory(target.pid, ordinary.end - _PROBE_BYTES, _PROBE_BYTES)
    if not target.regions:
        if not ordinary:
            ptrace.read_memory(target.pid, _PAGE_BYTES, _PROBE_BYTES)
        return without_region(situation)
    refusal = refusal_of_regions(target, lambda address: ptrace.read_memory(target.pid, address, _PROBE_BYTES))
    return stopped(f"{refusal}, while ordinary memory can be read") if refusal else can_be_read(target)


def search_memory(situation: Situation) -> Outcome:
    """Look for values in everything but the region."""
    target, needles = situation.target, situation.needles
    memory = os.open(f"/proc/{target.pid}/mem", os.O_RDONLY)
    try:
        if not len(needles):
            return not_applicable(NO_VALUES)
        places: list[str] = []
        budget = _MOST_BYTES
        chunk = bytearray(_CHUNK_BYTES + needles.longest_bytes)
        for mapping in target.mappings:
            if not mapping.is_ordinary or mapping in target.regions:
                continue
            for start in range(mapping.start, mapping.end, _CHUNK_BYTES):
                size = min(len(chunk), mapping.end - start)
                if budget <= 0 or not _is_used(target.pid, start, size):
                    continue
                try:
                    got = os.preadv(memory, [memoryview(chunk)[:size]], start)
                except OSError:
                    continue
                budget -= got
                if needles.find(chunk):
                    places.append(mapping.name or "anonymous memory")
                chunk[:] = bytes(len(chunk))
    finally:
        os.close(memory)
    searched = f"{(_MOST_BYTES - budget) / (1 << 20):.0f} MiB" + (", the limit" if budget <= 0 else "")
    if places:
        shown = ", ".join(sorted(set(places))[:3])
        # Of a program without a region it is not a copy of what was delivered, but the delivery.
        is_known = situation.is_root and bool(target.regions)
        whose = "the program's own copies" if target.regions else "values"
        return not_stopped(f"{whose}, in {shown}", is_known=is_known)
    return stopped(f"no value in {searched}")


def _is_used(pid: int, start: int, size: int) -> bool:
    """Return whether any page is in memory or swap, so that reading does not make a program larger."""
    first, count = start // _PAGE_BYTES, -(-size // _PAGE_BYTES)
    try:
        descriptor = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
        try:
            entries = os.pread(descriptor, count * _PAGEMAP_ENTRY_BYTES, first * _PAGEMAP_ENTRY_BYTES)
        finally:
            os.close(descriptor)
    except OSError:
        return True
    return any(byte & _IN_MEMORY_OR_SWAP for byte in entries[_PAGEMAP_ENTRY_BYTES - 1 :: _PAGEMAP_ENTRY_BYTES])

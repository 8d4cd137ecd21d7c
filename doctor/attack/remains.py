"""What could outlive the program or come into being beside it: core dumps at a crash, swap, libraries.

Finds out; crashes nothing.
"""

import resource
from dataclasses import dataclass
from pathlib import Path

from doctor.attack.outcome import Outcome, Situation, not_applicable, not_stopped, stopped
from doctor.attack.reading import without_region
from doctor.attack.target import Target


@dataclass(frozen=True)
class _Flags:
    """What smaps says of one region."""

    dump: bool
    locked: bool
    swapped_kib: int


def crash(situation: Situation) -> Outcome:
    """Find out what the kernel would write if the program crashed."""
    target = situation.target
    obstacle = obstacle_to_dumps(target)
    if obstacle:
        return stopped(f"none would be written: {obstacle}")
    if not target.regions:
        if not target.mappings:
            return not_applicable("only root can see what would be in one")
        return not_stopped("one would be written, and nothing keeps its memory out")
    flags = _region_flags(target)
    if any(flag.dump for flag in flags):
        return not_stopped("one would be written, with the secret memory")
    return stopped("one would be written without the secret memory; the program's own copies may be in it")


def obstacle_to_dumps(target: Target) -> str:
    """Return why the kernel would not dump a program, or "" when it would (core(5))."""
    if target.uid and not _is_dumpable(target):
        return "the program is not dumpable"
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8", errors="replace").strip()
    if pattern.startswith(("|", "@")):
        return ""  # RLIMIT_CORE says nothing about dumps to programs
    return "RLIMIT_CORE is 0" if _core_limit(target.pid) == 0 else ""


def swap(situation: Situation) -> Outcome:
    """Find out whether the region could be, or is, in swap."""
    target = situation.target
    if not target.regions:
        return without_region(situation)
    flags = _region_flags(target)
    swapped_kib = sum(flag.swapped_kib for flag in flags)
    if swapped_kib:
        return not_stopped(f"{swapped_kib} KiB of the secret memory are there")
    if all(flag.locked for flag in flags):
        return stopped("the secret memory is locked; the program's own copies need not be")
    if len(Path("/proc/swaps").read_text().splitlines()) <= 1:
        return not_applicable("the secret memory is not locked, but there is no swap now")
    return not_stopped("the secret memory is not locked")


def preload(_situation: Situation) -> Outcome:
    """Say why this is none."""
    return not_applicable("acts on programs that are yet to start; anyone who sets their environment owns them")


def _is_dumpable(target: Target) -> bool:
    """Files of a process that is not dumpable belong to root (proc(5)); of root's own this cannot be told."""
    return Path(f"/proc/{target.pid}/environ").stat().st_uid == target.uid


def _core_limit(pid: int) -> int:
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            soft = line.split()[4]
            return resource.RLIM_INFINITY if soft == "unlimited" else int(soft)
    return resource.RLIM_INFINITY


def _region_flags(target: Target) -> list[_Flags]:
    starts = {f"{region.start:08x}-{region.end:08x}" for region in target.regions}
    found: list[_Flags] = []
    swapped = 0
    inside = False
    for line in Path(f"/proc/{target.pid}/smaps").read_text(errors="replace").splitlines():
        head = line.split(maxsplit=1)[0]
        if not head.endswith(":"):
            inside, swapped = head in starts, 0
        elif inside and head == "Swap:":
            swapped = int(line.split()[1])
        elif inside and head == "VmFlags:":
            flags = line.split()[1:]
            found.append(_Flags(dump="dd" not in flags, locked="lo" in flags, swapped_kib=swapped))
    return found

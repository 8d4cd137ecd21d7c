"""Attacks that go after a descriptor of the region: anyone who has one can map the memory."""

import contextlib
import errno
import mmap
import os

from doctor.attack.outcome import Outcome, Situation, not_applicable, not_stopped, stopped
from doctor.attack.reading import without_region
from doctor.attack.target import Target, holds_region
from strongroom.linux import probing

_HEADER_BYTES = 48
_GUESSES = range(256)  # where descriptors are, when they cannot be listed; those of regions begin at 100


def open_links(situation: Situation) -> Outcome:
    """Open a descriptor of the region anew, by its link in /proc/PID/fd."""
    target = situation.target
    os.close(os.open(f"/proc/{target.pid}/fd", os.O_DIRECTORY))
    refusals: set[str] = set()
    candidates = _candidates(target)
    for number in candidates:
        try:
            opened = os.open(f"/proc/{target.pid}/fd/{number}", os.O_RDWR | os.O_NONBLOCK)
        except PermissionError:
            raise
        except OSError as error:
            refusals.add(error.strerror or str(error))
            continue
        if _leads_to_region(opened):
            return not_stopped(f"descriptor {number} could be opened anew, and the region mapped")
    if refusals:
        return stopped(f"{len(candidates)} open, none can be opened anew: {', '.join(refusals)}")
    return stopped("none of its descriptors leads to a region")


def open_map_files(situation: Situation) -> Outcome:
    """Open the region's mapping as a file."""
    target = situation.target
    os.close(os.open(f"/proc/{target.pid}/map_files", os.O_DIRECTORY))
    if not target.regions:
        return without_region(situation)
    refusals = set()
    for region in target.regions:
        try:
            opened = os.open(f"/proc/{target.pid}/map_files/{region.start:x}-{region.end:x}", os.O_RDWR)
        except PermissionError:
            raise
        except FileNotFoundError:
            refusals.add("it is backed by no file")
        except OSError as error:
            refusals.add(error.strerror or str(error))
        else:
            if _leads_to_region(opened):
                return not_stopped("the mapping could be opened and mapped")
            refusals.add("it opens, and is not a region")
    return stopped(", ".join(sorted(refusals)))


def take_descriptors(situation: Situation) -> Outcome:
    """Copy a descriptor of the region with pidfd_getfd(2)."""
    target = situation.target
    pidfd = os.pidfd_open(target.pid)
    try:
        candidates = list(_GUESSES) if target.descriptors is None else _candidates(target)
        trial = next(iter(target.descriptors or {}), None)
        if trial is not None:  # shows whether it is allowed at all
            taken = _copy_of(pidfd, trial)
            if taken is not None:
                os.close(taken)
        for number in candidates:
            taken = _copy_of(pidfd, number)
            if taken is not None and _leads_to_region(taken):
                # The threat model's exception: static and Go programs keep it, to pass secrets on to children.
                return not_stopped(
                    f"descriptor {number} was copied and the region mapped; --children deny closes it",
                    is_known=situation.is_root,
                )
    finally:
        os.close(pidfd)
    if not candidates and trial is None:
        return not_applicable("it has no descriptor open")
    return stopped("none of its descriptors leads to a region")


def _copy_of(pidfd: int, number: int) -> int | None:
    """Return a copy of a descriptor, or None when there is no such one."""
    try:
        return probing.pidfd_getfd(pidfd, number)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise


def _candidates(target: Target) -> list[int]:
    links = target.descriptors or {}
    return [number for number, link in links.items() if link.startswith(("/secretmem", "/memfd:"))]


def _leads_to_region(descriptor: int) -> bool:
    """Return whether a descriptor maps to a region, and close it."""
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        size = os.fstat(descriptor).st_size
        if size < _HEADER_BYTES:
            return False
        try:
            memory = stack.enter_context(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))
        except (OSError, ValueError):
            return False
        return holds_region(memory[:_HEADER_BYTES])

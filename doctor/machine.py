"""Probes of the machine. Each really does the thing, in a child of its own; none looks at a version number."""

import errno
import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from doctor.page import Finding, Status
from doctor.trial import KilledError, in_child
from preload import MACHINES
from strongroom import linux
from strongroom.linux import probing, ptrace
from wrapper.exposure import yama_scope
from wrapper.settings import REQUIRE_LOCKED, REQUIRE_MEMFD_SECRET, WrapperSettings

_PAGE_BYTES = mmap.PAGESIZE
_ENOUGH_BYTES = 64 << 20  # nobody needs larger regions, and larger ones are not tried
_ENOUGH_LOCKED_BYTES = 4 << 20  # locking fills the memory, so less of it is tried
_COMFORTABLE_BYTES = 16 << 10  # a few hundred passwords

_WHY = {
    "ENOSYS": (
        "the kernel does not have it (before 5.14, or CONFIG_SECRETMEM=n), has it switched off, or is gVisor",
        "boot with secretmem.enable=1 (kernels before 6.5); under gVisor it cannot be had",
    ),
    "EPERM": ("a seccomp profile refuses it", "allow memfd_secret in the seccomp profile of the container"),
    "EACCES": ("a seccomp profile or a security module refuses it", "allow memfd_secret in the container's profile"),
    "SIGSYS": (
        "a seccomp profile ends programs that call it",
        "allow memfd_secret in the profile, or have the profile answer with an errno",
    ),
    "EAGAIN": ("RLIMIT_MEMLOCK is used up", "raise RLIMIT_MEMLOCK"),
    "EMFILE": ("no descriptor is free", "raise RLIMIT_NOFILE"),
}


def probe_machine(settings: WrapperSettings) -> Iterator[Finding]:
    """Yield a finding for each thing that matters.

    Args:
        settings: as a launch would have them.
    """
    require = settings.require
    yield _kernel()
    secret = _memfd_secret(require)
    yield secret
    yield _room("room for secrets", REQUIRE_MEMFD_SECRET if secret.status is Status.OK else REQUIRE_LOCKED, require)
    yield _ptrace()
    yield _yama(secret, required=settings.require_yama)
    yield _seccomp()
    yield _privileges()
    yield _swap()
    yield _core_dumps()
    yield _environ_blanking()
    yield _user_namespaces()
    yield _pid_1()
    yield _hibernation()


def _kernel() -> Finding:
    system = os.uname()
    says = f"{system.sysname} {system.release}, {system.machine}"
    if system.machine in MACHINES:
        return Finding("kernel", Status.NOTE, says)
    return Finding("kernel", Status.PROBLEM, says, f"there is a library for {' and '.join(MACHINES)} only")


def _memfd_secret(require: str) -> Finding:
    def use() -> bool:
        descriptor = linux.memfd_secret()
        os.ftruncate(descriptor, _PAGE_BYTES)
        with mmap.mmap(descriptor, _PAGE_BYTES) as memory:
            memory[:4] = b"held"
            return memory[:4] == b"held"

    cause = _failure(use)
    if not cause:
        return Finding("memfd_secret", Status.OK, "created, sized, mapped and written")
    why, hint = _WHY.get(cause, ("see memfd_secret(2)", "see memfd_secret(2)"))
    if require == REQUIRE_MEMFD_SECRET:
        return Finding("memfd_secret", Status.PROBLEM, f"{cause}: {why}", f"{hint}; or allow less with --require")
    return Finding("memfd_secret", Status.NOTE, f"{cause}: {why}; --require {require} allows less", hint)


def _failure(function: Callable[[], object]) -> str:
    """Return "" when a function works in a child, else the name of the errno or signal that came instead."""
    try:
        in_child(function)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "failed")
    except KilledError as error:
        return error.signal
    except RuntimeError as error:
        return str(error)
    return ""


def _room(name: str, kind: str, require: str) -> Finding:
    enough = _ENOUGH_BYTES if kind == REQUIRE_MEMFD_SECRET else _ENOUGH_LOCKED_BYTES
    try:
        size = in_child(lambda: largest_region(kind, enough))
    except (OSError, KilledError, RuntimeError) as error:
        return Finding(name, Status.NOTE, f"cannot be tried: {error}")
    assert isinstance(size, int)  # noqa: S101 - an int comes back as one
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    shown = "RLIMIT_MEMLOCK is " + ("unlimited" if limit == resource.RLIM_INFINITY else _bytes(limit))
    hint = "raise RLIMIT_MEMLOCK (docker run --ulimit memlock=1048576); an application holds its region twice at start"
    if not size:
        status = Status.NOTE if require == "any" else Status.PROBLEM
        return Finding(name, status, f"not one page of {kind} memory; {shown}", hint)
    at_least = "at least " if size == enough else ""
    says = f"a region of {at_least}{_bytes(size)} of {kind} memory fits; {shown}"
    if size < _COMFORTABLE_BYTES:
        return Finding(name, Status.NOTE, says, hint)
    return Finding(name, Status.OK, says)


def largest_region(kind: str, enough: int) -> int:
    """Return the size of the largest region, up to ``enough`` bytes, that can be mapped twice, as applications do.

    For a process of its own: what it maps may stay mapped.
    """
    good, bad = 0, enough // _PAGE_BYTES
    if _fits(kind, enough):
        return enough
    while bad - good > 1:
        pages = (good + bad) // 2
        if _fits(kind, pages * _PAGE_BYTES):
            good = pages
        else:
            bad = pages
    return good * _PAGE_BYTES


def _fits(kind: str, size: int) -> bool:
    mapped: list[mmap.mmap] = []
    try:
        for _ in range(2):
            descriptor = linux.memfd_secret() if kind == REQUIRE_MEMFD_SECRET else os.memfd_create("doctor")
            try:
                os.ftruncate(descriptor, size)
                mapped.append(mmap.mmap(descriptor, size))
                if kind != REQUIRE_MEMFD_SECRET:
                    linux.lock_memory(mapped[-1], size)
            finally:
                os.close(descriptor)
    except OSError:
        return False
    else:
        return True
    finally:
        for memory in mapped:
            memory.close()


def _ptrace() -> Finding:
    name = "ptrace of own children"
    cause = _failure(_trace_through_exec)
    if not cause:
        return Finding(name, Status.OK, "a child was traced through an exec; static programs can be served")
    hint = "allow ptrace in the seccomp profile, and set kernel.yama.ptrace_scope below 3; or use dynamic builds"
    return Finding(name, Status.NOTE, f"{cause}: static programs cannot be served", hint)


def _trace_through_exec() -> None:
    """Seize a child, have it exec, and end it before the new program's first instruction."""
    read, write = os.pipe()
    program = sys.executable or "/proc/self/exe"  # the former is there without /proc, too
    child = os.fork()
    if child == 0:
        try:
            os.close(write)
            os.read(read, 1)
            os.execv(program, ["strongroom-doctor"])  # noqa: S606 - it never runs
        finally:
            os._exit(1)  # whoever called has one answer to give, and its parent gives it
    try:
        ptrace.request(ptrace.SEIZE, child, 0, ptrace.O_TRACEEXEC | ptrace.O_EXITKILL)
        os.write(write, b".")
        while True:
            _, status = os.waitpid(child, 0)
            if not os.WIFSTOPPED(status):
                raise OSError(errno.ECHILD, "the child ended")
            if status >> 16 == ptrace.EVENT_EXEC:
                return
            ptrace.request(ptrace.CONT, child)
    finally:
        os.kill(child, signal.SIGKILL)


def _yama(secret: Finding, *, required: bool) -> Finding:
    scope = yama_scope()
    meaning = {
        1: "only ancestors may trace a process",
        2: "only processes with CAP_SYS_PTRACE may trace",
        3: "nobody may trace",
    }
    if scope and secret.status is not Status.OK:
        says = f"scope {scope}; but without memfd_secret another program of the same user could open the memory of "
        return Finding("Yama", Status.WARNING, f"{says}secrets in the moment between exec and the library", secret.hint)
    if scope:
        return Finding("Yama", Status.OK, f"scope {scope}: {meaning.get(scope, 'unknown')}")
    found = "not there" if scope is None else "scope 0"
    says = f"{found}: another program of the same user could take secrets in the moment between exec and the library"
    hint = "sysctl kernel.yama.ptrace_scope=1 on the node; --require-yama has launches insist on it"
    return Finding("Yama", Status.PROBLEM if required else Status.WARNING, says, hint)


def _seccomp() -> Finding:
    mode = status_field("self", "Seccomp")
    says = {
        "0": "no filter",
        "1": "strict",
        "2": f"filtered ({status_field('self', 'Seccomp_filters') or '?'} filters)",
    }
    return Finding("seccomp", Status.NOTE, says.get(mode, "the kernel does not say"))


def _privileges() -> Finding:
    capabilities = int(status_field("self", "CapEff") or "0", 16)
    held = f"{capabilities.bit_count()} capabilities" if capabilities else "no capabilities"
    no_new = "set" if status_field("self", "NoNewPrivs") == "1" else "not set (run sets it)"
    return Finding("privileges", Status.NOTE, f"uid {os.geteuid()}, {held}, no_new_privs {no_new}")


def _swap() -> Finding:
    devices = _text("/proc/swaps").splitlines()[1:]
    if not devices:
        return Finding("swap", Status.NOTE, "none")
    says = f"{len(devices)} in use; secret memory never goes there; copies of the application may, some of locked too"
    return Finding("swap", Status.NOTE, says)


def _core_dumps() -> Finding:
    pattern = _text("/proc/sys/kernel/core_pattern")
    if not pattern.startswith(("|", "@")):
        return Finding("core dumps", Status.NOTE, f"to files ({pattern or 'unknown'}); run sets RLIMIT_CORE to 0")
    # core(5), "Piping core dumps to a program": RLIMIT_CORE is not enforced for them. Dumpable is asked before all that
    # (fs/coredump.c, do_coredump).
    handler = pattern[1:].split(" ", 1)[0]
    says = (
        f"to {handler}, for which RLIMIT_CORE 0 is not an obstacle; "
        "it gets nothing of programs that are not dumpable, and never the secret memory"
    )
    return Finding("core dumps", Status.NOTE, says)


def _environ_blanking() -> Finding:
    cause = _failure(_blank_environ)
    if not cause:
        return Finding("PR_SET_MM_MAP", Status.NOTE, "works: /proc/PID/environ can be blanked")
    return Finding("PR_SET_MM_MAP", Status.NOTE, f"{cause}: /proc/PID/environ cannot be blanked (nothing needs it)")


def _blank_environ() -> None:
    """Have the kernel show an empty environment for this process, which is a child.

    Raises:
        OSError: it refuses, or shows it still.
    """
    # proc_pid_stat(5); the fields behind the name, which may hold anything
    field = dict(enumerate(Path("/proc/self/stat").read_text().rpartition(")")[2].split(), start=3))
    heap = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith("[heap]")]
    start_brk = int(field[47])
    brk = int(heap[-1].split()[0].split("-")[1], 16) if heap else start_brk
    code, data = (int(field[26]), int(field[27])), (int(field[45]), int(field[46]))
    arguments, environ = (int(field[48]), int(field[49])), int(field[50])
    probing.set_memory_map((*code, *data, start_brk, brk, int(field[28]), *arguments, environ, environ))
    if Path("/proc/self/environ").read_bytes():
        raise OSError(errno.ENOTSUP, "it is shown still")


def _user_namespaces() -> Finding:
    cause = _failure(probing.enter_user_namespace)
    says = f"{cause}: not for this process" if cause else "can be made (nothing needs them)"
    return Finding("user namespaces", Status.NOTE, says)


def _pid_1() -> Finding:
    if os.getpid() == 1:
        return Finding("PID 1", Status.NOTE, "this process is; signals without a handler do nothing to it")
    return Finding("PID 1", Status.NOTE, f"this process is {os.getpid()}; in a container, run is PID 1")


def _hibernation() -> Finding:
    if "disk" in _text("/sys/power/state").split():
        return Finding("hibernation", Status.NOTE, "possible; it is refused while any program holds secret memory")
    return Finding("hibernation", Status.NOTE, "not possible on this machine")


def status_field(pid: int | str, name: str) -> str:
    """Return a field of ``/proc/PID/status``, or "" when there is none."""
    for line in _text(f"/proc/{pid}/status").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _bytes(size: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"

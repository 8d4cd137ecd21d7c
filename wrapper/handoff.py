"""The last steps of a launch: check the region, build the environment, give up privileges, become the application."""

import errno
import os
import resource
import signal
import stat

from preload import LibraryError, library_path, tracer_path
from strongroom import linux
from strongroom.launch.region import read_slots
from strongroom.names import PADDING
from wrapper.exit_status import SIGNALLED, CannotExecError, ProtectionError
from wrapper.program import DYNAMIC, FOREIGN, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import NoReturn

    from wrapper.memory import SecretMemory
    from wrapper.plan import LaunchPlan
    from wrapper.settings import WrapperSettings

RUNG_PRELOAD = "preload"
RUNG_PTRACE = "ptrace"  # wrapper.static.start
# What is put beside the placeholders.
ADDED = frozenset({"LD_PRELOAD", "STRONGROOM_REGION", "STRONGROOM_CHILDREN", "STRONGROOM_DUMPABLE", PADDING})
_PADDING_STEP = 256  # so that the length tells little of the secrets
_VARIABLE_MAX = 128 * 1024  # MAX_ARG_STRLEN of execve(2), with the NUL


def choose_rung(program: Program, *, new_privileges: bool = False) -> str:
    """Return the way in which secrets reach this program.

    Args:
        program: what is to be started.
        new_privileges: whether it may gain privileges by that.

    Raises:
        ProtectionError: there is none.
    """
    if new_privileges and gains_privileges(program.binary):
        # The loader would ignore the library, and the kernel gives no privileges to a program that is traced.
        msg = f"{program.binary}: gains privileges when it is started, and secrets cannot be delivered to it then"
        raise ProtectionError(
            msg, hint="give it ambient capabilities instead (setpriv --ambient-caps), or leave out --new-privileges"
        )
    if program.linkage == DYNAMIC and not runs_secure(program.binary):
        return RUNG_PRELOAD
    if program.linkage == FOREIGN:
        msg = f"{program.binary}: is not a program of this machine ({os.uname().machine}, 64 bits)"
        raise ProtectionError(msg, hint="secrets reach native programs only")
    return RUNG_PTRACE


def runs_secure(binary: str) -> bool:
    """Say whether the kernel starts a program in secure-execution mode: its loader then ignores LD_PRELOAD (ld.so(8)).

    Set-ID bits do not count, because ``harden`` has the kernel ignore them. What counts are capabilities of the file,
    unless root runs it, and ids that differ (security/commoncap.c, cap_bprm_creds_from_file). Capabilities that the
    kernel would not honour, as on a filesystem mounted nosuid, are not told apart: ptrace serves every program.
    """
    if os.geteuid() != os.getuid() or os.getegid() != os.getgid():
        return True
    if os.getuid() == 0:
        return False
    try:
        return bool(os.getxattr(binary, "security.capability"))
    except OSError:  # it has none, or its filesystem has no such attributes
        return False


def gains_privileges(binary: str) -> bool:
    """Return whether set-ID bits or capabilities of a program take effect where nothing has the kernel ignore them."""
    found = os.stat(binary)
    other_user = found.st_mode & stat.S_ISUID and found.st_uid != os.geteuid()
    other_group = found.st_mode & stat.S_ISGID and found.st_mode & stat.S_IXGRP and found.st_gid != os.getegid()
    return bool(other_user or other_group) or runs_secure(binary)


def without_effect(binary: str) -> str:
    """Return what a program has to gain privileges by, and will not gain them by where these are given up, or ""."""
    try:
        found = os.stat(binary)
    except OSError:  # gone by now, and whoever executes it says so
        return ""
    if found.st_mode & stat.S_ISUID and found.st_uid != os.geteuid():
        return "set-user-ID bit"
    if found.st_mode & stat.S_ISGID and found.st_mode & stat.S_IXGRP and found.st_gid != os.getegid():
        return "set-group-ID bit"
    given = _capabilities_of_file(binary) if os.getuid() else 0
    return "file capabilities" if given and given & ~_own_capabilities() else ""


def _capabilities_of_file(binary: str) -> int:
    """Return which capabilities a file gives, as a set of bits (struct vfs_cap_data of linux/capability.h)."""
    try:
        value = os.getxattr(binary, "security.capability")
    except OSError:  # none
        return 0
    # 32 bits of what it permits, and of what may be inherited, and the same again, behind the revision
    return int.from_bytes(value[4:8], "little") | int.from_bytes(value[12:16], "little") << 32


def _own_capabilities() -> int:
    """Return which capabilities this process has, and a program keeps, for example by the ambient set."""
    with open("/proc/self/status", "rb") as file:
        return next((int(line[7:], 16) for line in file if line.startswith(b"CapPrm:")), 0)


def usable_library() -> str:
    """Return the path of the library, checked for what would make the dynamic loader skip it.

    The loader only warns and goes on without the library (ld.so(8)); the application would then find empty variables.
    What the application starts may need the tracer beside it.

    Raises:
        ProtectionError: the loader would not load it, or there is no tracer.
    """
    try:
        path = library_path()
        tracer_path()
    except LibraryError as error:
        raise ProtectionError(
            str(error),
            hint="install the wheel or the bundle for this kind of machine; it has the tracer beside the wrapper",
        ) from None
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        msg = f"{path}: lies on a filesystem mounted noexec"
        raise ProtectionError(msg, hint="mount it exec, or install Strongroom elsewhere")
    return path


def build_environment(
    plan: "LaunchPlan",
    memory: "SecretMemory",
    settings: "WrapperSettings",
    rung: str,
    file_values: "Mapping[str, str] | None" = None,
) -> dict[str, str]:
    """Check the region completely and return the environment that goes with it.

    A static program needs neither library nor region itself; both are for the dynamic programs that it may start.

    Raises:
        IntegrityError: the bridge sent something else than a region.
        ProtectionError: the library cannot be loaded.
    """
    assert memory.mapping is not None  # noqa: S101 - it was fetched into
    slots = read_slots(memory.mapping)
    value_bytes = {name: end - offset - len(name) - 1 for name, (_, offset, end) in slots.items()}
    environment = plan.environment(list(slots), file_values)
    if settings.dumpable:
        environment["STRONGROOM_DUMPABLE"] = "1"
    if rung == RUNG_PTRACE and settings.children == "deny":
        return with_padding(environment, value_bytes)
    library = usable_library()
    earlier = environment.get("LD_PRELOAD")
    environment["LD_PRELOAD"] = f"{library}:{earlier}" if earlier else library
    environment["STRONGROOM_REGION"] = f"{memory.rung}:{memory.seal()}"
    if settings.children != "inherit":
        environment["STRONGROOM_CHILDREN"] = settings.children
    return with_padding(environment, value_bytes)


def with_padding(environment: "dict[str, str]", value_bytes: "Mapping[str, int]") -> dict[str, str]:
    """Return the environment with the padding at its end, and with what is no secret at its beginning.

    What looks for its arguments in front of the first string of the environment finds them if that one is on the stack.

    Args:
        environment: with placeholders.
        value_bytes: the length of each secret.
    """
    ordered = {name: value for name, value in environment.items() if name not in value_bytes} | environment
    text = _padding(sum(value_bytes.values()))
    if text:
        ordered[PADDING] = text
    return ordered


def _padding(value_bytes: int) -> str:
    """Return the value of PADDING; empty for none, when it would be longer than a variable can be.

    It makes the room on the initial stack as long as secrets in their placeholders would be. Servers take the room of
    their arguments and environment for a title, and some compute it from the strings that ``environ`` points at
    (preload/src/padding.h). Whoever puts the secrets in place makes this variable an empty one.
    """
    length = value_bytes + -value_bytes % _PADDING_STEP
    return "." * length if len(PADDING) + 2 + length <= _VARIABLE_MAX else ""


def harden(settings: "WrapperSettings") -> None:
    """Give up core dumps and the gaining of privileges, as far as the settings say; both survive exec."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not settings.new_privileges:
        linux.set_no_new_privileges()


def end_on_signal() -> None:
    """From now on let SIGTERM and SIGINT end this process, which PID 1 would otherwise ignore (signal(7)).

    What the parent has this process ignore stays ignored, as a shell's background jobs ignore SIGINT.
    """
    for number in ending_signals():
        signal.signal(number, lambda received, _frame: _end(SIGNALLED + received))


_leavings: "list[Callable[[], None]]" = []  # what removes that which must not outlive a launch that failed


def remove_on_failure(remove: "Callable[[], None]") -> None:
    """Have something called if the launch ends otherwise than by ``become``."""
    _leavings.append(remove)


def remove_leavings() -> None:
    """Call what has been given to ``remove_on_failure``."""
    while _leavings:
        _leavings.pop()()


def _end(status: int) -> "NoReturn":
    remove_leavings()
    os._exit(status)


def ending_signals() -> list[int]:
    """Return which of SIGTERM and SIGINT are not ignored."""
    return [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]


def become(program: Program, environment: dict[str, str], held: "Iterable[int]" = ()) -> "NoReturn":
    """Exec the application with the signal state that it would have had without us.

    Args:
        program: what to become.
        environment: its environment.
        held: signals that are to be blocked at exec all the same; the tracer lets them in (``wrapper.static``).

    Raises:
        CannotExecError: the kernel refuses.
    """
    ours = ending_signals()
    restored = [*ours, signal.SIGPIPE, signal.SIGXFSZ]
    # A signal between the last look and exec would be lost on PID 1. So hold signals back, look, and only then let go
    # of the handlers; what arrives after that meets the application's own defaults.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, restored)
    for number in signal.sigpending().intersection(ours):
        _end(SIGNALLED + number)
    for number in restored:  # CPython ignores the last two for itself, and ignored signals survive exec
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask.union(held))
    try:
        os.execve(program.path, program.argv, environment)  # noqa: S606 - it is what a wrapper is for
    except OSError as error:
        end_on_signal()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        msg = f"{program.path}: {error.strerror}"
        raise CannotExecError(msg, hint=_hint_on_exec(error.errno)) from None


def _hint_on_exec(number: int | None) -> str:
    """Return what is behind an error of execve(2) for a program that is there and has an interpreter that is there."""
    if number == errno.ENOENT:
        return "its dynamic loader is not there (readelf -l names it): programs for glibc do not start on plain Alpine"
    if number == errno.E2BIG:
        return "arguments and environment, with as much room as the secrets take, do not fit; raise ulimit -s"
    return ""

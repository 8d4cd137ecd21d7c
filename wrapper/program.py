"""What kind of program a command is: where it is, who interprets it, whether it loads libraries or gains privileges.

So also by which way secrets reach it, if any does.
"""

import os
import stat
import sys

from strongroom.elf import HEADER_BYTES, MACHINES, PT_DYNAMIC, PT_INTERP, ElfError, machine_of, segments_of
from strongroom.errors import StrongroomError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from strongroom.elf import Segment

DYNAMIC = "dynamic"  # names a dynamic loader (PT_INTERP), which honours LD_PRELOAD
STATIC = "static"  # names none, or one that loads no libraries, as that of klibc
FOREIGN = "foreign"  # an ELF file of another machine or word size: our library cannot be loaded into it

RUNG_PRELOAD = "preload"
RUNG_PTRACE = "ptrace"  # wrapper.static.start

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"  # when PATH is unset, as confstr(_CS_PATH) and shells have it
_MAX_INTERPRETERS = 5  # the kernel's own limit (fs/exec.c, exec_binprm)
_HEAD_BYTES = 256  # BINPRM_BUF_SIZE: what the kernel itself looks at, of a script's first line as of an ELF header
_PATH_MAX = 4096  # of the name of a loader (fs/binfmt_elf.c, load_elf_binary)


class ProtectionError(StrongroomError):
    """This machine or this program cannot give the protection that is demanded."""

    usual_hint = "`strongroom doctor` tries out what this machine can give; --require says how much is demanded"


class CannotExecError(StrongroomError):
    """The command exists and cannot be executed."""


class NotOnPathError(StrongroomError):
    """There is no such command."""


class Program:
    """A command as the kernel will see it.

    Attributes:
        path: the file to execute.
        argv: its arguments, with the interpreter of a script without ``#!`` in front, as shells do it.
        linkage: DYNAMIC, STATIC or FOREIGN, of the ELF file that runs in the end.
        binary: that ELF file.
    """

    __slots__ = ("argv", "binary", "linkage", "path")

    def __init__(self, path: str, argv: list[str], linkage: str, binary: str) -> None:
        self.path = path
        self.argv = argv
        self.linkage = linkage
        self.binary = binary


def find_program(command: list[str], environ: "Mapping[str, str]") -> Program:
    """Find a command on PATH as a shell does, and look into it.

    Raises:
        NotOnPathError: there is no such file.
        CannotExecError: there is one, and it cannot be executed.
    """
    path = find_file(command[0], environ.get("PATH", DEFAULT_PATH))
    head, linkage = _look_into(path)
    if not head.startswith((b"\x7fELF", b"#!")):
        # ENOEXEC: POSIX has the shell interpret such a file (Shell Command Language, 2.9.1.1).
        return _with_linkage("/bin/sh", ["/bin/sh", path, *command[1:]], *_look_into("/bin/sh"))
    return _with_linkage(path, command, head, linkage)


def _with_linkage(path: str, argv: list[str], head: bytes, linkage: str) -> Program:
    binary = path
    for _ in range(_MAX_INTERPRETERS + 1):  # and the program itself
        if linkage:
            return Program(path, argv, linkage, binary)
        interpreter = interpreter_of(head)
        if interpreter is None:
            break
        if not os.path.isfile(interpreter) or not os.access(interpreter, os.X_OK):
            msg = f"{binary}: its interpreter {_shown(interpreter)} cannot be executed"
            hint = "install the interpreter in the image, or correct the first line of the script"
            if interpreter.endswith("\r"):
                hint = "its lines end in carriage returns; `sed -i 's/\\r$//' FILE` removes them"
            raise CannotExecError(msg, hint=hint)
        binary = interpreter
        head, linkage = _look_into(binary)
    msg = f"{path}: is neither a program nor a script with a program as its interpreter"
    raise CannotExecError(
        msg, hint="a script needs a first line such as #!/bin/sh, and an interpreter that is a program"
    )


def find_file(name: str, search_path: str) -> str:
    """Return the file that a name stands for, on the way of a shell.

    Raises:
        NotOnPathError: there is no such file.
        CannotExecError: there is one, and it cannot be executed.
    """
    if "/" in name:
        candidates = [name]
    else:
        candidates = [f"{folder or '.'}/{name}" for folder in search_path.split(":")] if name else []
    refused = ""
    for candidate in candidates:
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            refused = refused or f"{candidate}: permission denied"
        elif os.path.isdir(candidate) and "/" in name:
            refused = f"{candidate}: is a directory"
    if refused:
        raise CannotExecError(
            refused, hint="name a file that the user of the wrapper may execute; `chmod +x` makes it so"
        )
    if "/" in name:
        raise NotOnPathError(f"{name}: no such file", hint="write the path as it is in the container")
    raise NotOnPathError(f"{name}: command not found", hint=f"PATH is {search_path}")


def _look_into(path: str) -> tuple[bytes, str]:
    """Return the beginning of a file, and its linkage if it is an ELF file, else ""."""
    try:
        with open(path, "rb", buffering=0) as file:

            def read(offset: int, size: int) -> bytes:
                return os.pread(file.fileno(), size, offset)

            head = read(0, _HEAD_BYTES)
            return head, _linkage_with_loader(head, read) if head.startswith(b"\x7fELF") else ""
    except PermissionError as error:
        # Executable but not readable: legal, and rare. Nothing can be said about it, so nothing is assumed.
        named = _shown(os.fsdecode(error.filename or path))  # it or its loader
        msg = f"{named}: cannot be read, so there is no telling how to deliver secrets to {path}"
        raise CannotExecError(msg, hint="make it readable for the user it runs as") from None
    except OSError as error:
        msg = f"{_shown(os.fsdecode(error.filename or path))}: {error.strerror}"
        hint = "the wrapper reads what it starts: the file must be there, whole, and readable for its user"
        raise CannotExecError(msg, hint=hint) from None


def _shown(path: str) -> str:
    """Return a path that a file names as messages have it, which must not drive a terminal."""
    return path if path.isprintable() else repr(path)


def interpreter_of(head: bytes) -> str | None:
    """Return the interpreter in the first line of a script, or None (execve(2), interpreter scripts)."""
    if not head.startswith(b"#!"):
        return None
    # As fs/binfmt_script.c does it: blanks are spaces and tabs only, so a carriage return belongs to the name.
    line = head[2:].split(b"\n", 1)[0].split(b"\0", 1)[0].replace(b"\t", b" ")
    name = line.strip(b" ").split(b" ", 1)[0]
    return os.fsdecode(name) if name else None


def _linkage_with_loader(head: bytes, read: "Callable[[int, int], bytes]") -> str:
    """Return the linkage on this machine, with a look at the loader."""
    segments = _native_segments(head, read, os.uname().machine)
    linkage = _linkage_by(segments)
    if linkage != DYNAMIC:
        return linkage
    place, size = next((place, size) for kind, _, place, _, size in segments if kind == PT_INTERP)
    loader = read(place, min(size, _PATH_MAX)).split(b"\0", 1)[0]
    if not os.path.isfile(loader):
        return DYNAMIC  # what is said where the program fails to start is said better
    with open(loader, "rb", buffering=0) as file:
        number = file.fileno()
        try:
            found = segments_of(os.pread(number, HEADER_BYTES, 0), lambda at, size: os.pread(number, size, at))
        except ElfError:
            return DYNAMIC
    return DYNAMIC if any(kind == PT_DYNAMIC for kind, *_ in found) else STATIC


def linkage_of(read: "Callable[[int, int], bytes]", machine: str) -> str:
    """Return how an ELF file is linked, seen from ``machine`` (as uname(2) names it).

    What the kernel would not execute is FOREIGN.

    Args:
        read: returns bytes of the file from an offset; fewer where it ends.
        machine: the machine.
    """
    return _linkage_by(_native_segments(read(0, HEADER_BYTES), read, machine))


def _linkage_by(segments: "list[Segment]") -> str:
    if not segments:
        return FOREIGN
    return DYNAMIC if any(kind == PT_INTERP for kind, *_ in segments) else STATIC


def _native_segments(head: bytes, read: "Callable[[int, int], bytes]", machine: str) -> "list[Segment]":
    """Return the segments of an ELF file; none where the kernel of a machine would not execute it."""
    try:
        if sys.byteorder != "little" or machine_of(head) != MACHINES.get(machine):
            return []
        return segments_of(head, read)
    except ElfError:
        return []


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
    """Return whether the kernel starts a program in secure-execution mode: its loader ignores LD_PRELOAD (ld.so(8)).

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

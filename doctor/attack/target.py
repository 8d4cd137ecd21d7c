"""The program under attack, as /proc shows it to anyone who runs this. Reads only; the attacks are elsewhere."""

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from doctor.machine import status_field
from strongroom.errors import ConfigError, PeerError
from strongroom.launch.region import MAGIC
from wrapper.settings import REQUIRE_LOCKED, REQUIRE_MEMFD_SECRET

_HEADER_BYTES = 48  # docs/region-format.md
_U32 = 0xFFFF_FFFF


@dataclass(frozen=True)
class Mapping:
    """One range of memory: first address, end, permissions, and the name that the kernel shows."""

    start: int
    end: int
    permissions: str
    name: str

    @property
    def is_secret(self) -> bool:
        """Whether it is memory of memfd_secret(2)."""
        return self.name.startswith("/secretmem")

    @property
    def is_ordinary(self) -> bool:
        """Whether looking into it is useful and without effects, which reading a device's memory may have."""
        device = self.name.startswith("/dev/") and not self.name.startswith(("/dev/shm/", "/dev/zero"))  # noqa: S108
        return self.permissions.startswith("r") and not device and self.name not in {"[vvar]", "[vsyscall]"}


@dataclass(frozen=True)
class Target:
    """A process.

    Attributes:
        pid: its number.
        uid: the user that it runs as.
        gid: the group that it runs as.
        name: of its program, without arguments, which may hold anything.
        started: when it was started, in clock ticks after boot; with the pid it names one process for good.
        mappings: its memory; empty when it may not be seen.
        regions: those of its mappings that hold the secrets which Strongroom delivered.
        kind: of the memory of the regions; "" when there are none.
        descriptors: what its descriptors lead to, by number; None when that may not be seen.
        descendants: the processes that it has started, and theirs.
    """

    pid: int
    uid: int
    gid: int
    name: str
    started: int
    mappings: list[Mapping] = field(default_factory=list)
    regions: list[Mapping] = field(default_factory=list)
    kind: str = ""
    descriptors: dict[int, str] | None = None
    descendants: list[int] = field(default_factory=list)

    def ordinary(self) -> Mapping | None:
        """Return memory that every program can read for itself and holds no region, to try an attack on."""
        candidates = [mapping for mapping in self.mappings if mapping.is_ordinary and mapping not in self.regions]
        return next((mapping for mapping in candidates if mapping.name == "[stack]"), next(iter(candidates), None))

    def require_running(self) -> None:
        """Make sure that it is still there.

        Raises:
            PeerError: it has ended.
        """
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = _stat(self.pid)
            if int(fields[19]) == self.started and fields[0] not in {"Z", "X"}:
                return
        raise PeerError(f"process {self.pid} ended during the attacks", hint="attack a program that goes on running")


def look_at(pid: int) -> Target:
    """Collect what can be seen of a process.

    Raises:
        ConfigError: there is no such process, or it is one that is never attacked.
    """
    refuse_own(pid)
    try:
        fields = _stat(pid)
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
        is_program = bool(Path(f"/proc/{pid}/cmdline").read_bytes())
        uid, gid = (int(status_field(pid, name).split()[1]) for name in ("Uid", "Gid"))
        thread_of = int(status_field(pid, "Tgid"))
    except (OSError, IndexError, ValueError):
        msg = f"there is no process {pid}"
        raise ConfigError(msg, hint="numbers are those of this PID namespace: run doctor in the container") from None
    if fields[0] in {"Z", "X"} or not is_program:
        msg = f"process {pid} has ended, or is a thread of the kernel"
        raise ConfigError(msg, hint="name the process of an application that runs")
    if thread_of != pid:
        raise ConfigError(f"{pid} is a thread of process {thread_of}", hint=f"name {thread_of}")
    mappings = _mappings(pid)
    regions = _regions(pid, mappings)
    secret = any(mapping.is_secret for mapping in regions)
    return Target(
        pid=pid,
        uid=uid,
        gid=gid,
        name=name,
        started=int(fields[19]),
        mappings=mappings,
        regions=regions,
        kind=(REQUIRE_MEMFD_SECRET if secret else REQUIRE_LOCKED) if regions else "",
        descriptors=_descriptors(pid),
        descendants=descendants(pid),
    )


def require_proc() -> None:
    """Refuse to attack where processes cannot be looked at.

    Raises:
        ConfigError: there is no /proc.
    """
    if not Path(f"/proc/{os.getpid()}").is_dir():
        msg = "/proc is not mounted here, and attacks look at the program there"
        raise ConfigError(msg, hint="mount it: mount -t proc proc /proc")


def refuse_own(pid: int) -> None:
    """Refuse what must not be stopped by a tracer.

    Raises:
        ConfigError: it is PID 1, this process, or one that started it.
    """
    forbidden = {1: "PID 1", os.getpid(): "this process"}
    ancestor = os.getppid()
    while ancestor > 1:
        forbidden.setdefault(ancestor, "a process that started this one")
        try:
            ancestor = int(_stat(ancestor)[1])
        except (OSError, IndexError, ValueError):
            break
    if pid in forbidden:
        msg = f"process {pid} is {forbidden[pid]}, which is never attacked"
        raise ConfigError(msg, hint="name the process of an application, or give a command after --")


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return sorted(found)


def holds_region(head: bytes) -> bool:
    """Return whether memory that begins so is a region: its header is checked, for the magic is in the library too."""
    if len(head) < _HEADER_BYTES or not head.startswith(MAGIC):
        return False
    generation, check = (int.from_bytes(head[place : place + 4], "little") for place in (24, 28))
    return generation ^ check == _U32


def _regions(pid: int, mappings: list[Mapping]) -> list[Mapping]:
    secret = [mapping for mapping in mappings if mapping.is_secret]
    return secret or [mapping for mapping in mappings if mapping.is_ordinary and _begins_with_region(pid, mapping)]


def _begins_with_region(pid: int, mapping: Mapping) -> bool:
    # The library's own image of the magic is in a file; a region never does, but for the memfd of some programs.
    if mapping.name and "memfd:" not in mapping.name:
        return False
    try:
        return holds_region(read_memory_file(pid, mapping.start, _HEADER_BYTES))
    except OSError:
        return False


def read_memory_file(pid: int, address: int, size: int) -> bytes:
    """Read from /proc/PID/mem.

    Raises:
        OSError: EIO where nothing can be read, EACCES where the file may not be opened.
    """
    descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        return os.pread(descriptor, size, address)
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on: the second is a name with anything in it (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _mappings(pid: int) -> list[Mapping]:
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        span, permissions, _, _, _, *name = line.split(maxsplit=5)
        start, _, end = span.partition("-")
        found.append(Mapping(int(start, 16), int(end, 16), permissions, name[0] if name else ""))
    return found


def _descriptors(pid: int) -> dict[int, str] | None:
    links: dict[int, str] = {}
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                links[int(entry.name)] = str(entry.readlink())
    except OSError:
        return None
    return links

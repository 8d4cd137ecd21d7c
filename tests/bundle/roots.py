"""Root file systems made by hand, and ways to run a command in one as the first process of a container."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT

NATIVE = ROOT / "tests" / "native" / "bundle"
NOBODY = 65_534
MEMLOCK_BYTES = 65_536  # RLIMIT_MEMLOCK before Linux 5.16
PATIENCE_S = 60.0

# Where things are inside of a root.
BUNDLE = "/opt/strongroom"
LAUNCHER = f"{BUNDLE}/strongroom"
TLS = "/run/strongroom/tls"

# What Docker's default profile refuses (docs.docker.com/engine/security/seccomp), as far as a launch could come near.
_REFUSED_CALLS = (
    "acct", "add_key", "bpf", "clock_settime", "delete_module", "finit_module", "init_module", "kcmp", "kexec_load",
    "keyctl", "lookup_dcookie", "mount", "move_pages", "name_to_handle_at", "open_by_handle_at", "perf_event_open",
    "personality", "pivot_root", "quotactl", "reboot", "request_key", "setns", "settimeofday",
    "swapoff", "swapon", "umount2", "unshare", "userfaultfd",
)  # fmt: skip


def compile_c(compiler: str, source: str, target: Path, *flags: str) -> Path:
    """Compile a program of tests/native/bundle."""
    subprocess.run([compiler, "-O1", "-Wall", "-Werror", *flags, str(NATIVE / source), "-o", str(target)], check=True)
    return target


def copy_with_libraries(root: Path, program: str) -> None:
    """Copy a program of this machine and its libraries to the same places in a root."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    files = [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]
    for name in [program, *files]:
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)


def make_root(directory: Path) -> Path:
    """Make what every container has: places to mount on."""
    for name in ("proc", "dev", "tmp", "etc", BUNDLE[1:], TLS[1:]):
        (directory / name).mkdir(parents=True)
    return directory


def scratch(directory: Path) -> Path:
    """One static program, and nothing else."""
    root = make_root(directory)
    compile_c("musl-gcc", "show.c", root / "show", "-static")
    return root


def musl(directory: Path) -> Path:
    """A program for musl, and musl."""
    root = make_root(directory)
    compile_c("musl-gcc", "show.c", root / "show")
    (root / "lib").mkdir()
    shutil.copy("/lib/ld-musl-x86_64.so.1", root / "lib")
    return root


def debian(directory: Path) -> Path:
    """A shell, two programs, a program for glibc and a static one behind an entrypoint, with libraries; no Python."""
    root = make_root(directory)
    compile_c("gcc", "show.c", root / "show")
    compile_c("musl-gcc", "show.c", root / "show-static", "-static")
    (root / "entrypoint.sh").write_text('#!/bin/bash\nset -e\nexec "$@"\n')
    (root / "entrypoint.sh").chmod(0o755)
    for program in ("/bin/bash", "/usr/bin/env", "/bin/cat"):
        copy_with_libraries(root, program)
    return root


ROOTS: Mapping[str, Callable[[Path], Path]] = {"scratch": scratch, "musl": musl, "debian": debian}


@dataclass(frozen=True)
class Image:
    """A root with the bundle and the certificates mounted."""

    root: Path
    bundle: Path
    tls: Path


class Container:
    """A command that runs as PID 1, in namespaces of its own, as nobody, without any privilege; use it with ``with``.

    Attributes:
        starter: the process that started it and ends with its status.
    """

    def __init__(self, starter: "subprocess.Popen[str]") -> None:
        self.starter = starter

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in [*_children(self.starter.pid), self.starter.pid]:
            if self.starter.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.starter.communicate(timeout=PATIENCE_S)

    def read_line(self) -> str:
        """Return the next line of its output."""
        assert self.starter.stdout is not None
        return self.starter.stdout.readline().rstrip("\n")

    def finish(self) -> tuple[int, str, str]:
        """Close its input; return its status and what else it printed."""
        stdout, stderr = self.starter.communicate("", timeout=PATIENCE_S)
        return self.starter.returncode, stdout, stderr

    @property
    def pid(self) -> int:
        """Its PID out here."""
        return wait_for(lambda: _first_process(self.starter.pid), "the first process")


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []


def _first_process(pid: int) -> int:
    """Return the descendant of a process that is PID 1 of a namespace, or 0."""
    for child in _children(pid):
        found = child if status_of(child).get("NSpid", "").split()[1:] == ["1"] else _first_process(child)
        if found:
            return found
    return 0


def status_of(pid: int) -> dict[str, str]:
    """Return the lines of /proc/PID/status."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def mapped_files(pid: int) -> set[str]:
    """Return the files that a process has mapped, by their paths inside of its root."""
    root = str(Path(f"/proc/{pid}/root").readlink()).rstrip("/")
    lines = [line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return {words[5].removeprefix(root) for words in lines if len(words) == 6 and words[5].startswith("/")}


def start_by_unshare(
    image: Image, command: Sequence[str], environ: Mapping[str, str], *, proc: bool = True
) -> Container:
    """Start a command in fresh PID, mount and user namespaces."""
    # The mounts are made by root, as a container runtime does, and everything else is given up after that.
    mounts = f"""
        set -e
        cd {image.root}
        mount --bind . .
        cd {image.root}
        mount --bind {image.bundle} .{BUNDLE}
        mount -o remount,bind,ro .{BUNDLE}
        mount --bind {image.tls} .{TLS}
        mount -o remount,bind,ro .
        exec "$@"
    """
    words = ["unshare", "--mount", "sh", "-c", mounts, "sh"]
    words += ["prlimit", f"--memlock={MEMLOCK_BYTES}:{MEMLOCK_BYTES}"]
    words += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    words += ["unshare", "--user", "--map-current-user", "--mount", "--pid", "--fork", "--kill-child"]
    words += [f"--root={image.root}", "--wd=/", *(["--mount-proc"] if proc else []), "--"]
    return Container(_start([*words, *command], {"PATH": os.defpath, **environ}))


def start_by_runc(image: Image, command: Sequence[str], environ: Mapping[str, str], *, proc: bool = True) -> Container:
    """Start a command with runc, configured as container runtimes do when all is forbidden."""
    assert proc, "runc wants /proc for itself"
    directory = image.root.parent / f"{image.root.name}.runc"
    directory.mkdir(exist_ok=True)

    def bind(source: Path, target: str) -> dict[str, object]:
        return {"destination": target, "type": "bind", "source": str(source), "options": ["bind", "ro"]}

    configuration = {
        "ociVersion": "1.0.2",
        "root": {"path": str(image.root), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": NOBODY, "gid": NOBODY},
            "args": list(command),
            "env": [f"{name}={value}" for name, value in environ.items()],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": True,
            "rlimits": [{"type": "RLIMIT_MEMLOCK", "hard": MEMLOCK_BYTES, "soft": MEMLOCK_BYTES}],
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            bind(image.bundle, BUNDLE),
            bind(image.tls, TLS),
        ],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": list(_REFUSED_CALLS), "action": "SCMP_ACT_ERRNO"}],
            },
        },
    }
    (directory / "config.json").write_text(json.dumps(configuration))
    name = f"strongroom-{os.getpid()}-{image.root.name}"
    words = ["runc", "--root", str(directory / "state"), "run", "--bundle", str(directory), name]
    return Container(_start(words, {"PATH": os.environ["PATH"]}))


def _start(words: Sequence[str], environ: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """Yield a directory that every user can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="strongroom-bundle-test-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory

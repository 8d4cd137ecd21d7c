"""What tests may do, programs without any capability, and what one process may learn of another one of its user."""

import os
import subprocess
import sys
from pathlib import Path


def is_root() -> bool:
    """Return whether tests may make namespaces and become other users."""
    return os.geteuid() == 0


# For root, who is left with the bounding set at exec (capabilities(7)); other users have nothing to drop.
PREFIX = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if is_root() else []

_LOOK = """
import sys
for name in sys.argv[2:]:
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            readable = True
    except OSError:  # PermissionError; ENXIO for a socket
        readable = False
    print(name, readable)
"""


def what_its_user_can_open(pid: int, names: tuple[str, ...] = ("environ", "maps", "fd/0")) -> set[str]:
    """Return which files of ``/proc/PID`` another process of the same user can open; Yama has no say in these."""
    command = [*PREFIX, sys.executable, "-c", _LOOK, str(pid), *names]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return {name for name, readable in (line.split() for line in shown.splitlines()) if readable == "True"}


def core_limits(pid: int) -> list[str]:
    """Return the soft and the hard limit of core files."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    return line.split()[4:6]


def has_loaded(pid: int, package: str) -> bool:
    """Return whether a process has loaded something native of a Python package."""
    return f"/{package}/" in Path(f"/proc/{pid}/maps").read_text()

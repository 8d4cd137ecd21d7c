"""The interpreters of this machine on which a launch has a TLS client of its own."""

import os
import subprocess
import sys
from pathlib import Path

from wrapper.fetch.context import COMPARED

_ASK = "import _ssl, os, sys; print(sys.implementation.name, *sys.version_info[:2], os.path.realpath(sys.executable))"


def interpreters() -> dict[str, str]:
    """Return the program of each, by its version and where it is: that of the tests first."""
    names = [f"python{major}.{minor}" for _, major, minor in sorted(COMPARED)]
    there = [Path(folder, name) for folder in os.get_exec_path() for name in names]
    managed = [path for name in names for path in Path.home().glob(f".pyenv/versions/*/bin/{name}")]
    found: dict[str, str] = {}
    for program in [Path(sys.executable), *there, *managed]:
        if program.exists():
            done = subprocess.run([program, "-IS", "-c", _ASK], capture_output=True, text=True, check=False)
            kind, *version, itself = done.stdout.split() or ["", ""]
            if version and (kind, *map(int, version)) in COMPARED:
                found.setdefault(f"{'.'.join(version)} {itself}", str(program))
    return found

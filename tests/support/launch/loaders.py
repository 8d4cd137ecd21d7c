"""Programs whose loader loads no libraries, as those for klibc: they ignore LD_PRELOAD, though they name a loader."""

import subprocess
from pathlib import Path

from tests.support.tree import ROOT

_NATIVE = ROOT / "tests" / "native"


def build_without_libraries(folder: Path) -> Path:
    """Return a program that prints the variables that its arguments name, as its loader does."""
    loader, program = folder / "loader", folder / "program"
    alone = ["-static", "-nostdlib", "-no-pie", "-fno-stack-protector", "-O1", "-Wall", "-Wextra", "-Werror"]
    # Where the program is not: both are mapped.
    place = "-Wl,-Ttext-segment=0x10000000"
    subprocess.run(["gcc", *alone, place, _NATIVE / "static" / "loader.c", "-o", loader], check=True, timeout=60)
    subprocess.run(
        ["gcc", _NATIVE / "print.c", f"-I{_NATIVE}", f"-Wl,--dynamic-linker={loader}", "-o", program],
        check=True,
        timeout=60,
    )
    return program

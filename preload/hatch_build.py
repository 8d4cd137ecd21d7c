"""Build the library and the init program when a wheel (or an editable install) is made of this project.

The wheel carries machine code but no Python extension, the library needs no libc and the program is static: one wheel
serves every Python 3 on every Linux of the machine, glibc or musl, and its tag says so.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLATFORM_TAGS = {
    # manylinux_2_17 is the oldest tag that pip knows for both machines; the library itself asks for no glibc version.
    "x86_64": "manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    "aarch64": "manylinux_2_17_aarch64.musllinux_1_1_aarch64",
}


class CustomBuildHook(BuildHookInterface[Any]):
    """Runs ``make`` in ``preload/`` and puts the result into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build; ``version`` is "standard" or "editable".

        ``ARCH=aarch64`` in the environment cross-builds, as it does for ``make``.

        Raises:
            RuntimeError: the machine is not supported, a tool is missing or the compiler failed. A wheel without
                the library would fail only when it is used, so none is made.

        """
        machine = os.environ.get("ARCH", os.uname().machine)
        if machine not in PLATFORM_TAGS:
            raise RuntimeError(f"preload: cannot build for {machine}; supported are {', '.join(PLATFORM_TAGS)}")
        for tool, package in (("make", "make"), (_compiler(machine), "gcc"), *_init_compiler(machine)):
            if shutil.which(tool) is None:
                raise RuntimeError(f"preload: {tool} not found; install it (Debian: apt-get install {package})")

        folder = Path(self.root, "preload")
        result = subprocess.run(
            ["make", "-C", str(folder), f"ARCH={machine}"], check=False, capture_output=True, text=True
        )
        names = (
            "libstrongroom.so",
            "strongroom-init",
            "strongroom-launch",
            "strongroom-tracer",
            "strongroom-starter",
        )  # the last is the command
        built = [folder / "lib" / machine / name for name in names]
        if result.returncode != 0 or not all(file.is_file() for file in built):
            raise RuntimeError(f"preload: make failed with status {result.returncode}:\n{result.stdout}{result.stderr}")

        build_data["shared_scripts"] = {
            str(folder / "lib" / machine / "strongroom-starter"): "strongroom",
            str(_start_script(folder, folder / "lib" / machine, editable=version == "editable")): "strongroom-start",
        }
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{PLATFORM_TAGS[machine]}"
        if version != "editable":  # an editable install finds it in the tree
            build_data["force_include"].update({str(file): f"preload/lib/{machine}/{file.name}" for file in built[:-1]})


def _start_script(folder: Path, place: Path, *, editable: bool) -> Path:
    """Return the script that the command runs; that of an editable install knows the tree."""
    script = folder / "strongroom-start"
    if not editable:
        return script
    copy = place / "strongroom-start"
    copy.write_text(script.read_text().replace('TREE = ""', f"TREE = {str(folder.parent)!r}"))
    return copy


def _compiler(machine: str) -> str:
    """Return the program that the Makefile will call for ``machine``."""
    default = "cc" if machine == os.uname().machine else f"{machine}-linux-gnu-gcc"
    return shlex.split(os.environ.get("CC", default))[0]


def _init_compiler(machine: str) -> list[tuple[str, str]]:
    """Return the program that ``init.mk`` will call, with its package; nothing where it chooses by itself."""
    native = machine == os.uname().machine
    chosen = os.environ.get("INIT_CC", "musl-gcc" if native else "")
    return [(word, "musl-tools") for word in shlex.split(chosen)[:1]]

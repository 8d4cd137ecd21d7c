"""What was built with one compiler is built again with another, and with the same one it is left alone."""

import subprocess
from pathlib import Path

import pytest

from tests.support.tree import ROOT

GLIBC_BYTES = 300_000  # strongroom-init has 30 kB with musl and 700 kB with glibc


def build(folder: Path, *variables: str) -> dict[str, int]:
    """Run make; return when each file was made, in nanoseconds."""
    command = ["make", "-s", "-C", str(ROOT / "preload"), f"OUT={folder}", *variables]
    subprocess.run(command, check=True, timeout=200)
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


def test_another_compiler_builds_anew(tmp_path: Path) -> None:
    build(tmp_path, "INIT_CC=gcc")
    assert (tmp_path / "strongroom-init").stat().st_size > GLIBC_BYTES
    build(tmp_path)
    assert (tmp_path / "strongroom-init").stat().st_size < GLIBC_BYTES


@pytest.mark.parametrize("variable", ["CC=clang", "CFLAGS=-DNDEBUG"])
def test_other_compilers_and_flags_build_the_library_anew(tmp_path: Path, variable: str) -> None:
    before = build(tmp_path)
    after = build(tmp_path, variable)
    assert after["libstrongroom.so"] != before["libstrongroom.so"]
    assert after["strongroom-launch"] != before["strongroom-launch"]
    assert after["strongroom-init"] == before["strongroom-init"]


def test_the_same_compiler_leaves_everything_alone(tmp_path: Path) -> None:
    assert build(tmp_path) == build(tmp_path)


def test_glibc_is_not_taken_in_the_place_of_musl(tmp_path: Path) -> None:
    command = ["make", "-s", "-C", str(ROOT / "preload"), f"OUT={tmp_path}", "init"]
    tools = tmp_path / "bin"  # all that the build calls, but for musl-gcc
    tools.mkdir()
    for name in ("sh", "make", "uname", "mkdir", "cc", "gcc", "as", "ld", "cmp", "mv", "rm"):
        (tools / name).symlink_to(Path("/usr/bin") / name)
    result = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "strongroom: error: no C compiler: musl-gcc" in result.stderr
    assert "strongroom: hint: install musl-tools; or build with INIT_CC=gcc" in result.stderr
    assert not (tmp_path / "strongroom-init").exists()

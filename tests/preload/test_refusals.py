"""A region that cannot be used ends the program before it begins: one line, status 120, nothing half-filled."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from tests.preload.launch import SECRETS, Launcher, Programs, image_of
from tests.support.tree import ROOT

VECTORS = ROOT / "tests" / "vectors" / "region"
BAD = sorted(VECTORS.glob("bad-*.bin"))


def assert_refused(result: subprocess.CompletedProcess[bytes]) -> None:
    """Status 120, nothing on standard output, one line with the prefix on standard error, no secret in it."""
    stderr = result.stderr
    assert (result.returncode, result.stdout) == (120, b"")
    assert stderr.startswith(b"strongroom: error: ")
    assert stderr.count(b"\n") == 1
    assert stderr.endswith(b"\n")
    assert not any(value in stderr for value in SECRETS.values() if value)


@pytest.mark.parametrize("rung", ["memfd-secret", "any"])
@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_malformed_region_is_refused(launcher: Launcher, glibc_programs: Programs, path: Path, rung: str) -> None:
    result = launcher.run([glibc_programs.build("print"), "PLAIN"], image=path.read_bytes(), rung=rung)
    assert_refused(result)
    rule = path.stem.split("-")[1]
    assert f"region: rule {rule}: ".encode() in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "memfd-secret",
        "memfd-secret:",
        "memfd-secret:{fd} ",
        " memfd-secret:{fd}",
        "memfd-secret:+{fd}",
        "memfd-secret:-{fd}",
        "memfd-secret:0{fd}",
        "memfd-secret:{fd}:",
        "memfd-secret:0x64",
        "memfd-secret:3",
        "memfd-secret:99",
        "memfd-secret:4294967396",
        "memfd-secret:18446744073709551716",
        "MEMFD-SECRET:{fd}",
        "memfd:{fd}",
        "plain:{fd}",
        "{fd}",
        "locked{fd}",
    ],
)
def test_malformed_variable_is_refused(launcher: Launcher, programs: Programs, text: str) -> None:
    result = launcher.run([programs.build("print"), "PLAIN"], extra={"STRONGROOM_REGION": _filled(text)})
    assert_refused(result)
    assert b"STRONGROOM_REGION: " in result.stderr


def _filled(text: str) -> str:
    """100 is what the launcher gets for a descriptor when nothing else is open there."""
    return text.replace("{fd}", "100")


def test_closed_descriptor_is_refused(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("print"), "PLAIN"], region="memfd-secret:9999")
    assert_refused(result)
    assert b"EBADF" in result.stderr


def test_plain_memfd_under_the_name_of_secret_memory_is_refused(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("print"), "PLAIN"], rung="any", region="memfd-secret:{fd}")
    assert_refused(result)
    assert b"not secret memory" in result.stderr


def test_other_kinds_of_files_are_refused(launcher: Launcher, programs: Programs, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    folder = os.open(tmp_path, os.O_RDONLY)
    null = os.open("/dev/null", os.O_RDONLY)
    for source in (folder, null, reading):
        descriptor = fcntl.fcntl(source, fcntl.F_DUPFD, 100)
        result = launcher.run([programs.build("print"), "PLAIN"], region="any:{fd}", descriptor=descriptor)
        assert_refused(result)
        assert b"EBADF" not in result.stderr
        os.close(source)
    os.close(writing)


def test_file_longer_than_the_image_is_refused(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("print"), "PLAIN"], image=image_of(SECRETS) + bytes(8))
    assert_refused(result)
    assert b"region: rule 2: " in result.stderr

"""strongroom-tracer as a file: what it asks for, and that it is built for both machines."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.preload.launch import ROOT, image_of
from tests.support import secretmem

MAX_BYTES = 65_536


def readelf(*arguments: str | Path) -> str:
    """Return what readelf prints."""
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, check=True, text=True).stdout


@pytest.fixture(scope="module", params=["CC=gcc", "CC=clang", "ARCH=aarch64"])
def tracer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as each compiler builds it, and for the other machine."""
    folder = tmp_path_factory.mktemp("tracer")
    subprocess.run(
        ["make", "-s", "-C", str(ROOT / "preload"), "tracer", f"OUT={folder}", request.param], check=True, timeout=120
    )
    return folder / "strongroom-tracer"


def test_is_small_and_needs_nothing_of_the_image(tracer: Path) -> None:
    assert tracer.stat().st_size < MAX_BYTES
    assert os.access(tracer, os.X_OK)
    headers = readelf("-l", tracer)
    assert "INTERP" not in headers
    assert "DYNAMIC" not in headers


def test_maps_nothing_that_is_both_writable_and_executable(tracer: Path) -> None:
    lines = [line for line in readelf("-l", tracer).splitlines() if "LOAD" in line or "GNU_STACK" in line]
    assert lines
    assert not any("RWE" in line for line in lines)


def test_carries_no_path_of_the_machine_it_was_built_on(tracer: Path) -> None:
    assert str(ROOT).encode() not in tracer.read_bytes()


def test_aarch64_refuses_under_emulation_which_has_no_ptrace(tmp_path: Path) -> None:
    # Its copy of the region, its child and their meeting run for real.
    command = ["make", "-s", "-C", str(ROOT / "preload"), "tracer", f"OUT={tmp_path}", "ARCH=aarch64"]
    subprocess.run(command, check=True, timeout=120)
    descriptor = secretmem.sealed_descriptor(image_of({"SECRET": b"s3cret"}))
    tracer = tmp_path / "strongroom-tracer"
    words: list[str | Path] = [
        "qemu-aarch64",
        "-E",
        f"STRONGROOM_REGION=any:{descriptor}",
        "-E",
        "SECRET=",
        tracer,
        "-",
        tracer,
        "app",
    ]
    try:
        result = subprocess.run(words, pass_fds=(descriptor,), capture_output=True, check=False, timeout=60)
    finally:
        os.close(descriptor)

    assert (result.returncode, result.stdout) == (120, b"")
    assert b"its secrets need ptrace" in result.stderr
    assert result.stderr.count(b"\n") == 1

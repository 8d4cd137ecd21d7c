"""strongroom-tracer as a file: what it asks for, and that it is built for both machines."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import preload
from tests.preload import secretmem
from tests.preload.launch import Build, image_of, is_told
from tests.support.tree import ROOT
from wrapper.exec import usable_library
from wrapper.program import ProtectionError

MAX_BYTES = 65_536


def readelf(*arguments: str | Path) -> str:
    """Return what readelf prints."""
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, check=True, text=True).stdout


@pytest.fixture(scope="module", params=["CC=gcc", "CC=clang", "ARCH=aarch64"])
def tracer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as each compiler builds it, and for the other machine."""
    folder = tmp_path_factory.mktemp("tracer")
    subprocess.run(
        ["make", "-s", "-C", str(ROOT / "preload"), "tracer", f"OUT={folder}", request.param], check=True, timeout=280
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
    subprocess.run(command, check=True, timeout=280)
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
        result = subprocess.run(words, pass_fds=(descriptor,), capture_output=True, check=False, timeout=200)
    finally:
        os.close(descriptor)

    assert (result.returncode, result.stdout) == (120, b"")
    assert b"its secrets need ptrace" in result.stderr
    assert result.stderr.count(b"\n") == 1


class TestTracerPath:
    """``preload.tracer_path()``: an installation without the tracer starts nothing that has secrets."""

    def test_is_beside_the_library(self, library: str) -> None:
        assert preload.tracer_path() == str(Path(library).with_name("strongroom-tracer"))

    @pytest.mark.parametrize("mode", [None, 0o644])
    def test_missing_or_not_executable(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: str, mode: int | None
    ) -> None:
        folder = tmp_path / "lib" / os.uname().machine
        folder.mkdir(parents=True)
        shutil.copy(library, folder)
        if mode is not None:
            (folder / "strongroom-tracer").touch(mode)
        monkeypatch.setattr(preload, "__file__", str(tmp_path / "__init__.py"))
        with pytest.raises(ProtectionError, match=r"strongroom-tracer: (not built|may not be executed)"):
            usable_library()


class TestFailingSteps:
    """What goes wrong after exec ends the program before its first instruction."""

    @pytest.fixture
    def descriptor(self) -> Iterator[int]:
        """A region with one secret."""
        made = secretmem.secret_descriptor(image_of({"SECRET": b"s3cret"}))
        yield made
        os.close(made)

    def start(self, descriptor: int, program: Path, **environ: str) -> subprocess.CompletedProcess[bytes]:
        """Have the tracer start a program with this environment."""
        words: list[str | Path] = [preload.tracer_path(), "-", program, "name", "SECRET"]
        region = {"STRONGROOM_REGION": f"memfd-secret:{descriptor}"}
        return subprocess.run(
            words, env=region | environ, pass_fds=(descriptor,), capture_output=True, check=False, timeout=30
        )

    def test_none(self, descriptor: int, build: Build) -> None:
        result = self.start(descriptor, build("print", "gcc", "-static"), SECRET="")
        assert (result.returncode, result.stdout, result.stderr) == (0, b"SECRET=s3cret\n", b"")

    def test_a_secret_without_its_placeholder(self, descriptor: int, build: Build) -> None:
        program = build("print", "gcc", "-static")
        is_told(self.start(descriptor, program), program, "a secret has no placeholder")
        is_told(self.start(descriptor, program, SECRET="other"), program, "a secret has no placeholder")

    def test_a_region_that_is_none(self, build: Build) -> None:
        descriptor = secretmem.secret_descriptor(b"x" * 4096)
        try:
            is_told(self.start(descriptor, build("print", "gcc", "-static"), SECRET=""), "region", "rule 1")
        finally:
            os.close(descriptor)

    def test_a_program_that_has_gone(self, descriptor: int, tmp_path: Path) -> None:
        result = self.start(descriptor, tmp_path / "gone", SECRET="")
        assert (result.returncode, result.stdout) == (127, b"")
        assert b"is not there" in result.stderr

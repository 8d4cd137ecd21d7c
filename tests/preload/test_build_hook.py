"""The hook that puts the library into a wheel: a wheel without it is never made."""

import os
from pathlib import Path
from typing import Any

import pytest

from preload.hatch_build import CustomBuildHook
from tests.support.tree import ROOT


def hook(root: Path) -> CustomBuildHook:
    """Return the hook as hatchling makes it."""
    return CustomBuildHook(str(root), {}, None, None, "", "wheel")  # type: ignore[arg-type]


def built(version: str) -> dict[str, Any]:
    """Return what the hook tells hatchling."""
    data: dict[str, Any] = {"force_include": {}}
    hook(ROOT).initialize(version, data)
    return data


def test_wheel_carries_the_library_and_says_for_whom() -> None:
    data = built("standard")
    machine = os.uname().machine
    for name in ("libstrongroom.so", "strongroom-tracer"):
        assert f"preload/lib/{machine}/{name}" in data["force_include"].values()
    assert all(Path(source).is_file() for source in data["force_include"])
    assert data["tag"] == f"py3-none-manylinux_2_17_{machine}.musllinux_1_1_{machine}"
    assert data["pure_python"] is False


def test_editable_install_finds_it_in_the_tree(library: str) -> None:
    data = built("editable")
    assert data["force_include"] == {}
    assert Path(library).is_file()


def test_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(RuntimeError, match="no-such-compiler not found; install it"):
        built("standard")


def test_missing_compiler_of_the_init_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INIT_CC", "no-such-musl-gcc")
    with pytest.raises(RuntimeError, match=r"no-such-musl-gcc not found; install it .*musl-tools"):
        built("standard")


def test_other_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCH", "riscv64")
    with pytest.raises(RuntimeError, match="cannot build for riscv64"):
        built("standard")


def test_compiler_that_fails_stops_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "preload" / "src").mkdir(parents=True)
    (tmp_path / "preload" / "Makefile").write_text("all:\n\t@echo broken here >&2; exit 3\n")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(RuntimeError, match=r"(?s)make failed with status 2.*broken here"):
        hook(tmp_path).initialize("standard", {"force_include": {}})

"""A wheel built from this tree, installed into an empty environment, works."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from strongroom.names import PACKAGES
from tests.support.tree import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "build", "--quiet", "--offline", "--wheel", "--no-build-isolation", "--python", sys.executable,
         "--out-dir", directory, ROOT],
        check=True,
    )  # fmt: skip
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_is_tagged_for_both_libcs_and_holds_the_library(wheel: Path) -> None:
    assert "py3-none-manylinux" in wheel.name
    assert "musllinux" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert "preload/lib/x86_64/libstrongroom.so" in names
    assert not [name for name in names if name.startswith("preload/") and name.endswith((".c", ".h"))]
    assert not [name for name in names if name.startswith("tests/")]
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_it_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=False, symlinks=True)
    python = tmp_path / "empty" / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel], check=True)
    command = python.with_name("strongroom")

    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": "/usr/bin:/bin", **environ}
        return subprocess.run([command, *words], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run("version").stdout.startswith("strongroom 0.")
    assert run("run", "--", "echo", "started").stdout == "started\n"
    assert run("run", "--", "printenv", "PYTHONHOME", PYTHONHOME="/opt/app").stdout == "/opt/app\n"
    refused = run("run", "--wait", "0", "--", "true", X="bao:kv/a#b", STRONGROOM_BRIDGE="https://127.0.0.1:1")
    assert refused.returncode == 111
    assert "ca.crt: does not exist" in refused.stderr
    library = subprocess.run(
        [python, "-c", "import preload; print(preload.library_path())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert library.stdout.strip().startswith(str(tmp_path))
    assert os.access(Path(library.stdout.strip()).with_name("strongroom-tracer"), os.X_OK)
    bridge = run("bridge", "--help")
    assert bridge.returncode == 1
    assert "pip install 'strongroom[bridge]'" in bridge.stderr

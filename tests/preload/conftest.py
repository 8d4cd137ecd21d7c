"""The library, built once per session, and the programs it is tried on."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import preload
from tests.preload.launch import COMPILERS, FLAGS, NATIVE, Launcher, Programs
from tests.support.launch.native import make_native
from tests.support.tree import ROOT


@pytest.fixture(scope="session")
def library() -> str:
    """Path of the freshly built library."""
    make_native("library")
    return preload.library_path()


@pytest.fixture(scope="session")
def launcher(library: str) -> Launcher:
    """Starts programs with the library."""
    return Launcher(library)


@pytest.fixture(scope="session", params=sorted(COMPILERS))
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The test programs, for glibc and for musl."""
    libc: str = request.param
    return Programs(libc, tmp_path_factory.mktemp(f"native-{libc}"))


@pytest.fixture(scope="session")
def glibc_programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The test programs for glibc, where the libc does not matter."""
    return Programs("glibc", tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="session")
def region_check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library's reader as a program, built with AddressSanitizer and UBSan."""
    del tmp_path_factory
    make_native("region-check")
    return ROOT / "preload" / "build" / "region-check"


@pytest.fixture(scope="session")
def build() -> Iterator[Callable[..., Path]]:
    """Compile a program of tests/native, each once, for all users: ``build("print", "gcc", "-static")``."""
    # Not below the folder of pytest, which is closed to other users again by whatever session starts next.
    folder = Path(tempfile.mkdtemp(prefix="strongroom-test-"))
    folder.chmod(0o755)

    def compile_with(name: str, compiler: str, *options: str) -> Path:
        program = folder / "-".join([name.replace("/", "-"), compiler, *options])
        if not program.exists():
            command = [compiler, *FLAGS, NATIVE / f"{name}.c", "-o", program, *options]
            subprocess.run([str(word) for word in command], check=True)
        return program

    yield compile_with
    shutil.rmtree(folder)

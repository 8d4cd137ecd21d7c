"""The library, built once per session, and the programs it is tried on."""

import subprocess
from pathlib import Path

import pytest

import preload
from tests.preload.launch import COMPILERS, ROOT, Launcher, Programs


@pytest.fixture(scope="session")
def library() -> str:
    """Path of the freshly built library."""
    subprocess.run(["make", "-s", "-C", str(ROOT / "preload"), "library"], check=True)
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
    subprocess.run(["make", "-s", "-C", str(ROOT / "preload"), "region-check"], check=True)
    return ROOT / "preload" / "build" / "region-check"

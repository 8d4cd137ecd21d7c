"""The inits and the programs that run under them, each built once."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import preload
from tests.init.inits import DUMB_INIT, TINI, Init, strongroom_init
from tests.support.launch.native import make_native
from tests.support.tree import ROOT

NATIVE = ROOT / "tests" / "native" / "init"


@pytest.fixture(scope="session")
def init_path() -> str:
    """Path of the freshly built program."""
    make_native("init")
    return preload.init_path()


@pytest.fixture(scope="session")
def ours(init_path: str) -> Init:
    return strongroom_init(init_path)


@pytest.fixture(scope="session")
def sanitized() -> Iterator[Init]:
    """Ours, built with AddressSanitizer and UBSan, which leave the signals alone."""
    make_native("init-check")
    options = ":".join(f"handle_{name}=0" for name in ("abort", "segv", "sigbus", "sigfpe", "sigill", "sigtrap"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASAN_OPTIONS", options)
        yield strongroom_init(str(ROOT / "preload" / "build" / "strongroom-init-check"), "sanitized")


@pytest.fixture(scope="session", params=["ours", "sanitized", TINI, DUMB_INIT], ids=str)
def init(request: pytest.FixtureRequest) -> Init:
    """Each of the three in turn; ours also with sanitizers."""
    chosen: Init | str = request.param
    if isinstance(chosen, str):
        ours: Init = request.getfixturevalue(chosen)
        return ours
    assert shutil.which(chosen.name), f"{chosen.name} is not installed; apt-get install {chosen.name}"
    return chosen


@dataclass(frozen=True)
class Programs:
    """Builds the programs of ``tests/native/init``, each once."""

    folder: Path

    def __call__(self, name: str) -> str:
        """Return the path of a program."""
        output = self.folder / name
        if not output.exists():
            flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]
            subprocess.run(["gcc", *flags, str(NATIVE / f"{name}.c"), "-o", str(output)], check=True)
        return str(output)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("programs"))

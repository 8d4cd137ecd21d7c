"""One bundle for all tests, in a place that every user can reach, and images with it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bundle.roots import NOBODY, ROOTS, Image, open_directory
from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.native import make_native
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT

SECRET = "a value that nobody else may see"


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A directory that every user can reach."""
    with open_directory() as directory:
        yield directory


def make_bundle(directory: Path, *options: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli", "bundle", *options, str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@dataclass(frozen=True)
class Made:
    """A bundle, and what was printed when it was made."""

    directory: Path
    output: str


@pytest.fixture(scope="session")
def made(place: Path) -> Made:
    make_native()
    result = make_bundle(place / "bundle")
    assert result.returncode == 0, result.stderr
    return Made(place / "bundle", result.stdout)


@pytest.fixture(scope="session")
def directory(made: Made) -> Path:
    """The directory of the bundle."""
    return made.directory


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tls(place: Path, certificates: Certificates) -> Path:
    """The wrapper's certificate as a volume, with the names that it looks for by default."""
    volume = place / "tls"
    volume.mkdir()
    files = {"ca.crt": certificates.ca, "tls.crt": certificates.cert, "tls.key": certificates.key}
    for name, source in files.items():
        shutil.copy(source, volume / name)
        (volume / name).chmod(0o644)
    (volume / "tls.key").chmod(0o440)  # as with `defaultMode: 0440` and `fsGroup`
    os.chown(volume / "tls.key", -1, NOBODY if is_root() else -1)
    return volume


@pytest.fixture(scope="session")
def images(place: Path, directory: Path, tls: Path) -> Mapping[str, Image]:
    """The images by their names."""
    (place / "roots").mkdir()
    return {name: Image(make(place / "roots" / name), directory, tls) for name, make in ROOTS.items()}


@pytest.fixture(scope="session")
def bridge(certificates: Certificates) -> Iterator[FakeBridge]:
    """A bridge that hands out SECRET."""
    with FakeBridge(certificates.server(), bundle({"SECRET": SECRET.encode()})) as running:
        yield running


@pytest.fixture(scope="session")
def references(bridge: FakeBridge) -> Mapping[str, str]:
    """An environment with a reference, and where the bridge is."""
    return {"SECRET": "bao:kv/shop/db#password", "STRONGROOM_BRIDGE": bridge.url}


@pytest.fixture(scope="session")
def certificate_settings(tls: Path) -> Mapping[str, str]:
    """Where the certificates are, for launches outside of an image."""
    names = {"STRONGROOM_CA": "ca.crt", "STRONGROOM_CERT": "tls.crt", "STRONGROOM_KEY": "tls.key"}
    return {variable: str(tls / name) for variable, name in names.items()}

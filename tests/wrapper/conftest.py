import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.launch.launches import Launches
from tests.support.tls.certificates import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def launches(certificates: Certificates) -> Launches:
    return Launches(certificates)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory that every user can enter."""
    path = Path(tempfile.mkdtemp(prefix="strongroom-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)

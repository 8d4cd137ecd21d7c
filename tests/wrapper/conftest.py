import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import Launches
from tests.support.tls.certificates import Certificates
from tests.wrapper.application import CANARY, SECRET
from tests.wrapper.fetching import Load
from wrapper.settings import WrapperSettings, load_settings


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


@pytest.fixture
def load(certificates: Certificates) -> Load:
    def load(**changes: str) -> WrapperSettings:
        flags = {
            "ca": certificates.ca,
            "cert": certificates.cert,
            "key": certificates.key,
            "timeout": "20",
            "attempt-timeout": "10",
            "wait": "0",
            "retries": "0",
        }
        return load_settings(flags | {name.replace("_", "-"): text for name, text in changes.items()}, {})

    return load


@pytest.fixture(params=["plain", "with secrets"])
def serving(request: pytest.FixtureRequest, certificates: Certificates) -> object:
    """Both ways to an application: nothing to fetch, and one secret."""
    if request.param == "plain":
        yield "", {"SECRET": "plain"}
    else:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            yield bridge.url, SECRET


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory on a tmpfs."""
    folder = Path(tempfile.mkdtemp(prefix="strongroom-test-", dir="/dev/shm"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)

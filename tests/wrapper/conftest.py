import pytest

from tests.support.certificates import Certificates
from tests.support.launches import Launches


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def launches(certificates: Certificates) -> Launches:
    return Launches(certificates)

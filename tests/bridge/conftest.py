"""One OpenBao for the whole run, filled once; bridges are cheap and made where they are needed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from tests.support.bridge.process import BridgeProcess

MakeBridge = Callable[..., BridgeProcess]
PATIENT = {"openbao_read_timeout_s": 60, "request_timeout_s": 60}
"""Settings of a bridge that waits for an OpenBao that a test has paused, until the test lets it go on."""

READER_RULES = """
path "kv/data/shop/*" { capabilities = ["read"] }
path "kv/data/common" { capabilities = ["read"] }
path "old/shop/*" { capabilities = ["read"] }
path "pki/*" { capabilities = ["read"] }
path "kv/data/shop/forbidden" { capabilities = ["deny"] }
"""


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[OpenBaoServer]:
    with OpenBaoServer(tmp_path_factory.mktemp("openbao"), authority, audit=True) as server:
        fill(server)
        yield server


def fill(server: OpenBaoServer) -> None:
    """Store what the tests read."""
    admin = server.admin
    admin.enable_kv("kv", version=2)
    admin.enable_kv("old", version=1)
    admin.call("POST", "sys/mounts/pki", {"type": "pki"})
    admin.write_policy("reader", READER_RULES)
    admin.enable_approle()
    admin.put_v2("kv", "shop/db", {"password": "first", "user": "app"})
    admin.put_v2("kv", "shop/db", {"password": "second", "user": "app", "host": "db"})
    admin.put_v1("old", "shop/db", {"password": "from-v1"})
    admin.put_v2("kv", "common", {"public_url": "https://x", "private_key": "no"})
    admin.put_v2("kv", "shop/forbidden", {"k": "v"})
    admin.put_v2("kv", "shop/versions", {"k": "one"})
    admin.put_v2("kv", "shop/versions", {"k": "two"})
    admin.put_v2("kv", "shop/versions", {"k": "three"})
    admin.delete_versions("kv", "shop/versions", [2])
    admin.destroy_versions("kv", "shop/versions", [1])
    admin.put_v2("kv", "shop/deleted", {"k": "gone"})
    admin.delete_versions("kv", "shop/deleted", [1])


@pytest.fixture(scope="session")
def reader_token_file(bao: OpenBaoServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(bao.admin.create_token(policies=["reader"], ttl="1h") + "\n")
    return path


@pytest.fixture(scope="session")
def bridge(
    bao: OpenBaoServer, authority: Authority, reader_token_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    """The bridge that most tests share; they must leave it as it is."""
    settings = {"openbao_address": bao.address, "openbao_token_file": reader_token_file, "log_level": "debug"}
    with BridgeProcess(tmp_path_factory.mktemp("bridge"), authority, settings) as process:
        yield process


@pytest.fixture
def make_bridge(
    bao: OpenBaoServer, authority: Authority, reader_token_file: Path, tmp_path: Path
) -> Iterator[MakeBridge]:
    """A bridge of the test's own; settings are given by name, another program by its words."""
    made: list[BridgeProcess] = []

    def make(*program: str, **settings: object) -> BridgeProcess:
        login = {} if "openbao_role_id_file" in settings else {"openbao_token_file": reader_token_file}
        process = BridgeProcess(
            tmp_path / f"bridge{len(made)}",
            authority,
            {"openbao_address": bao.address, **login, **settings},
            program=program or ("-m", "bridge"),
        )
        made.append(process)
        return process

    yield make
    for process in made:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()

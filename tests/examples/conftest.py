"""A bridge that runs with the policy of ``examples/``, the secrets that the examples name, and a bundle to mount."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from devstack.stack import DevStack
from tests.support.tree import ROOT

EXAMPLES = ROOT / "examples"
PASSWORD = "p@ss/w:rd#1"  # each sign means something in a URL
TOKEN = "a token that nobody prints"
SHOWN = f"""\
database db.example.org, user shop, password of {len(PASSWORD)} characters
token of {len(TOKEN)} characters, log level info
"""
"""What ``examples/app/show.py`` prints with its secrets."""


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevStack]:
    policy = (EXAMPLES / "bridge/policy.toml").read_text()
    with DevStack(tmp_path_factory.mktemp("shop"), policy=policy) as running:
        put = running.openbao.admin.put_v2
        put("kv", "shop/db", {"user": "shop", "password": PASSWORD})
        put("kv", "shop/api", {"token": TOKEN})
        put("kv", "deploy/shop/cluster", {"token": TOKEN})
        yield running


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundle") / "strongroom"
    subprocess.run([sys.executable, "-m", "cli", "bundle", directory], cwd=ROOT, capture_output=True, check=True)
    return directory


def credentials(shop: DevStack, identity: str) -> dict[str, str]:
    """Return the settings that a workload's certificate stands behind, and the address of the bridge."""
    files = shop.authority.issue_client(identity.rpartition("/")[2], identities=(identity,))
    return {
        **shop.exports(),
        "STRONGROOM_CERT": str(files.cert),
        "STRONGROOM_KEY": str(files.key),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }


def run(command: Sequence[str], environ: dict[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)

"""The bridge's files in ``examples/bridge``: taken by its own parsers, and saying what their comments say."""

import subprocess
import sys

import pytest

from bridge.policy.file import parse_policy
from strongroom.errors import DeniedError
from strongroom.identity import parse_spiffe_id
from tests.examples.conftest import EXAMPLES
from tests.support.tree import ROOT

POLICY = parse_policy((EXAMPLES / "bridge/policy.toml").read_text(), origin="policy.toml")
API, REPORT = "spiffe://example.org/ns/shop/sa/api", "spiffe://example.org/ns/shop/sa/report"
DEPLOY = "spiffe://example.org/ns/ci/sa/deploy-shop"


@pytest.mark.parametrize(
    ("identity", "path", "key"),
    [(API, "kv/shop/db", "password"), (REPORT, "kv/shop/db", "user"), (DEPLOY, "kv/deploy/shop/eu/cluster", "token")],
)
def test_the_policy_allows(identity: str, path: str, key: str) -> None:
    POLICY.require(parse_spiffe_id(identity), path, key)


@pytest.mark.parametrize(
    ("identity", "path", "key"),
    [
        (API, "kv/shop/db/deeper", "password"),
        (API, "kv/deploy/shop/cluster", "token"),
        (REPORT, "kv/shop/db", "admin-password"),
        (REPORT, "kv/shop/api", "token"),
        (DEPLOY, "kv/deploy/other/cluster", "token"),
        ("spiffe://example.org/ns/shop/sa/other", "kv/shop/db", "password"),
    ],
)
def test_the_policy_denies_what_it_does_not_say(identity: str, path: str, key: str) -> None:
    with pytest.raises(DeniedError):
        POLICY.require(parse_spiffe_id(identity), path, key)


def test_the_settings_are_taken() -> None:
    command = [
        sys.executable,
        "-m",
        "cli",
        "bridge",
        "--config",
        str(EXAMPLES / "bridge/bridge.toml"),
        "--print-config",
    ]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert 'client_ca_file = "example.org=/etc/strongroom/bridge/ca.crt"' in shown

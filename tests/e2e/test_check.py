"""``strongroom plan --check`` from end to end: it ends as the launch would, and shows every secret that is missing."""

import subprocess

import pytest

from devstack.stack import DevStack
from tests.support.launch.launcher import Launcher
from tests.support.tree import ROOT
from wrapper import exit_status

CANARY = "canary-Gh51xQ"


def check(launcher: Launcher, references: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = launcher.command("true")
    words[words.index("run") :] = ["plan", "--check", "--", "true"]
    return subprocess.run(
        words, env=launcher.environ(references), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("references", "status"),
    [
        ({"A": "bao:kv/shop/checked#k"}, 0),
        ({"A": "bao:kv/shop/checked#none?optional", "B": "bao:kv/shop/none#k?default="}, 0),
        ({"A": "bao:kv/shop/checked#k", "B": "bao:kv/shop/checked#none"}, exit_status.NOT_FOUND),
        ({"A": "bao:kv/shop/none#k", "B": "bao:kv/finance/x#k"}, exit_status.DENIED),
        ({"A": "bao:kv/shop/checked#binary"}, exit_status.UNDELIVERABLE),
        ({"A": "bao:kv/shop/checked#binary|base64"}, 0),
        ({"A": "file:bao:kv/shop/checked#binary"}, 0),
        ({"A": "bao:kv/shop/checked#k#99"}, exit_status.NOT_FOUND),
        ({"STRONGROOM_FROM_PATH": "bao:kv/shop/checked"}, exit_status.UNDELIVERABLE),
        ({"STRONGROOM_FROM_PATH": "bao:kv/shop/none"}, exit_status.NOT_FOUND),
        ({"STRONGROOM_FROM_PATH": "bao:kv/shop/none?optional"}, 0),
    ],
)
def test_it_ends_as_the_launch_does(
    launcher: Launcher, stack: DevStack, references: dict[str, str], status: int
) -> None:
    stack.openbao.admin.put_v2("kv", "shop/checked", {"k": CANARY, "binary": f"{CANARY}\0"})
    looked = check(launcher, references)
    launched = launcher.run(references, "true")
    assert (looked.returncode, launched.returncode) == (status, status), looked.stdout + launched.stderr
    assert CANARY not in looked.stdout + looked.stderr


def test_a_launch_that_misses_several_secrets_names_the_command_that_shows_all(
    launcher: Launcher, stack: DevStack
) -> None:
    version = stack.openbao.admin.put_v2("kv", "shop/some-of", {"k": "v"})
    references = {"A": "bao:kv/shop/some-of#k", "B": "bao:kv/shop/some-of#no", "C": "bao:kv/shop/not-there#k"}
    launched = launcher.run(references, "true")
    assert "strongroom plan --check -- COMMAND" in launched.stderr

    shown = {line.split()[0]: line for line in check(launcher, references).stdout.splitlines() if line.strip()}
    assert f"exists (version {version})" in shown["A"]
    assert "missing: there is no key 'no'" in shown["B"]
    assert "missing: there is no secret at kv/shop/not-there" in shown["C"]


def test_a_sealed_openbao_is_said(launcher: Launcher, stack: DevStack) -> None:
    stack.openbao.admin.put_v2("kv", "shop/sealed-away", {"k": "v"})
    stack.openbao.admin.seal()
    try:
        looked = check(launcher, {"A": "bao:kv/shop/sealed-away#k"})
    finally:
        stack.openbao.unseal()
    assert looked.returncode == exit_status.UNAVAILABLE
    assert "unavailable: OpenBao is sealed" in looked.stdout

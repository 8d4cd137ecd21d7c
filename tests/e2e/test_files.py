"""Secrets as files from end to end: real OpenBao, real bridge, real wrapper, real program."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.stack import DevStack
from tests.support.launch.launcher import Launcher
from tests.support.tree import ROOT
from wrapper import exit_status

KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def memory() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="strongroom-test-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def test_a_key_a_configuration_and_a_variable(launcher: Launcher, stack: DevStack, memory: Path) -> None:
    stack.openbao.admin.put_v2("kv", "shop/tls", {"key": KEY, "password": "pa\\ss"})
    references = {
        "TLS_KEY_FILE": "file:bao:kv/shop/tls#key",
        "CONF_FILE": f"file(path={memory}/db.ini,mode=0440):[db]\nurl=pg://${{bao:kv/shop/tls#password}}@db\n",
        "PASSWORD": "bao:kv/shop/tls#password",
    }
    result = launcher.run(references, "sh", "-c", 'cat "$TLS_KEY_FILE" "$CONF_FILE"; printf "%s\\n" "$PASSWORD"')

    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{KEY}[db]\nurl=pg://pa\\ss@db\npa\\ss\n"
    assert (memory / "db.ini").stat().st_mode & 0o777 == 0o440


def test_five_megabytes_of_bytes_come_exactly(launcher: Launcher, stack: DevStack) -> None:
    content = os.urandom(5 << 20)
    stack.openbao.admin.put_v2("kv", "shop/blob", {"b64": base64.encodebytes(content).decode()})
    result = launcher.run({"BLOB": "file(decode=base64):bao:kv/shop/blob#b64"}, "sh", "-c", 'sha256sum < "$BLOB"')

    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[0] == hashlib.sha256(content).hexdigest()


def test_a_nul_byte_and_a_version_1_engine(launcher: Launcher, stack: DevStack) -> None:
    stack.openbao.admin.put_v1("kv1", "shop/nul", {"k": "a\0b"})
    result = launcher.run({"F": "file:bao:kv1/shop/nul#k"}, "sh", "-c", 'od -An -c "$F"')
    assert result.stdout.split() == ["a", "\\0", "b"], result.stderr


def test_optional_and_default(launcher: Launcher, stack: DevStack, memory: Path) -> None:
    stack.openbao.admin.put_v2("kv", "shop/some", {"k": "v"})
    references = {
        "GONE": f"file(path={memory}/gone):bao:kv/shop/some#no?optional",
        "TEXT": "file(decode=base64):bao:kv/shop/nowhere#no?default=as it stands",
    }
    result = launcher.run(references, "sh", "-c", 'echo "${GONE-unset}"; cat "$TEXT"')

    assert (result.returncode, result.stdout) == (0, "unset\nas it stands"), result.stderr
    assert list(memory.iterdir()) == []


@pytest.mark.parametrize(
    ("reference", "status", "message"),
    [
        ("bao:kv/shop/files#none", exit_status.NOT_FOUND, "OTHER: kv/shop/files#none: missing (404)"),
        ("bao:kv/finance/x#k", exit_status.DENIED, "OTHER: kv/finance/x#k: denied (403)"),
        ("bao:kv/shop/files#k", exit_status.UNDELIVERABLE, "OTHER: kv/shop/files#k: undeliverable (422)"),
    ],
)
def test_a_failing_reference_leaves_no_file(  # noqa: PLR0913, PLR0917 - three of them are fixtures
    launcher: Launcher, stack: DevStack, memory: Path, reference: str, status: int, message: str
) -> None:
    stack.openbao.admin.put_v2("kv", "shop/files", {"k": "not base64!"})
    references = {
        "GOOD": f"file(path={memory}/good):bao:kv/shop/files#k",
        "OTHER": f"file(path={memory}/other,decode=base64):{reference}",
    }
    result = launcher.run(references, "echo", "started")

    assert (result.returncode, result.stdout) == (status, ""), result.stderr
    assert message in result.stderr
    assert "not base64!" not in result.stderr
    assert list(memory.iterdir()) == []


def test_the_audit_log_has_files_like_variables(launcher: Launcher, stack: DevStack) -> None:
    stack.openbao.admin.put_v2("kv", "shop/recorded", {"k": "v"})
    assert launcher.run({"RECORDED_FILE": "file:bao:kv/shop/recorded#k"}, "true").returncode == 0

    records = [json.loads(line) for line in stack.audit_file.read_text().splitlines()]
    (record,) = [record for record in records if record["name"] == "RECORDED_FILE"]
    assert (record["path"], record["key"], record["version"], record["decision"]) == (
        "kv/shop/recorded",
        "k",
        1,
        "allowed",
    )


def test_plan_shows_files_and_reads_nothing(launcher: Launcher, memory: Path) -> None:
    references = {"F": f"file(path={memory}/key):bao:kv/shop/never#k", "G": "file:bao:kv/shop/never#k"}
    words = [*launcher.command("true")]
    words[words.index("run")] = "plan"
    result = subprocess.run(
        words,
        env=launcher.environ(references),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert f"F         file {memory}/key" in result.stdout
    assert list(memory.iterdir()) == []

"""``strongroom plan`` as a process, against bridges that answer well and badly."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, answer, problem, response
from tests.support.launch.launches import Launches
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from wrapper import exit_status

CANARY = "canary-Gh51xQ"
SECRET = {"DB": "bao:kv/db#key#3"}
ALLOWED: dict[str, object] = {"name": "DB", "path": "kv/db", "key": "key", "version": 3, "allowed": True}


def explain(
    launches: Launches, variables: Mapping[str, str], *words: str, bridge: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "plan", *words],
        env=launches.environ(bridge, variables),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def plan_of(entries: list[dict[str, object]], **more: object) -> bytes:
    document = {"identity": "spiffe://example.org/ns/shop/sa/api", "entries": entries, "from_path": []} | more
    return response(200, json.dumps(document).encode(), media_type="application/json")


def test_without_references_nothing_is_asked(launches: Launches) -> None:
    done = explain(launches, {"A": "a"}, "--", "true")

    assert done.returncode == 0
    assert "nothing would be fetched" in done.stdout


def test_it_cannot_be_dumped_while_it_has_the_private_key_whatever_the_delivery_comes_to(
    launches: Launches, certificates: Certificates, tmp_path: Path
) -> None:
    program = tmp_path / "of-another-machine"
    program.write_bytes(b"\x7fELF\x01" + bytes(100))
    program.chmod(0o755)
    code = (
        "import ctypes, os, sys; from wrapper.verbs import plan\n"
        "plan.render = lambda document: os._exit("
        "(50 if document['delivery']['rung'] is None else 60) + ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
        "plan.main(['--', sys.argv[1]])"
    )
    with FakeBridge(certificates.server(), answer(plan_of([ALLOWED]))) as bridge:
        command = [sys.executable, "-c", code, str(program)]
        done = subprocess.run(command, env=launches.environ(bridge.url, SECRET), cwd=ROOT, check=False, timeout=30)

    assert done.returncode == 50


def test_it_shows_source_and_verdict_and_no_default(launches: Launches, certificates: Certificates) -> None:
    variables = {**SECRET, "TOKEN": f"bao:kv/db#token?default={CANARY}", "STRONGROOM_FROM_PATH": "bao:kv/env?optional"}
    entries = [ALLOWED, {**ALLOWED, "name": "TOKEN", "key": "token", "version": None}]
    from_path = [{"path": "kv/env", "allowed": False, "reason": "no grant"}]
    with FakeBridge(certificates.server(), answer(plan_of(entries, from_path=from_path))) as bridge:
        done = explain(launches, variables, "-o", "json", "--", "true", bridge=bridge.url)

    document = json.loads(done.stdout)
    assert done.returncode == exit_status.DENIED
    assert document["secrets"] == [
        {
            "name": "DB",
            "source": "kv/db#key#3",
            "when_missing": "stop",
            "allowed": True,
            "reason": "",
            "as": "variable",
        },
        {
            "name": "TOKEN",
            "source": "kv/db#token",
            "when_missing": "default",
            "allowed": True,
            "reason": "",
            "as": "variable",
        },
        {
            "name": "*",
            "source": "kv/env#*",
            "when_missing": "left out",
            "allowed": False,
            "reason": "no grant",
            "as": "variable",
        },
    ]
    assert (document["delivery"]["rung"], document["delivery"]["memory"]) == ("preload", "memfd-secret")
    assert CANARY not in done.stdout + done.stderr


def test_a_table_for_people(launches: Launches, certificates: Certificates) -> None:
    with FakeBridge(certificates.server(), answer(plan_of([ALLOWED]))) as bridge:
        done = explain(launches, SECRET, "true", bridge=bridge.url)

    assert done.returncode == 0
    assert "preload + memfd-secret memory" in done.stdout
    assert "DB        kv/db#key#3  stop        allowed" in done.stdout


def checked(**change: object) -> dict[str, object]:
    return {**ALLOWED, "state": "exists", "found_version": 7, "reason": "granted"} | change


@pytest.mark.parametrize(
    ("rows", "status", "shown"),
    [
        ([checked()], 0, "exists (version 7)"),
        ([checked(found_version=0)], 0, "exists"),
        ([checked(state="missing", reason="no such key")], exit_status.NOT_FOUND, "missing: no such key"),
        ([checked(state="unavailable", reason="OpenBao is sealed")], exit_status.UNAVAILABLE, "OpenBao is sealed"),
        ([checked(state="denied", reason="OpenBao refuses")], exit_status.DENIED, "denied: OpenBao refuses"),
        ([checked(state="undeliverable", reason="binary")], exit_status.UNDELIVERABLE, "undeliverable: binary"),
        ([checked(allowed=False, state="denied", reason="no grant")], exit_status.DENIED, "denied: no grant"),
        ([checked(state="like never before")], exit_status.INTEGRITY, "like never before"),
        ([ALLOWED], exit_status.INTEGRITY, "allowed"),
    ],
)
def test_check_shows_what_is_there_and_ends_as_the_launch_would(
    launches: Launches, certificates: Certificates, rows: list[dict[str, object]], status: int, shown: str
) -> None:
    with FakeBridge(certificates.server(), answer(plan_of(rows, too_large=""))) as bridge:
        done = explain(launches, SECRET, "--check", "true", bridge=bridge.url)

    assert done.returncode == status, done.stderr
    assert shown in done.stdout.splitlines()[-1]


def test_check_says_when_all_together_is_too_much(launches: Launches, certificates: Certificates) -> None:
    with FakeBridge(certificates.server(), answer(plan_of([checked()], too_large="9 bytes, at most 8"))) as bridge:
        done = explain(launches, SECRET, "-o", "json", "--check", "--", "true", bridge=bridge.url)

    assert done.returncode == exit_status.UNDELIVERABLE
    assert json.loads(done.stdout)["too_large"] == "9 bytes, at most 8"


def test_check_by_a_bridge_of_before_it_says_so(launches: Launches, certificates: Certificates) -> None:
    with FakeBridge(certificates.server(), answer(problem(404, detail="Not Found"))) as bridge:
        done = explain(launches, SECRET, "--check", "true", bridge=bridge.url)

    assert done.returncode == exit_status.UNREACHABLE
    assert "upgrade bridges before wrappers" in done.stderr


def test_without_check_it_says_that_nobody_has_looked(launches: Launches, certificates: Certificates) -> None:
    with FakeBridge(certificates.server(), answer(plan_of([ALLOWED]))) as bridge:
        done = explain(launches, SECRET, "true", bridge=bridge.url)

    assert "exist is not checked (--check does)" in done.stdout


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{**ALLOWED, "allowed": False}],
        [{**ALLOWED, "allowed": 1}],
        [{**ALLOWED, "allowed": "true"}],
        [{**ALLOWED, "version": 4}],
        [{**ALLOWED, "path": "kv/other"}],
        [{**ALLOWED, "path": ["kv/db"]}],
        [{**ALLOWED, "name": {}}],
        ["DB"],
        [None],
    ],
    ids=repr,
)
def test_what_the_bridge_does_not_clearly_allow_is_denied(
    launches: Launches, certificates: Certificates, entries: list[dict[str, object]]
) -> None:
    with FakeBridge(certificates.server(), answer(plan_of(entries))) as bridge:
        done = explain(launches, SECRET, "-o", "json", "true", bridge=bridge.url)

    assert done.returncode == exit_status.DENIED, done.stderr
    assert [row["allowed"] for row in json.loads(done.stdout)["secrets"]] == [False]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"null", b"[" * 100_000, b'"text"'])
def test_an_answer_that_is_no_plan_is_an_error_of_the_bridge(
    launches: Launches, certificates: Certificates, body: bytes
) -> None:
    data = response(200, body, media_type="application/json")
    with FakeBridge(certificates.server(), answer(data)) as bridge:
        done = explain(launches, SECRET, "true", bridge=bridge.url)

    assert (done.returncode, done.stdout) == (exit_status.UNREACHABLE, "")
    assert done.stderr.startswith("strongroom: error: the bridge's plan is not a JSON object")


def test_what_the_bridge_says_cannot_drive_the_terminal(launches: Launches, certificates: Certificates) -> None:
    hostile = "\x1b[2J\x9b31m\u202e\nallowed"
    entries = [{**ALLOWED, "allowed": False, "reason": hostile}]
    with FakeBridge(certificates.server(), answer(plan_of(entries, identity=hostile))) as bridge:
        done = explain(launches, SECRET, "true", bridge=bridge.url)

    assert done.stdout.replace("\n", "").isprintable()


def test_a_program_that_cannot_be_had_or_protected_is_said_before_anything_is_asked(launches: Launches) -> None:
    done = explain(launches, SECRET, "no-such-command")

    assert (done.returncode, done.stdout) == (127, "")


@pytest.mark.parametrize("words", [["-o", "yaml", "true"], ["-o"], []])
def test_a_wrong_command_line_is_refused(launches: Launches, words: list[str]) -> None:
    done = explain(launches, {}, *words)

    assert (done.returncode, done.stdout) == (exit_status.CONFIG, "")


def test_it_shows_which_secrets_become_files_and_where(
    launches: Launches, certificates: Certificates, tmp_path: Path
) -> None:
    entries = [{**ALLOWED, "name": name, "version": None} for name in ("A", "B", "C")]
    variables = {
        "A": "file(path=/dev/shm/key,mode=0440):bao:kv/db#key",
        "B": "file:bao:kv/db#key",
        "C": "bao:kv/db#key",
    }
    with FakeBridge(certificates.server(), answer(plan_of(entries))) as bridge:
        shown = explain(launches, variables, "--", "true", bridge=bridge.url)
        document = json.loads(explain(launches, variables, "-o", "json", "--", "true", bridge=bridge.url).stdout)
        refused = explain(launches, {"A": f"file(path={tmp_path}/x):bao:kv/db#key"}, "--", "true", bridge=bridge.url)

    assert [line.split() for line in shown.stdout.splitlines()[-4:]] == [
        ["VARIABLE", "AS", "SOURCE", "IF", "MISSING", "BRIDGE", "SAYS"],
        ["A", "file", "/dev/shm/key", "kv/db#key", "stop", "allowed"],  # noqa: S108
        ["B", "file", "kv/db#key", "stop", "allowed"],
        ["C", "variable", "kv/db#key", "stop", "allowed"],
    ]
    assert [(row["as"], row.get("path"), row.get("mode")) for row in document["secrets"]] == [
        ("file", "/dev/shm/key", "0440"),  # noqa: S108
        ("file", None, "0400"),
        ("variable", None, None),
    ]
    assert (refused.returncode, "is not memory" in refused.stderr) == (exit_status.CONFIG, True)

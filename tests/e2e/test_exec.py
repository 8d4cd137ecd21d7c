"""``strongroom exec`` from end to end: in containers as kubectl exec, cron and probes find them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from devstack.stack import DevStack
from tests.init.container import Running, name_of
from tests.support.launch.launcher import Launcher
from tests.support.process.privileges import is_root
from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT
from wrapper import exit_status

HERE = [
    sys.executable,
    "-I",
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); import cli.main as m; sys.exit(m.main())",
]


def execute(environ: Mapping[str, str], *words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *HERE, "exec", *words], env=environ, cwd="/", capture_output=True, text=True, check=False, timeout=60
    )


def test_a_probe_with_the_environment_of_the_container(launcher: Launcher, stack: DevStack) -> None:
    stack.openbao.admin.put_v2("kv", "shop/probe", {"k": "v"})
    done = execute(
        launcher.environ({"X": "bao:kv/shop/probe#k", "F": "file:bao:kv/shop/probe#k"}),
        "sh",
        "-c",
        'cat "$F"; echo "$X"',
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "vv\n", "")


def test_a_cron_job_with_an_empty_environment_gets_what_the_launch_asked_for_and_its_newest_value(
    launcher: Launcher, stack: DevStack, tmp_path: Path
) -> None:
    saved = tmp_path / "launch.json"
    launcher.overrides["STRONGROOM_SAVE_LAUNCH"] = str(saved)
    references = {"X": "bao:kv/shop/cron#k", "STRONGROOM_FROM_PATH": "bao:kv/shop/cron-env", "HOME": "/root"}
    stack.openbao.admin.put_v2("kv", "shop/cron", {"k": "old-canary"})
    stack.openbao.admin.put_v2("kv", "shop/cron-env", {"ALSO": "this", "HOME": "not this"})
    assert launcher.run(references, "printenv", "X").stdout == "old-canary\n"
    assert "canary" not in saved.read_text()
    stack.openbao.admin.put_v2("kv", "shop/cron", {"k": "new-canary"})

    done = execute({}, "--saved-launch", str(saved), "--", "sh", "-c", 'echo "$X $ALSO ${HOME-none}"')
    assert (done.returncode, done.stdout) == (0, "new-canary this none\n"), done.stderr


def test_a_policy_that_has_changed_holds_and_is_recorded(tmp_path: Path) -> None:
    with DevStack(tmp_path / "stack") as stack:
        stack.openbao.admin.put_v2("kv", "shop/db", {"k": "v"})
        launcher, saved = Launcher(stack), tmp_path / "launch.json"
        launcher.overrides["STRONGROOM_SAVE_LAUNCH"] = str(saved)
        assert launcher.run({"X": "bao:kv/shop/db#k"}, "true").returncode == 0
        stack.policy_file.write_text(stack.policy_file.read_text().replace("kv/shop/**", "kv/shop/other"))
        done = wait_for(lambda: _unless_it_works(saved), "the policy")
    assert done is not None

    assert (done.returncode, done.stdout) == (exit_status.DENIED, "")
    assert "X: kv/shop/db#k: denied (403)" in done.stderr
    records = [json.loads(line) for line in stack.audit_file.read_text().splitlines()]
    assert records[-1]["decision"] == "denied"


def _unless_it_works(saved: Path) -> subprocess.CompletedProcess[str] | None:
    done = execute({}, "--saved-launch", str(saved), "--", "true")
    return done if done.returncode else None


@pytest.mark.skipif(not is_root(), reason="a PID namespace needs root")
def test_a_container_under_supervision_says_itself_what_it_was_given(launcher: Launcher, stack: DevStack) -> None:
    stack.openbao.admin.put_v2("kv", "shop/supervised", {"k": "v"})
    environ = launcher.environ({"X": "bao:kv/shop/supervised#k", "PLAIN": "p"})
    bridge = environ.pop("STRONGROOM_BRIDGE")
    with Running([*HERE, "run", "--supervise", "--bridge", bridge, "--", "sleep", "100"], environ=environ) as running:
        wait_for(lambda: name_of(running.child_pid) == "sleep", "the application")
        inside = ("nsenter", f"--target={running.init_pid}", "--pid", "--mount")
        done = execute({}, "--", "sh", "-c", 'echo "$X ${PLAIN-none}"', prefix=(*inside, "env", "-i"))
        application = Path(f"/proc/{running.child_pid}/environ").read_bytes()

    assert (done.returncode, done.stdout) == (0, "v none\n"), done.stderr
    assert b"X=\0" in application


def test_without_anything_to_go_by_it_says_what_to_do() -> None:
    done = execute({"PATH": os.environ["PATH"]}, "true")
    assert done.returncode == exit_status.CONFIG
    assert "hint: start the container with `strongroom run --save-launch" in done.stderr


def test_after_a_rotation_the_application_keeps_its_file_and_a_command_never_mixes_versions(
    launcher: Launcher, stack: DevStack
) -> None:
    with tempfile.TemporaryDirectory(prefix="strongroom-test-", dir="/dev/shm") as memory:
        stack.openbao.admin.put_v2("kv", "shop/rotated", {"id": "one", "key": "S-one"})
        references = {
            "ID": "bao:kv/shop/rotated#id",
            "KEY_FILE": f"file(path={memory}/key):bao:kv/shop/rotated#key",
        }
        script = 'cat "$KEY_FILE"; echo " $ID"'
        assert launcher.run(references, "sh", "-c", script).stdout == "S-one one\n"
        same = execute(launcher.environ(references), "sh", "-c", script + '; echo "$KEY_FILE"')
        assert (same.stdout, same.stderr) == (f"S-one one\n{memory}/key\n", "")

        stack.openbao.admin.put_v2("kv", "shop/rotated", {"id": "two", "key": "S-two"})
        done = execute(launcher.environ(references), "sh", "-c", script)
        assert done.stdout == "S-two two\n", done.stderr
        assert "another version" in done.stderr
        assert Path(memory, "key").read_text() == "S-one", "the application's own file has changed under its hands"

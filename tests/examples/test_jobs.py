"""The jobs in ``examples/``: a unit of systemd and a pipeline, whose commands are run as they stand."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.stack import DevStack
from tests.examples.conftest import EXAMPLES, PASSWORD, TOKEN, credentials, run
from tests.examples.test_bridge import API, DEPLOY, REPORT

UNITS = EXAMPLES / "systemd"
STRONGROOM = Path(sys.executable).with_name("strongroom")
JOB: dict[str, Any] = yaml.safe_load((EXAMPLES / "ci/deploy.gitlab-ci.yml").read_text())["deploy"]


def unit(key: str) -> list[str]:
    lines = (UNITS / "shop-report.service").read_text().splitlines()
    return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]


def test_systemd_takes_service_and_timer(tmp_path: Path) -> None:
    for path in UNITS.glob("shop-report.[st]*"):
        text = path.read_text().replace("/opt/strongroom/current/bin/strongroom", str(STRONGROOM))
        (tmp_path / path.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    verified = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_unit_runs_its_program_with_its_secrets(shop: DevStack, tmp_path: Path) -> None:
    program = tmp_path / "shop-report"
    program.write_text('#!/bin/sh\necho "$DB_USER ${#DB_PASSWORD} $REPORT_TO"\n')
    program.chmod(0o755)
    (command,) = unit("ExecStart")
    words = [
        {
            "/opt/strongroom/current/bin/strongroom": str(STRONGROOM),
            "/etc/strongroom/shop-report/shop-report.env": str(UNITS / "shop-report.env"),
            "/usr/local/bin/shop-report": str(program),
        }.get(word, word)
        for word in shlex.split(command)
    ]
    environ = dict(line.split("=", 1) for line in unit("Environment"))
    allowed = credentials(shop, REPORT)
    assert set(environ) == {name for name in allowed if name.startswith("STRONGROOM_")}
    done = run(words, environ | allowed)
    assert (done.returncode, done.stdout) == (0, f"shop {len(PASSWORD)} accounts@example.org\n"), done.stderr


def pipeline(shop: DevStack, place: Path, identity: str) -> subprocess.CompletedProcess[str]:
    """Run the job's commands as a runner does, which leaves its files open to every user."""
    environ = JOB["variables"] | credentials(shop, identity)
    for name in ("STRONGROOM_CA", "STRONGROOM_CERT", "STRONGROOM_KEY"):
        environ[name] = shutil.copy(environ[name], place / name)
        Path(environ[name]).chmod(0o666)
    (place / "deploy").write_text('#!/bin/sh\necho "deployed with ${#DEPLOY_TOKEN}"\n')
    (place / "deploy").chmod(0o755)
    return run(["bash", "-e", "-c", "\n".join([*JOB["before_script"], *JOB["script"]])], environ, cwd=place)


def test_the_pipeline_checks_and_deploys(shop: DevStack, tmp_path: Path) -> None:
    done = pipeline(shop, tmp_path, DEPLOY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exists (version 1)" in done.stdout
    assert done.stdout.endswith(f"deployed with {len(TOKEN)}\n")
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("identity", [API, REPORT])
def test_the_pipeline_stops_before_it_deploys_where_policy_denies(
    shop: DevStack, tmp_path: Path, identity: str
) -> None:
    done = pipeline(shop, tmp_path, identity)
    assert done.returncode == 112
    assert "deployed" not in done.stdout

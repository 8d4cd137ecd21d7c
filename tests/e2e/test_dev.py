"""``strongroom dev`` and ``strongroom demo``, as a person uses them."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tree import ROOT


class Dev:
    """A running ``strongroom dev`` and what it printed."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        temporary.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "dev"],
            env={**os.environ, "TMPDIR": str(temporary)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.printed = ""
        while "strongroom run" not in self.printed:
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            self.printed += line

    def children(self) -> dict[str, int]:
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in pids}

    def assert_nothing_is_left(self, children: dict[str, int]) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(_lives(pid) for pid in children.values()):
            time.sleep(0.02)
        assert not [name for name, pid in children.items() if _lives(pid)]
        assert list(self.temporary.iterdir()) == []


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it has ended, or ends while it is looked at
        return False


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    running = Dev(tmp_path / "tmp")
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(dev: Dev, number: signal.Signals) -> None:
    children = dev.children()
    assert {"bao", "weed"} < set(children)
    dev.process.send_signal(number)
    _, err = dev.process.communicate(timeout=100)
    assert dev.process.returncode == 0, err
    dev.assert_nothing_is_left(children)


def test_killing_a_child_ends_it_all_and_leaves_nothing(dev: Dev) -> None:
    children = dev.children()
    os.kill(children["bao"], signal.SIGKILL)
    _, err = dev.process.communicate(timeout=100)
    assert dev.process.returncode != 0
    assert "OpenBao has ended" in err
    dev.assert_nothing_is_left(children)


def test_killing_dev_itself_ends_its_children(dev: Dev) -> None:
    children = dev.children()
    dev.process.kill()
    dev.process.communicate(timeout=100)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(_lives(pid) for pid in children.values()):
        time.sleep(0.02)
    assert not [name for name, pid in children.items() if _lives(pid)]


def test_what_it_prints_can_be_typed(dev: Dev) -> None:
    exports = "\n".join(line for line in dev.printed.splitlines() if line.startswith("export "))
    binaries = Path(sys.executable).parent
    script = f"""
        set -eu
        {exports}
        PATH={shlex.quote(str(binaries))}:$PATH
        printf typed | bao kv put kv/shop/db password=- >/dev/null
        export DB_PASSWORD='bao:kv/shop/db#password'
        strongroom plan -- printenv DB_PASSWORD
        python -c 'import boto3; s3 = boto3.client("s3"); s3.create_bucket(Bucket="typed"); \\
            s3.put_object(Bucket="typed", Key="k", Body=b"x")'
        strongroom run -- printenv DB_PASSWORD
    """
    result = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert re.search(r"DB_PASSWORD +kv/shop/db#password +stop +allowed", result.stdout)
    assert result.stdout.endswith("typed\n")
    assert not [line for line in dev.printed.splitlines() if re.search(r"BAO_TOKEN=[^\"]", line)], "no token in print"


def test_the_demo_keeps_every_claim(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "cli", "demo", "--launches", "3"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for language in ("Python", "Node", "Java", "C", "shell"):
        assert f"✓ {language}: read both secrets" in result.stdout
    assert "status 112" in result.stdout
    assert "status 113" in result.stdout
    assert "✓ one bit is flipped in the store: refused" in result.stdout
    assert "✓ OpenBao was asked once for a key" in result.stdout
    assert re.search(r"(\d+) of \1 claims held", result.stdout)
    assert list(tmp_path.iterdir()) == [], "the demo leaves nothing"

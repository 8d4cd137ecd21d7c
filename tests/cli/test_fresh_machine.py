"""``scripts/fresh-machine`` with a machine of a few programs: what it gives a command, and what it leaves behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundle.roots import NOBODY, copy_with_libraries
from tests.support.process.privileges import is_root
from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT

pytestmark = pytest.mark.skipif(not is_root(), reason="namespaces need root")

PROGRAMS = (
    "/bin/sh", "/usr/bin/env", "/bin/cat", "/bin/sleep", "/usr/bin/stat", "/bin/touch", "/bin/ls", "/bin/umount",
    "/bin/rmdir", "/bin/unshare",
)  # fmt: skip
PLACES = ("proc", "sys", "dev", "run", "tmp", "etc", "root", "usr/local/share", "var/cache/apt/archives")
LIMIT_S = 60


class Machines:
    """A checkout with the script, and a cache that holds a minimal machine.

    Attributes:
        cache: on a tmpfs, since that of the tests may be an overlay.
        checkout: of a user who is not root.
        base: the minimal machine.
    """

    def __init__(self, cache: Path, checkout: Path, tools: Path) -> None:
        self.cache = cache
        self.checkout = checkout
        release = subprocess.run(
            ["sh", "-c", '. /etc/os-release && echo "$VERSION_CODENAME-$(dpkg --print-architecture)"'],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        self.base = cache / release
        self.environ = {"PATH": f"{tools}:{os.environ['PATH']}", "FRESH_MACHINE_CACHE": str(cache)}

    def start(self, *command: str, umask: int = 0o022) -> subprocess.Popen[bytes]:
        script = self.checkout / "scripts/fresh-machine"
        return subprocess.Popen(
            [script, *command], env=self.environ, umask=umask,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *command: str, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
        process = self.start(*command, umask=umask)
        output, errors = process.communicate(timeout=LIMIT_S)
        return subprocess.CompletedProcess(command, process.returncode, output.decode(), errors.decode())

    def leavings(self) -> list[str]:
        """What is in the cache besides what is kept."""
        kept = {"archives", self.base.name, f"{self.base.name}.lock"}
        return sorted(path.name for path in self.cache.iterdir() if path.name not in kept)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    checkout, tools = tmp_path / "checkout", tmp_path / "tools"
    (checkout / "scripts").mkdir(parents=True)
    tools.mkdir()
    for name in ("fresh-machine", "need"):
        shutil.copy(ROOT / "scripts" / name, checkout / "scripts")
    for words in (("init", "-q"), ("add", "."), ("-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="fresh-") as cache:
        made = Machines(Path(cache), checkout, tools)
        tool(made, "apt-get", '. /etc/os-release; echo "$VERSION_CODENAME http://mirror.invalid main"')
        for name in PROGRAMS:
            copy_with_libraries(made.base, name)
        for name in PLACES:
            (made.base / name).mkdir(parents=True, exist_ok=True)
        (made.base / "made").touch()
        yield made


def tool(machines: Machines, name: str, script: str) -> None:
    """Put a program instead of one that would ask the network."""
    path = Path(machines.environ["PATH"].partition(":")[0]) / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def is_running(mark: str) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "cmdline").read_text(errors="replace"):
                return True
        except OSError:  # it has ended
            continue
    return False


def test_the_command_begins_as_on_a_machine_of_its_own(machines: Machines) -> None:
    done = machines.run("sh", "-c", "cat /proc/self/status; stat -c %a / /etc; ls -a; exit 7", umask=0o077)

    assert done.returncode == 7, done.stderr
    fields = dict(line.split(":\t") for line in done.stdout.splitlines() if ":\t" in line)
    assert int(fields["SigIgn"], 16) == 0
    assert "755\n755\n" in done.stdout
    assert "scripts" in done.stdout.splitlines()
    assert machines.leavings() == []


def test_users_of_the_machine_may_make_namespaces_and_nothing_of_the_outside_is_left_there(machines: Machines) -> None:
    done = machines.run("sh", "-c", "unshare --user --map-root-user ls / && cat /proc/self/mountinfo")

    assert done.returncode == 0, done.stderr
    assert "outside" not in done.stdout
    mounts = [line.split(" ") for line in done.stdout.splitlines() if " - " in line]
    assert [mount[mount.index("-") + 1] for mount in mounts if mount[4] == "/"] == ["overlay"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_all_of_it_ends_with_the_script(machines: Machines, number: int) -> None:
    mark = f"86399.{uuid.uuid4().int}"
    process = machines.start("sh", "-c", f"sleep {mark} & echo begun; sleep {mark}")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"

    process.send_signal(number)
    status = process.wait(LIMIT_S)
    process.communicate()

    wait_for(lambda: not is_running(mark), "everything in there to end")
    if number == signal.SIGKILL:  # nobody was there to clean up: the next one does
        assert machines.run("sh", "-c", "exit 3").returncode == 3
    else:
        assert status == 128 + number
    assert machines.leavings() == []


def test_one_in_use_is_left_alone_by_the_next(machines: Machines) -> None:
    first = machines.start("sh", "-c", "echo begun; sleep 86399")
    assert first.stdout is not None
    assert first.stdout.readline() == b"begun\n"

    assert machines.run("sh", "-c", "exit 3").returncode == 3

    assert len(machines.leavings()) == 1
    first.terminate()
    first.communicate(timeout=LIMIT_S)
    assert machines.leavings() == []


def test_packages_are_kept_for_the_next_and_the_lock_on_them_is_not_shared(machines: Machines) -> None:
    archives = "/var/cache/apt/archives"
    machines.run("sh", "-c", f"touch {archives}/lock; echo whole >{archives}/hello_1_all.deb")
    (machines.cache / "archives/partial").mkdir(exist_ok=True)
    (machines.cache / "archives/partial/cut_1_all.deb").write_text("cu")

    done = machines.run("sh", "-c", f"ls {archives}; cat {archives}/hello_1_all.deb")

    assert done.stdout == "hello_1_all.deb\nwhole\n", done.stderr


def test_a_minimal_debian_that_cannot_be_made_leaves_its_log_only(machines: Machines) -> None:
    shutil.rmtree(machines.base)
    tool(machines, "debootstrap", 'mkdir -p "$4/usr" && echo "E: No space left on device" && exit 1')

    done = machines.run("true")

    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "debootstrap failed" in done.stderr
    assert not machines.base.exists()
    assert machines.leavings() == [f"{machines.base.name}.log"]

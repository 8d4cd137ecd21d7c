"""What programs print that fail because of what a launch takes from them is on the page where users look for it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT

pytestmark = pytest.mark.skipif(not is_root(), reason="changing users needs root")

NOBODY = 65_534
SECRET = {"SECRET": "bao:kv/db#key"}
Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def launch(folder: Path) -> Iterator[Launch]:
    """Launches a command with a secret, as a user without privileges."""
    certificates = Certificates(folder)
    for path in (folder / "ours", *(folder / "ours").rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    launches = Launches(certificates)
    with FakeBridge(certificates.server(), bundle({"SECRET": b"value"})) as bridge:

        def run(*command: str, option: str = "--dumpable=0") -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                 *launches.command(command, options=[option])],
                env=launches.environ(bridge.url, SECRET), cwd=ROOT, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip

        yield run


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("exec >/dev/null; sh -c ': >\"/proc/$PPID/fd/1\"'; true", "fd/1: Permission denied"),
        ("unshare -Ur true", "cannot open /proc/self/uid_map: Permission denied"),
        ("echo 5 >/proc/self/oom_score_adj", "/proc/self/oom_score_adj: Permission denied"),
        ("cat /proc/self/io", "/proc/self/io: Permission denied"),
        ("choom -n 5 -- true", "choom: failed to set score adjust value: Permission denied"),
        ("sleep 60 & gdb -batch -p $!; kill $!", "ptrace: Operation not permitted."),
    ],
)
def test_of_a_process_that_is_not_dumpable(launch: Launch, script: str, text: str) -> None:
    page = (ROOT / "docs/operations.md").read_text()
    closed, open_ = launch("sh", "-c", script), launch("sh", "-c", script, option="--dumpable")

    assert text in closed.stderr
    assert f"`/proc/1/{text}`" in page or text in page
    if "gdb" not in script:  # Yama may refuse that as well
        assert text not in open_.stderr


def test_of_an_address_sanitizer_that_is_not_the_first_library(launch: Launch, folder: Path) -> None:
    source, program = folder / "empty.c", folder / "empty"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-fsanitize=address", "-o", program, source], check=True, timeout=60)
    with_options = ["env", "ASAN_OPTIONS=verify_asan_link_order=0", str(program)]
    text = "ASan runtime does not come first in initial library list"

    assert text in launch(str(program)).stderr
    assert f"`{text}`" in (ROOT / "docs/operations.md").read_text()
    # The ways out on that page. The runtime reads its options from /proc/self/environ, which is root's.
    assert text in launch(*with_options).stderr
    assert launch(*with_options, option="--dumpable").returncode == 0
    subprocess.run(["gcc", "-fsanitize=address", "-static-libasan", "-o", program, source], check=True, timeout=60)
    assert launch(str(program)).returncode == 0

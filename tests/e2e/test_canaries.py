"""A whole run with planted values, and then a search of everything that anybody else could look at."""

import base64
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from devstack.stack import DevStack
from tests.support.launch.launcher import Launcher

CANARIES = {
    "plain": "canary-plain-91f4c0",
    "json": 'canary-json-"quoted"-7ab2',
    "denied": "canary-denied-0c55d1",
    "binary": "canary-binary-33e8",
    "large": "canary-large-" + "z" * 150_000,
    "path": "canary-path-f00d42",
    "file": "canary-file-5d0e17\n" + "y" * 100_000,
    "decoded": "canary-decoded-c4a9",
    "placed": "canary-placed-8e31b",
}
# Enough of each to find it in whatever encoding it might have leaked.
NEEDLES = [value[:17].encode() for value in CANARIES.values()]


@pytest.fixture
def memory() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="strongroom-test-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def test_no_value_leaves_memory_in_a_whole_run(tmp_path: Path, memory: Path) -> None:
    seen: list[tuple[str, bytes]] = []
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with DevStack(tmp_path / "stack") as stack:
        admin = stack.openbao.admin
        data: dict[str, object] = {name: value for name, value in CANARIES.items() if name not in {"denied", "path"}}
        decoded = base64.b64encode(CANARIES["decoded"].encode()).decode()
        admin.put_v2("kv", "shop/canary", {**data, "binary": CANARIES["binary"] + "\0", "decoded": decoded})
        admin.put_v2("kv", "shop/env", {"FROM_PATH": CANARIES["path"]})
        admin.put_v2("kv", "finance/canary", {"k": CANARIES["denied"]})
        launcher = Launcher(stack, {"TMPDIR": str(temporary)})

        references = {
            "A": "bao:kv/shop/canary#plain",
            "B": "x${bao:kv/shop/canary#json}y",
            "C": "bao:kv/shop/canary#large",
            "F": "file:bao:kv/shop/canary#file",
            "G": "file(decode=base64):x${bao:kv/shop/canary#decoded}y",
            "H": f"file(path={memory}/placed):bao:kv/shop/canary#placed",
            "STRONGROOM_FROM_PATH": "bao:kv/shop/env",
        }
        program = (
            "import os,sys; assert all('canary' in open(os.environ[name]).read() for name in 'FGH');"
            "print(len(os.environ['A'] + os.environ['C']), flush=True); sys.stdin.read()"
        )
        running = launcher.start(references, "python3", "-c", program)
        assert running.stdout is not None
        assert running.stdout.readline() == f"{len(CANARIES['plain'] + CANARIES['large'])}\n"
        seen += _look_at_processes()
        _, err = running.communicate(timeout=30)
        seen.append(("stderr of a launch that worked", err.encode()))

        for name, reference in (
            ("denied", "bao:kv/finance/canary#k"),
            ("binary", "bao:kv/shop/canary#binary"),
            ("missing", "bao:kv/shop/canary#nothing"),
            ("malformed", "file(decode=base64):bao:kv/shop/canary#plain"),
        ):
            good = {"A": "bao:kv/shop/canary#plain", "F": f"file(path={memory}/failed):bao:kv/shop/canary#file"}
            result = launcher.run(good | {"B": reference}, "true")
            assert result.returncode != 0
            seen.append((f"output of a launch with a {name} secret", (result.stdout + result.stderr).encode()))
        crash = launcher.run(references, "sh", "-c", f"cd {temporary}; kill -ABRT $$")
        assert crash.returncode == -6
        with urlopen(f"http://{stack.bridge.health_address}/metrics") as answer:
            seen.append(("metrics", answer.read()))
        files = [path for path in (tmp_path / "stack").rglob("*") if path.is_file()]
        assert any(path.name == "audit.jsonl" for path in files)
        seen += [(str(path.relative_to(tmp_path)), path.read_bytes()) for path in files]
    seen += [(str(path), path.read_bytes()) for path in temporary.rglob("*") if path.is_file()]
    assert [path.name for path in memory.iterdir()] == ["placed"], "only where it was asked for"
    found = [(where, needle) for where, content in seen for needle in NEEDLES if needle in content]
    assert not found
    assert len(seen) > 15, "the search must have looked somewhere"


def _look_at_processes() -> list[tuple[str, bytes]]:
    """Return what /proc shows of every process: environ, command line, names of mapped files, and its own name."""
    shown = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline", "maps", "comm"):
            try:
                shown.append((str(process / name), (process / name).read_bytes()))
            except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended, or nobody may look at it
                continue
    return shown


def test_the_search_would_find_a_leak() -> None:
    process = subprocess.Popen(["sleep", "30"], env={"LEAK": CANARIES["plain"], "PATH": os.environ["PATH"]})
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            shown = dict(_look_at_processes())
            if any(NEEDLES[0] in content for content in shown.values()):
                return
        pytest.fail("the canary in an ordinary environment was not found")
    finally:
        process.kill()
        process.wait()

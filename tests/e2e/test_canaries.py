"""A whole run with planted values, and then a search of everything that anybody else could look at."""

import os
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from cli.dev.stack import DevStack
from tests.support.launcher import Launcher

CANARIES = {
    "plain": "canary-plain-91f4c0",
    "json": 'canary-json-"quoted"-7ab2',
    "denied": "canary-denied-0c55d1",
    "binary": "canary-binary-33e8",
    "large": "canary-large-" + "z" * 150_000,
    "path": "canary-path-f00d42",
}
# Enough of each to find it in whatever encoding it might have leaked.
NEEDLES = [value[:17].encode() for value in CANARIES.values()]


def test_no_value_leaves_memory_in_a_whole_run(tmp_path: Path) -> None:
    seen: list[tuple[str, bytes]] = []
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with DevStack(tmp_path / "stack") as stack:
        admin = stack.openbao.admin
        data: dict[str, object] = {name: value for name, value in CANARIES.items() if name not in {"denied", "path"}}
        admin.put_v2("kv", "shop/canary", {**data, "binary": CANARIES["binary"] + "\0"})
        admin.put_v2("kv", "shop/env", {"FROM_PATH": CANARIES["path"]})
        admin.put_v2("kv", "finance/canary", {"k": CANARIES["denied"]})
        launcher = Launcher(stack, {"TMPDIR": str(temporary)})

        references = {
            "A": "bao:kv/shop/canary#plain",
            "B": "x${bao:kv/shop/canary#json}y",
            "C": "bao:kv/shop/canary#large",
            "STRONGROOM_FROM_PATH": "bao:kv/shop/env",
        }
        program = "import os,sys; print(len(os.environ['A'] + os.environ['C']), flush=True); sys.stdin.read()"
        running = launcher.start(references, "python3", "-c", program)
        assert running.stdout is not None
        assert running.stdout.readline() == f"{len(CANARIES['plain'] + CANARIES['large'])}\n"
        seen += _look_at_processes({stack.bridge.pid, stack.openbao.pid, running.pid})
        _, err = running.communicate(timeout=30)
        seen.append(("stderr of a launch that worked", err.encode()))

        for name, reference in (
            ("denied", "bao:kv/finance/canary#k"),
            ("binary", "bao:kv/shop/canary#binary"),
            ("missing", "bao:kv/shop/canary#nothing"),
        ):
            result = launcher.run({"A": "bao:kv/shop/canary#plain", "B": reference}, "true")
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
    found = [(where, needle) for where, content in seen for needle in NEEDLES if needle in content]
    assert not found
    assert len(seen) > 15, "the search must have looked somewhere"


def _look_at_processes(pids: set[int]) -> list[tuple[str, bytes]]:
    """Return what /proc shows of some processes: environ, command line, and every mapped file's name."""
    return [
        (f"/proc/{pid}/{name}", Path(f"/proc/{pid}/{name}").read_bytes())
        for pid in pids
        for name in ("environ", "cmdline", "maps", "comm")
    ]


def test_the_search_would_find_a_leak() -> None:
    process = subprocess.Popen(["sleep", "30"], env={"LEAK": CANARIES["plain"], "PATH": os.environ["PATH"]})
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            shown = dict(_look_at_processes({process.pid}))
            if any(NEEDLES[0] in content for content in shown.values()):
                return
        pytest.fail("the canary in an ordinary environment was not found")
    finally:
        process.kill()
        process.wait()

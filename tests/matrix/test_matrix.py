"""Which programs see their secrets, and what they and their children show: ``docs/compatibility.md`` is made from this.

Each cell is observed on a running program under the real wrapper, bridge and OpenBao. Run with
``UPDATE_COMPATIBILITY=1`` to write the page anew.
"""

import os
import re
import secrets
import socket
import subprocess
import time
from pathlib import Path

import pytest

from devstack.stack import DevStack
from tests.matrix.programs import NGINX, PROGRAMS, Program, missing_tool
from tests.support.launch.launcher import Launcher
from tests.support.tree import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
HEAD = ("program", "value seen", "own environ clean", "child sees it", "child's environ clean", "rung")

_rows: dict[str, tuple[str, ...]] = {}


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("matrix")
    subprocess.run(["gcc", "-O1", "-o", directory / "child", ROOT / "tests/matrix/child.c"], check=True)
    directory.chmod(0o755)
    return directory / "child"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_program(program: Program, launcher: Launcher, stack: DevStack, child: Path) -> None:
    if missing_tool(program):
        assert program.tool == "rustc", f"{program.tool} must be installed; see scripts/need"
        pytest.skip("rustc is not installed: Rust is tested where it is")
    value = secrets.token_hex(12)
    stack.openbao.admin.put_v2("kv", "shop/matrix", {"k": value})
    command = program.build(child.parent)
    process = launcher.start({"SECRET": "bao:kv/shop/matrix#k"}, *command, str(child))
    try:
        said = _read(process)
        environ = Path(f"/proc/{process.pid}/environ").read_bytes()
    finally:
        _, err = process.communicate(timeout=60)
    rung = re.search(r"memory by (\w+)", err)
    row = (
        _mark(said.get("VALUE") == value),
        _mark(value.encode() not in environ and b"SECRET=\0" in environ),
        _mark(said.get("CHILD") == value),
        _mark(said.get("CHILD_ENVIRON") == "clean"),
        rung.group(1) if rung else "none",
    )
    _rows[program.name] = row
    assert row == ("yes", "yes", "yes", "yes", program.rung), err


def test_nginx(launcher: Launcher, stack: DevStack, tmp_path: Path) -> None:
    value = secrets.token_hex(12)
    stack.openbao.admin.put_v2("kv", "shop/matrix", {"k": value})
    (tmp_path / "nginx.conf").write_text(NGINX.format(directory=tmp_path))
    process = launcher.start(
        {"SECRET": "bao:kv/shop/matrix#k"}, "/usr/sbin/nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")
    )
    try:
        answer = _ask(tmp_path / "nginx.sock")
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        shown = [Path(f"/proc/{pid}/environ").read_bytes() for pid in (process.pid, worker)]
    finally:
        process.terminate()
        _, err = process.communicate(timeout=60)
    clean = [_mark(value.encode() not in environ) for environ in shown]
    seen = _mark(answer.endswith(f"\r\n\r\n{value}"))  # it is the worker that answers
    _rows["nginx (worker as child)"] = row = (seen, clean[0], seen, clean[1], "preload")
    assert row == ("yes", "yes", "yes", "yes", "preload"), err
    assert "memory by preload" in err


def _ask(path: Path) -> str:
    """Make one request on a socket that may not be there yet."""
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(path))
            except OSError:
                assert time.monotonic() < deadline, "nginx does not listen"
                time.sleep(0.01)
                continue
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with connection.makefile() as answer:
                return answer.read().replace("\n", "\r\n")


def _mark(holds: bool) -> str:  # noqa: FBT001 - a cell
    return "yes" if holds else "NO"


def _read(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stdout is not None
    said: dict[str, str] = {}
    while "CHILD_ENVIRON" not in said:
        line = process.stdout.readline()
        if not line:
            break
        name, _, value = line.rstrip("\n").partition("=")
        said[name] = value
    return said


def test_the_page_says_what_was_observed() -> None:
    assert _rows, "this test needs the ones before it"
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    table, _, after = rest.partition(END)
    documented = {
        cells[0]: tuple(cells[1:])
        for cells in ([cell.strip() for cell in line.strip("|\n ").split("|")] for line in table.splitlines()[2:])
    }
    if os.environ.get("UPDATE_COMPATIBILITY"):
        documented |= _rows
        names = [*(program.name for program in PROGRAMS), "nginx (worker as child)"]
        ordered = [(name, *documented[name]) for name in names if name in documented]
        lines = [" | ".join(row) for row in (HEAD, ("---",) * len(HEAD), *ordered)]
        PAGE.write_text(before + BEGIN + "".join(f"| {line} |\n" for line in lines) + END + after)
        return
    assert {name: documented.get(name) for name in _rows} == _rows

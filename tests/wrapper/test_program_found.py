"""Where a command is found: where shells and execvp find it, or with a line that says why not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.errors import StrongroomError
from tests.wrapper.scripts import write
from wrapper.exit_status import CANNOT_EXEC, NOT_ON_PATH, status_of
from wrapper.program import DYNAMIC, CannotExecError, NotOnPathError, find_program

# Each case: files by place (with mode), the PATH, the name.
FILES: dict[str, int | None] = {
    "one/tool": 0o755,
    "two/tool": 0o755,
    "closed/tool": 0o644,
    "closed/only": 0o644,
    "folder/tool/": None,
    "folder/dir/": None,
    "two/late": 0o755,
    "here": 0o755,
}
CASES = [
    ("one:two", "tool"),
    ("two:one", "tool"),
    ("missing:two", "tool"),
    ("closed:two", "tool"),
    ("folder:two", "tool"),
    ("closed", "only"),
    ("closed:one", "only"),
    ("folder", "dir"),
    ("one:two", "late"),
    ("one:two", "nothing"),
    (":one", "here"),
    ("one:", "here"),
    ("one::two", "here"),
    ("one:two", "here"),
    ("one", "./here"),
    ("one", "two/late"),
    ("one", "two/missing"),
    ("one", "closed/only"),
    ("one", "folder/dir"),
    ("one", "folder/dir/"),
    ("one", "here/x"),
    ("one", "/missing"),
    ("one/", "tool"),
    ("~:$HOME:two", "tool"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("path")
    for place, mode in FILES.items():
        if mode is None:
            (root / place).mkdir(parents=True)
        else:
            write(root / place, mode=mode)
    return root


def absolute(path: str, folder: Path) -> str:
    return ":".join(str(folder / part) if part and part[0] not in "~$" else part for part in path.split(":"))


@pytest.mark.parametrize(("path", "name"), CASES)
def test_a_command_is_found_where_shells_find_it(
    folder: Path, path: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    environ = {"PATH": absolute(path, folder)}
    # Two shells, because they disagree about 126 and 127 for a file on PATH that is not executable, and for ENOTDIR.
    shells = [
        subprocess.run([shell, "-c", name], env=environ, capture_output=True, text=True, check=False, timeout=60)
        for shell in ("/bin/dash", "/bin/bash")
    ]

    assert status_or_place(name, environ) in [
        str(Path(shell.stdout.strip()).resolve()) if shell.returncode == 0 else shell.returncode for shell in shells
    ]


def status_or_place(name: str, environ: dict[str, str]) -> int | str:
    try:
        return str(Path(find_program([name], environ).path).resolve())
    except StrongroomError as error:
        return status_of(error)


# A directory on PATH is "permission denied" to execvp(3) and "not found" to shells, which we follow.
@pytest.mark.parametrize(("path", "name"), [case for case in CASES if case != ("folder", "dir")])
def test_a_command_is_found_where_execvp_finds_it(
    folder: Path, path: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", absolute(path, folder))
    libc_execvp = (
        "import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True); name = os.fsencode(sys.argv[1]);"
        "libc.execvp(name, (ctypes.c_char_p * 2)(name, None)); sys.exit(100 + ctypes.get_errno())"
    )
    done = subprocess.run(
        [sys.executable, "-c", libc_execvp, name], capture_output=True, text=True, check=False, timeout=60
    )

    try:
        found = find_program([name], os.environ)
    except NotOnPathError:
        assert done.returncode in {100 + 2, 100 + 20}  # ENOENT, ENOTDIR
    except CannotExecError:
        assert done.returncode == 100 + 13  # EACCES
    else:
        assert done.returncode == 0
        assert Path(found.path).resolve() == Path(done.stdout.strip()).resolve()


def test_without_path_the_usual_places_are_searched() -> None:
    assert find_program(["sh"], {}).path in {"/usr/bin/sh", "/bin/sh"}


@pytest.mark.parametrize("name", ["", "no-such-command-anywhere"])
def test_a_command_that_is_nowhere_is_not_on_path(name: str) -> None:
    with pytest.raises(NotOnPathError) as caught:
        find_program([name], {"PATH": "/usr/bin:/bin"})

    assert status_of(caught.value) == NOT_ON_PATH
    assert "/usr/bin:/bin" in caught.value.hint


def test_a_file_that_is_no_program_cannot_be_executed_and_the_line_says_why(folder: Path) -> None:
    with pytest.raises(CannotExecError, match="closed/only: permission denied") as caught:
        find_program([str(folder / "closed/only")], {})
    assert status_of(caught.value) == CANNOT_EXEC

    with pytest.raises(CannotExecError, match="is a directory"):
        find_program([str(folder)], {})


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tool", 0o755)

    with pytest.raises((NotOnPathError, CannotExecError)):
        find_program(["tool"], {"PATH": str(tmp_path)})
    with pytest.raises((NotOnPathError, CannotExecError)):
        find_program([str(tmp_path / "tool")], {})


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/bin/sh")
    (tmp_path / "broken").symlink_to("/missing")

    assert find_program(["link"], {"PATH": str(tmp_path)}).linkage == DYNAMIC
    with pytest.raises(NotOnPathError):
        find_program(["broken"], {"PATH": str(tmp_path)})

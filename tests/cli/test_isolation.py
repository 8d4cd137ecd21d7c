"""The application's own Python modules and settings do not act on Strongroom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a directory with modules and packages that carry the names of ours and of the standard library."""
    for name in ("cli", "wrapper", "bridge", "preload"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong module was imported')\n")
        (tmp_path / name / "main.py").write_text("raise SystemExit('the wrong module was imported')\n")
    for name in ("resource", "json", "ssl", "fcntl", "ctypes"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module was imported')\n")
    return tmp_path


def run(command: list[str], directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run(command, env=base, cwd=directory, capture_output=True, text=True, check=False)


def test_modules_on_pythonpath_are_not_imported(hostile: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("strongroom")), "run", "--", "printenv", "PYTHONPATH"]
    result = run(command, tmp_path, PYTHONPATH=str(hostile))
    assert result.stdout == f"{hostile}\n", "the application still has its own setting; " + result.stderr


def test_modules_in_the_current_directory_are_not_imported(hostile: Path) -> None:
    command = [str(Path(sys.executable).with_name("strongroom")), "run", "--", "echo", "started"]
    result = run(command, hostile)
    assert result.stdout == "started\n", result.stderr


def test_python_dash_m_imports_no_more_than_the_package_itself_from_the_current_directory(hostile: Path) -> None:
    for name in ("cli", "wrapper", "preload", "bridge"):
        (hostile / name / "__init__.py").unlink()
        (hostile / name / "main.py").unlink()
        (hostile / name).rmdir()
    result = run([sys.executable, "-m", "wrapper", "--", "echo", "started"], hostile)
    assert result.stdout == "started\n", result.stderr

"""Modules of a launch are imported by fewer steps than Python's, where all is as it should be; else by Python."""

import os
import py_compile
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tree import ROOT

PROGRAM = """
import sys
root, home, name = sys.argv[1:]
sys.path.append(root)
from strongroom.quick_import import QuickImport
del sys.modules["strongroom"], sys.path[-1]
sys.path.append(home)
sys.meta_path.insert(0, QuickImport(home))
module = __import__(name, fromlist=["value"])
print(type(module.__loader__).__name__, module.value, module.__file__, *getattr(module, "__path__", ()))
"""
TIME = 1_600_000_000

CHECKED = py_compile.PycInvalidationMode.CHECKED_HASH
BY_TIME = py_compile.PycInvalidationMode.TIMESTAMP


def imported(home: Path, name: str) -> list[str]:
    """Return who loaded a module, what it says, and where it and its package are."""
    command = [sys.executable, "-ISB", "-c", PROGRAM, str(ROOT), str(home), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.split()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for package in ("wrapper", "wrapper/fetch", "others"):
        (tmp_path / package).mkdir()
        write(tmp_path / package / "__init__.py", "value = 'package'")
        write(tmp_path / package / "module.py", "value = 'first!'")
    return tmp_path


def write(path: Path, text: str, time: int = TIME) -> None:
    path.write_text(text)
    os.utime(path, (time, time))


def compiled(path: Path, mode: py_compile.PycInvalidationMode = BY_TIME) -> Path:
    return Path(py_compile.compile(str(path), doraise=True, invalidation_mode=mode) or "")


def test_a_module_with_its_bytecode(home: Path) -> None:
    compiled(home / "wrapper/__init__.py")
    compiled(home / "wrapper/fetch/__init__.py")
    compiled(home / "wrapper/fetch/module.py")

    assert imported(home, "wrapper.fetch.module") == ["QuickImport", "first!", f"{home}/wrapper/fetch/module.py"]
    found = ["QuickImport", "package", f"{home}/wrapper/fetch/__init__.py", f"{home}/wrapper/fetch"]
    assert imported(home, "wrapper.fetch") == found


def test_one_that_is_not_ours(home: Path) -> None:
    compiled(home / "others/module.py")

    assert imported(home, "others.module")[:2] == ["SourceFileLoader", "first!"]


def newer(source: Path) -> None:
    compiled(source)
    write(source, "value = 'second'", TIME + 1)


def longer(source: Path) -> None:
    compiled(source)
    write(source, "value = 'second' ")


def without_bytecode(source: Path) -> None:
    write(source, "value = 'second'")


def by_hash(source: Path) -> None:
    write(source, "value = 'second'")
    compiled(source, CHECKED)


def of_another_python(source: Path) -> None:
    cached = compiled(source)
    write(source, "value = 'second'")
    cached.write_bytes(b"\0\0\r\n" + cached.read_bytes()[4:])


def cut(source: Path) -> None:
    write(source, "value = 'second'")
    cached = compiled(source)
    cached.write_bytes(cached.read_bytes()[:12])


@pytest.mark.parametrize("change", [newer, longer, without_bytecode, by_hash, of_another_python, cut])
def test_one_whose_bytecode_is_not_that_of_its_source_is_left_to_python(
    home: Path, change: Callable[[Path], None]
) -> None:
    change(home / "wrapper/module.py")

    assert imported(home, "wrapper.module")[:2] == ["SourceFileLoader", "second"]


def test_one_that_is_not_there(home: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        imported(home, "wrapper.missing")
    assert "ModuleNotFoundError: No module named 'wrapper.missing'" in caught.value.stderr

"""Whose interpreter a bundle gets, and how it is said."""

import json
import os
import sys
from pathlib import Path

import pytest

from bundle import interpreter
from bundle.interpreter import Interpreter, choose
from bundle.manifest import PYTHON
from strongroom.errors import ConfigError
from tests.bundle.conftest import Made, make_bundle

OWN = Path("/proc/self/exe").resolve()


@pytest.fixture(autouse=True)
def _unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON, raising=False)


def test_what_is_taken_is_named_and_is_what_runs(made: Made) -> None:
    *_, last = made.output.splitlines()
    program, _, version = last.removeprefix("bin/python3: ").partition(", ")
    assert json.loads((made.directory / "manifest.json").read_text())["python"] == version
    chosen = choose()
    assert (str(chosen.program), chosen.version) == (program, version)


def test_the_one_that_is_asked_for_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON, sys.executable)
    assert choose().program == OWN
    result = make_bundle(tmp_path / "bundle")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"bin/python3: {OWN}, {sys.version.split()[0]}"


@pytest.mark.parametrize("kind", ["missing", "no program", "no python", "a talker", "a python that is not complete"])
def test_one_that_is_asked_for_and_cannot_be_bundled_stops_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    content = {
        "no program": b"no",
        "no python": b"#!/bin/sh\n",
        "a talker": b"#!/bin/sh\nprintf '\\377'\n",
        "a python that is not complete": b"#!/bin/sh\necho 'No module named ssl' >&2\nexit 1\n",
    }
    if kind in content:
        program.write_bytes(content[kind])
        program.chmod(0o755)
    monkeypatch.setenv(PYTHON, str(program))
    with pytest.raises(ConfigError, match="cannot be bundled") as caught:
        choose()
    assert str(program) in caught.value.message
    result = make_bundle(tmp_path / "bundle")
    assert result.returncode == 111
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("own_is", "other_is", "taken"),
    [
        ("optimized whole", "whole", "own"),
        ("optimized", "whole", "other"),
        ("whole", "whole", "other"),
        ("", "whole", "other"),
        ("", "optimized", "own"),
        ("", "incomplete", "own"),
        ("", "missing", "own"),
    ],
)
def test_the_distributions_is_taken_where_ours_is_not_a_fast_build(
    own_is: str, other_is: str, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(command: str) -> Interpreter:
        kind = own_is if command == sys.executable else other_is
        if kind == "incomplete":
            raise ConfigError("no ssl")
        program = Path("/own" if command == sys.executable else "/other")
        return Interpreter(command, program, is_optimized="optimized" in kind)

    def needed(program: Path) -> tuple[str, ...]:
        kind = own_is if program == Path("/own") else other_is
        return ("libc.so.6",) if "whole" in kind else ("libpython3.11.so.1.0", "libc.so.6")

    monkeypatch.setattr(interpreter, "_look", look)
    monkeypatch.setattr(interpreter, "needed_by", needed)
    monkeypatch.setattr(interpreter, "_is_trusted", lambda _: other_is != "missing")
    assert choose().program == Path(f"/{taken}")


def test_what_an_interpreter_is_is_seen_in_itself() -> None:
    seen = interpreter._look(sys.executable)
    assert (seen.program, seen.version) == (OWN, sys.version.split()[0])
    mapped = Path("/proc/self/maps").read_text()
    assert seen.is_whole is ("libpython" not in mapped)


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_one_that_others_may_write_is_not_even_started(mode: int, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.touch(0o755)
    assert interpreter._is_trusted(program) is (os.geteuid() == 0)
    program.chmod(mode)
    assert not interpreter._is_trusted(program)
    assert not interpreter._is_trusted(tmp_path / "none")

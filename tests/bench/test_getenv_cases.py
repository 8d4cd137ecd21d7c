"""The processes that getenv() is measured in, where something is missing."""

import errno
import shutil
from pathlib import Path

import pytest

from bench import getenv
from bench.suite import Run
from strongroom.errors import ConfigError
from tests.bench.runs import result


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(directory=tmp_path, cache=tmp_path, quick=True, result=result(), tell=lambda *_: None)


@pytest.fixture
def _no_musl(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "musl-gcc" else found(name))


@pytest.mark.usefixtures("_no_musl")
def test_musl_is_left_out_where_its_compiler_is_missing(run: Run, tmp_path: Path) -> None:
    cases = getenv.make_cases(tmp_path, run.leave_out)

    assert {case.libc for case in cases.values()} == {"glibc"}
    assert run.result.left_out == ["musl"]


@pytest.mark.usefixtures("_no_musl")
def test_without_leave_to_leave_it_out_a_missing_compiler_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="musl-gcc"):
        getenv.make_cases(tmp_path)


def test_reading_secret_memory_is_left_out_where_there_is_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(getenv, "memfd_secret", refuse)

    getenv._measure_memory(run, getenv.make_cases(tmp_path)["glibc", False, getenv.TYPICAL])

    assert run.result.left_out == ["memfd_secret"]
    assert run.result.claims == []


def test_the_region_is_ordinary_memory_where_there_is_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("strongroom.linux.memfd_secret", refuse)
    case = getenv.make_cases(tmp_path)["glibc", True, 10]

    assert len(case.nanoseconds("hit", threads=1, calls=10, samples=2)) == 2

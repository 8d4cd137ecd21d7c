"""Measures what this process runs; imported by a .pth at the start of every interpreter, while scripts/coverage runs.

The environment is left as it is: what is launched is given it, and tests look at it.
"""

import contextlib
import os
from collections.abc import Callable
from typing import Any, Final

import coverage

from tests.support.tree import ROOT

_ASKED: Final = {"COVERAGE_PROCESS_START": "pyproject.toml", "COVERAGE_FILE": "build/coverage/data"}


def _saved_before(leave: Callable[..., Any], measured: coverage.Coverage) -> Callable[..., Any]:
    def save_and_leave(*arguments: object) -> Any:  # noqa: ANN401 - what it was
        with contextlib.suppress(Exception):
            measured.save()
        return leave(*arguments)

    return save_and_leave


def _begin() -> None:
    os.environ |= {name: str(ROOT / path) for name, path in _ASKED.items()}  # wherever this process works
    measured = coverage.process_startup(slug="strongroom")
    for name in _ASKED:
        del os.environ[name]
    if measured is not None:
        for name in ("_exit", "execv", "execve"):
            setattr(os, name, _saved_before(getattr(os, name), measured))


_begin()

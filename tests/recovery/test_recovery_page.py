"""docs/recovery.md has no drill that is not done, each has its parts, and no command makes anything worse."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.page import Step, steps_of
from tests.recovery.reader import COMMANDS, PAGE
from tests.recovery.stand import BACKUP
from tests.support.tree import ROOT

FAULT = "# makes the fault: on a stand of your own only\n"
SEEN, CURE, OVER = "**What you see", "**What to do.**", "**It is over when**"
# Each writes down that it was called, and the one whose turn it is fails; what only reads is not counted.
_PROGRAMS = ("bao", "client", "cp", "install", "ln", "openssl", "rm", "sed", "store", "strongroom")
_READERS = ("cat", "date", "wc")
_STAND_IN = """#!/bin/sh
case "$*" in *-field=*) exit ;; esac
echo "${0##*/}" >>"$ASKED"
[ "$(wc -l <"$ASKED")" != "$FAILS" ]
"""
DRILLS = sorted({step.section for step in steps_of(PAGE.read_text())} - {COMMANDS, BACKUP})


def test_every_drill_on_the_page_is_done_by_a_test() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/recovery").glob("test_*_drills.py"))
    done = re.findall(r'\.drill\("([^"]+)"\)', tests)
    assert len(done) > 8
    assert sorted(done) == DRILLS


@pytest.mark.parametrize("drill", DRILLS)
def test_a_drill_says_what_is_seen_what_to_do_and_when_it_is_over(drill: str) -> None:
    text = section(drill)
    for part in (SEEN, "**Do not**", CURE, OVER):
        assert part in text, part
    assert steps_of(text)[-1].expected


@pytest.mark.parametrize("drill", DRILLS)
def test_what_makes_a_fault_says_so_and_nothing_else_does(drill: str) -> None:
    fault, _, rest = section(drill).partition(SEEN)
    assert [step.commands.startswith(FAULT) for step in steps_of(fault)] == [True] * fault.count("```sh")
    assert FAULT not in rest


@pytest.mark.parametrize("part", [BACKUP, *DRILLS])
def test_nothing_is_done_behind_a_step_that_failed(part: str, tmp_path: Path) -> None:
    for name in _PROGRAMS:
        (tmp_path / name).write_text(_STAND_IN)
        (tmp_path / name).chmod(0o755)
    for name in _READERS:
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    text = section(part)
    steps = steps_of(text if part == BACKUP else text.partition(CURE)[2].partition(OVER)[0])
    assert steps
    for step in steps:
        well, calls = called(step, tmp_path, fails=0)
        assert well, step.commands
        assert calls > 0
        for number in range(1, calls + 1):
            assert called(step, tmp_path, fails=number) == (False, number), step.commands


def section(heading: str) -> str:
    return PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def called(step: Step, programs: Path, *, fails: int) -> tuple[bool, int]:
    """Return whether a step ended well, and how many commands were called in it, of which one fails (0: none)."""
    asked = programs / "asked"
    asked.write_text("")
    result = subprocess.run(
        ["/bin/bash", "-c", step.commands.replace("/root/strongroom-ca", str(programs))],
        env={"PATH": str(programs), "ASKED": str(asked), "FAILS": str(fails)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    return result.returncode == 0, len(asked.read_text().splitlines())

"""docs/recovery.md has no drill that is not done, and each has its parts."""

import re

import pytest

from tests.install.page import steps_of
from tests.recovery.reader import COMMANDS, PAGE
from tests.recovery.stand import BACKUP
from tests.support.launches import ROOT

DRILLS = sorted({step.section for step in steps_of(PAGE.read_text())} - {COMMANDS, BACKUP})


def test_every_drill_on_the_page_is_done_by_a_test() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/recovery").glob("test_*_drills.py"))
    done = re.findall(r'\.drill\("([^"]+)"\)', tests)
    assert len(done) > 8
    assert sorted(done) == DRILLS


@pytest.mark.parametrize("drill", DRILLS)
def test_a_drill_says_what_is_seen_what_to_do_and_when_it_is_over(drill: str) -> None:
    text = PAGE.read_text().partition(f"\n## {drill}\n")[2].partition("\n## ")[0]
    for part in ("**What you see", "**Do not**", "**What to do.**", "**It is over when**"):
        assert part in text, part
    assert steps_of(f"## {drill}\n{text}")[-1].expected

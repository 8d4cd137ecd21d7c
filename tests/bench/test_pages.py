"""What the pages say of costs is what the committed run measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.main import PAGES
from bench.pages import aims, costs, replaced
from bench.result import Claim, Result, parse_result
from bench.samples import Estimate
from strongroom.errors import ConfigError
from tests.bench.runs import result
from tests.support.tree import ROOT

FULL = ROOT / "bench" / "results" / "full" / "result.json"


@pytest.fixture(scope="module")
def full() -> Result:
    return parse_result(FULL.read_text(), str(FULL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_say_what_the_full_run_measured(full: Result, page: Path) -> None:
    name, make = PAGES[page]

    # strongroom bench report bench/results/full/result.json --pages
    assert page.read_text() == replaced(page.read_text(), name, make(full), str(page))


def test_the_table_of_costs_follows_the_run(full: Result) -> None:
    claims = [
        replace(claim, value=Estimate(0.123)) if claim.name == "getenv/hit/40 variables/strongroom:glibc" else claim
        for claim in full.claims
    ]

    assert "| 0.12 of glibc's time |" in costs(replace(full, claims=claims))


def test_a_run_that_lacks_something_makes_no_table(full: Result) -> None:
    claims = [claim for claim in full.claims if not claim.name.startswith("getenv/")]

    with pytest.raises(ConfigError, match="lacks what the table shows"):
        costs(replace(full, claims=claims))


def test_missed_aims_are_told_with_their_margins() -> None:
    made = [
        Claim(name="made-up/met", value=Estimate(1.0), unit="ratio", better="lower", aim=2.0),
        Claim(name="made-up/slow", value=Estimate(3.0, 2.5, 3.5), unit="ratio", better="lower", aim=2.0),
        Claim(name="made-up/narrow", value=Estimate(0.6, 0.5, 0.9), unit="ratio", better="higher", aim=0.8),
        Claim(name="made-up/no promise", value=Estimate(9.0), unit="ratio", better="lower"),
    ]

    text = aims(result(*made))

    assert "1 of 3 aims met" in text
    assert "| made-up/slow | 3 x | ≤ 2 x | 50% |" in text
    assert "| made-up/narrow | 0.6 x | ≥ 0.8 x | 25%, undecided |" in text
    assert "made-up/met" not in text
    assert "no promise" not in text


@pytest.mark.parametrize("text", ["", "<!-- costs: begin -->\n", "<!-- costs: end -->\n<!-- costs: begin -->\n"])
def test_a_page_without_both_marks_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"page\.md: has no place for costs"):
        replaced(text, "costs", "lines\n", "page.md")

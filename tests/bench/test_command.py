"""``strongroom bench`` as people and CI use it, and the gate on instructions against the baseline of the repository."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gate import compare, parse_waivers
from bench.getenv import NAME, count_instructions, make_cases
from bench.main import WAIVERS
from bench.result import Claim, parse_result
from bench.samples import Estimate
from bench.suite import Run
from tests.bench.runs import count, result
from tests.support.tree import ROOT

pytestmark = pytest.mark.early

BASELINE = ROOT / "bench" / "baselines" / "quick.json"
FORMS = {
    "claims.csv",
    "figures.csv",
    "history.jsonl",
    "metrics.prom",
    "report.html",
    "result.json",
    "samples.csv",
}


def bench(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "bench", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_list_names_every_suite() -> None:
    names = [line.split()[0] for line in bench("list").stdout.splitlines()]

    assert names == ["per-object", "pod-start", "getenv", "bridge", "scale"]


def test_unknown_suites_are_refused_before_anything_is_measured() -> None:
    done = bench("run", "nonsense")

    assert done.returncode != 0
    assert done.stderr.startswith("strongroom: error: nonsense: no such suite\n")


@pytest.mark.parametrize(("after", "status"), [(100, 0), (150, 1)])
def test_compare_ends_with_1_on_a_regression(tmp_path: Path, after: float, status: int) -> None:
    for name, value in (("baseline.json", 100.0), ("new.json", after)):
        (tmp_path / name).write_text(result(count("made-up/n", value)).to_json())

    done = bench("compare", tmp_path / "baseline.json", tmp_path / "new.json", "--waivers", tmp_path / "none.toml")

    assert done.returncode == status, done.stderr
    assert "made-up/n" in done.stdout


def test_compare_says_what_it_does_not_compare(tmp_path: Path) -> None:
    few = Claim(name="made-up/a:b", value=Estimate(1.0, rounds=3), unit="ratio", better="lower", noise=0.1)
    for name in ("baseline.json", "new.json"):
        (tmp_path / name).write_text(result(count("made-up/n", 1), few).to_json())

    done = bench("compare", tmp_path / "baseline.json", tmp_path / "new.json", "--waivers", tmp_path / "none.toml")

    assert done.returncode == 0
    assert "too few rounds" in done.stdout
    assert "1 claims compared, 0 regressed" in done.stderr
    assert "1 more rest on fewer than 10 rounds" in done.stderr


def test_comparing_runs_with_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(result(suites=[name]).to_json())

    done = bench("compare", tmp_path / "a", tmp_path / "b", "--waivers", tmp_path / "none.toml")

    assert done.returncode not in {0, 1}
    assert "no gated claim in common" in done.stderr


def test_report_writes_all_forms_again(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(BASELINE.read_text())

    done = bench("report", tmp_path / "result.json")

    assert done.stdout == f"{tmp_path / 'report.html'}\n"
    assert {path.name for path in tmp_path.iterdir()} == FORMS


def test_a_report_of_a_baseline_is_written_elsewhere(tmp_path: Path) -> None:
    baseline, output = tmp_path / "quick.json", tmp_path / "there"
    baseline.write_text(BASELINE.read_text())

    done = bench("report", baseline, "--output", output)

    assert done.stdout == f"{output / 'report.html'}\n"
    assert {path.name for path in output.iterdir()} == FORMS
    assert {path.name for path in tmp_path.iterdir()} == {"quick.json", "there"}


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = bench("run", "getenv", "--quick", "--output", tmp_path / "file" / "there")

    assert done.returncode not in {0, 1}
    assert "cannot be written to" in done.stderr


def test_getenv_takes_no_more_instructions_than_the_baseline_says(tmp_path: Path) -> None:
    new = result(suites=[NAME])
    run = Run(directory=tmp_path, cache=tmp_path, quick=True, result=new, tell=lambda *_: None)
    count_instructions(run, make_cases(tmp_path))
    baseline = parse_result(BASELINE.read_text(), str(BASELINE))

    claims = {claim.name: claim for claim in baseline.claims}
    waivers = parse_waivers(WAIVERS.read_text(), str(WAIVERS), claims)

    today = dt.datetime.now(dt.UTC).date()
    changes = compare(baseline, new, waivers=waivers, today=today, units=frozenset({"instructions"}))

    assert len(changes) >= 10
    assert [(change.before.name, change.verdict) for change in changes if change.fails] == []

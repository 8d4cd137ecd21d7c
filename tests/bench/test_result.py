"""A result and its forms: JSON there and back, CSV, Prometheus text."""

import csv
import json
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.main import SUITES, load
from bench.result import Better, Claim, Result, history_line, parse_result
from bench.samples import Estimate, Series
from strongroom.errors import ConfigError
from tests.bench.runs import count, result
from tests.support.tree import ROOT


@pytest.fixture
def measured() -> Result:
    made = result(count("made-up/instructions", 42))
    rounds = [[0.001 * (10 * number + place) for place in range(1, 11)] for number in range(10)]
    made.add("made-up", "latency", "s", Series(rounds), target="ours", size="1 KiB")
    made.add("made-up", "throughput", "B/s", Series([[1e6]]), target='quoted "x", comma')
    made.add_mean("made-up", "cpu", "s", Series([[0.01], [0.0], [0.02]]), target="ours")
    made.add_peak("made-up", "memory", "B", Series([[3.0], [5.0], [4.0]]), target="ours")
    return made


def test_json_is_read_back_as_it_was(measured: Result) -> None:
    assert parse_result(measured.to_json(), "result.json") == measured


def test_results_of_before_means_and_peaks_had_names_can_be_read() -> None:
    estimate = {"value": 2.0, "low": 1.0, "high": 3.0}
    figure = {"suite": "made-up", "metric": "latency", "unit": "s", "labels": {}, "samples": 9, "rounds": 3}
    old = json.loads(result(count("made-up/n", 1)).to_json())
    old["figures"] = [figure | {"percentiles": {"50": estimate, "90": estimate}}]
    del old["asked"], old["left_out"], old["claims"][0]["value"]["rounds"]

    read = parse_result(json.dumps(old), "old.json")

    assert list(read.figures[0].statistics) == ["p50", "p90"]
    assert read.figures[0].median.value == 2.0
    assert read.claims[0].value.is_exact


def test_figures_as_csv_have_a_line_for_each_statistic(measured: Result) -> None:
    rows = list(csv.DictReader(measured.figures_csv().splitlines()))

    assert [(row["metric"], row["statistic"], float(row["value"])) for row in rows] == [
        ("latency", "p50", pytest.approx(0.0505)),
        ("latency", "p90", pytest.approx(0.0905)),
        ("latency", "p99", pytest.approx(0.0995)),
        ("throughput", "single", 1e6),
        ("cpu", "mean", pytest.approx(0.01)),
        ("memory", "peak", 5.0),
    ]
    assert rows[3]["target"] == 'quoted "x", comma'
    assert rows[3]["size"] == ""


@pytest.mark.parametrize(
    ("samples", "told"), [(1, ["single"]), (2, ["p50"]), (9, ["p50"]), (10, ["p50", "p90"]), (99, ["p50", "p90"])]
)
def test_no_percentile_is_told_that_the_samples_are_too_few_for(samples: int, told: list[str]) -> None:
    made = result()
    made.add("made-up", "latency", "s", Series([range(1, samples + 1)]))

    assert list(made.figures[0].statistics) == told


def test_every_sample_is_kept_with_its_round(measured: Result) -> None:
    read = parse_result(measured.to_json(), "result.json")
    rows = [row for row in csv.DictReader(read.samples_csv().splitlines()) if row["metric"] == "latency"]

    assert len(rows) == 100
    assert (rows[0]["round"], float(rows[0]["value"])) == ("1", 0.001)
    assert (rows[-1]["round"], float(rows[-1]["value"])) == ("10", 0.1)


def test_claims_as_csv_say_whether_their_aims_are_met() -> None:
    aimed = replace(count("made-up/n", 3), aim=2.0)

    (row,) = csv.DictReader(result(aimed).claims_csv().splitlines())

    assert (row["claim"], row["value"], row["aim"], row["met"]) == ("made-up/n", "3", "2.0", "no")


def test_prometheus_can_read_the_text(measured: Result) -> None:
    families = {family.name: family for family in text_string_to_metric_families(measured.to_prometheus())}

    latency = {
        sample.labels["quantile"]: sample.value for sample in families["strongroom_bench_latency_seconds"].samples
    }
    assert latency == {"0.5": 0.0505, "0.9": 0.0905, "0.99": 0.0995}
    (sample,) = families["strongroom_bench_claim"].samples
    assert (sample.labels["name"], sample.value) == ("made-up/instructions", 42)
    assert families["strongroom_bench_throughput_bytes_per_second"].samples[0].labels["target"] == 'quoted "x", comma'
    assert families["strongroom_bench_memory_bytes"].samples[0].labels["statistic"] == "peak"


def test_history_keeps_commit_and_claims(measured: Result) -> None:
    assert json.loads(history_line(measured)) == {
        "commit": "0" * 40,
        "started": "2026-01-02T03:04:05+00:00",
        "quick": True,
        "claims": {"made-up/instructions": 42},
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "figures": [], "claims": [{}]}'])
def test_other_documents_are_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"some\.json"):
        parse_result(text, "some.json")


def test_results_of_another_schema_are_refused(measured: Result) -> None:
    other = json.loads(measured.to_json()) | {"schema": 2}

    with pytest.raises(ConfigError, match="another version"):
        parse_result(json.dumps(other), "result.json")


@pytest.mark.parametrize(
    ("value", "aim", "better", "met"),
    [
        (1.0, 1.0, "lower", True),
        (1.1, 1.0, "lower", False),
        (40.0, 40.0, "higher", True),
        (39.0, 40.0, "higher", False),
    ],
)
def test_an_aim_is_met_at_its_value(value: float, aim: float, better: Better, *, met: bool) -> None:
    claim = Claim(name="n", value=Estimate(value, value, value), unit="ratio", better=better, aim=aim)

    assert claim.is_met is met


@pytest.mark.parametrize(
    ("low", "high", "is_decided"), [(0.8, 1.1, False), (0.8, 0.95, True), (1.05, 1.2, True), (None, None, False)]
)
def test_an_aim_is_undecided_while_the_interval_reaches_across_it(
    low: float | None, high: float | None, *, is_decided: bool
) -> None:
    claim = Claim(name="n", value=Estimate(0.9, low, high, 20), unit="ratio", better="lower", aim=1.0)

    assert claim.is_decided is is_decided


def test_the_baseline_in_the_repository_is_a_whole_run_of_a_commit() -> None:
    path = ROOT / "bench" / "baselines" / "quick.json"
    baseline = parse_result(path.read_text(), str(path))

    wrong = [note for note in baseline.notes if "aborted" in note]
    wrong += [f"{suite} is missing" for suite in (load(name).NAME for name in SUITES) if suite not in baseline.suites]
    wrong += ["the commit had changes"] if "+" in baseline.commit else []
    wrong += [] if baseline.quick else ["it is not a quick run"]
    wrong += [] if any(claim.noise is not None for claim in baseline.claims) else ["nothing is gated"]

    assert wrong == [], "measure it again: strongroom bench run --quick"

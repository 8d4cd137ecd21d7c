"""A result and its forms: JSON there and back, CSV, Prometheus text."""

import csv
import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.result import Better, Claim, Result, history_line, parse_result
from bench.samples import Estimate, Series
from strongroom.errors import ConfigError
from tests.bench.runs import count, result


@pytest.fixture
def measured() -> Result:
    made = result(count("made-up/instructions", 42))
    made.add("made-up", "latency", "s", Series([[0.001, 0.002], [0.003]]), target="ours", size="1 KiB")
    made.add("made-up", "throughput", "B/s", Series([[1e6]]), target='quoted "x", comma')
    return made


def test_json_is_read_back_as_it_was(measured: Result) -> None:
    assert parse_result(measured.to_json(), "result.json") == measured


def test_csv_has_a_line_for_each_percentile(measured: Result) -> None:
    rows = list(csv.DictReader(measured.to_csv().splitlines()))

    assert [(row["metric"], row["percentile"], float(row["value"])) for row in rows[:3]] == [
        ("latency", "50", 0.002),
        ("latency", "90", 0.003),
        ("latency", "99", 0.003),
    ]
    assert rows[3]["target"] == 'quoted "x", comma'
    assert rows[3]["size"] == ""


def test_prometheus_can_read_the_text(measured: Result) -> None:
    families = {family.name: family for family in text_string_to_metric_families(measured.to_prometheus())}

    latency = {
        sample.labels["quantile"]: sample.value for sample in families["strongroom_bench_latency_seconds"].samples
    }
    assert latency == {"0.5": 0.002, "0.9": 0.003, "0.99": 0.003}
    (sample,) = families["strongroom_bench_claim"].samples
    assert (sample.labels["name"], sample.value) == ("made-up/instructions", 42)
    assert families["strongroom_bench_throughput_bytes_per_second"].samples[0].labels["target"] == 'quoted "x", comma'


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


def test_the_baseline_in_the_repository_can_be_read() -> None:
    path = Path(__file__).parents[2] / "bench" / "baselines" / "quick.json"

    baseline = parse_result(path.read_text(), str(path))

    assert any(claim.noise is not None for claim in baseline.claims)

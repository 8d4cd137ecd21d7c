"""What is claimed per object, and from whom."""

import math
from pathlib import Path

import pytest

from bench import s3_targets
from bench.object_claims import Cell, claim_cpu, claim_latency
from bench.s3_targets import Shape
from bench.samples import Series
from bench.suite import Run
from strongroom.errors import ConfigError
from tests.bench.runs import result

CELL = Cell("per-object", "boto3", "GET", "1 KiB")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(directory=tmp_path, cache=tmp_path, quick=True, result=result(), tell=lambda *_: None)


def series(**milliseconds: float) -> dict[str, Series]:
    """Return ten rounds for each target, which drift together."""
    return {
        name: Series([[value * (1 + number / 100) / 1000] for number in range(10)])
        for name, value in milliseconds.items()
    }


def test_added_latency_is_not_clamped(run: Run) -> None:
    measured = series(store=1.0, haproxy=1.01, strongroom=2.0, rclone=4.0)

    claim_latency(run, CELL, measured)

    claims = {claim.name: claim.value.value for claim in run.result.claims}
    assert claims[f"{CELL.name}/added latency/strongroom:haproxy"] == pytest.approx(100)
    assert claims[f"{CELL.name}/added latency/strongroom"] == pytest.approx(0.001, rel=0.1)
    assert claims[f"{CELL.name}/added latency/haproxy"] == pytest.approx(0.00001, rel=0.1)


def test_added_latency_is_undecided_where_the_other_hop_adds_nothing(run: Run) -> None:
    measured = series(store=1.0, haproxy=0.9, strongroom=2.0, rclone=4.0)

    claim_latency(run, CELL, measured)

    assert {claim.name for claim in run.result.claims if "added" in claim.name} == {
        f"{CELL.name}/added latency/strongroom",
        f"{CELL.name}/added latency/haproxy",
        f"{CELL.name}/added latency/rclone",
        f"{CELL.name}/added latency/strongroom:rclone",
    }
    assert "undecided" in run.result.notes[0]


def test_an_added_latency_that_may_be_none_has_no_interval(run: Run) -> None:
    measured = series(store=1.0, strongroom=2.0)
    measured["haproxy"] = Series([[1.1e-3 if number % 5 < 3 else 0.8e-3] for number in range(10)])

    claim_latency(run, CELL, measured)

    (claim,) = (claim for claim in run.result.claims if claim.name == f"{CELL.name}/added latency/strongroom:haproxy")
    assert claim.value.interval is None
    assert math.isfinite(claim.value.value)


@pytest.mark.parametrize("missing", ["haproxy", "rclone"])
def test_nothing_is_claimed_beside_what_is_missing(run: Run, missing: str) -> None:
    measured = series(store=1.0, haproxy=1.2, strongroom=2.0, rclone=4.0)
    del measured[missing]

    claim_latency(run, CELL, measured)

    assert run.result.claims
    assert not any(missing in claim.name for claim in run.result.claims)


def fail() -> None:
    raise ConfigError("haproxy: not installed")


def test_a_target_that_is_not_installed_is_left_out(run: Run) -> None:
    with s3_targets._unless_missing("haproxy", run.leave_out):
        fail()

    assert run.result.left_out == ["haproxy"]


def test_without_leave_to_leave_it_out_a_missing_target_is_an_error() -> None:
    with pytest.raises(ConfigError), s3_targets._unless_missing("haproxy", None):
        fail()


def promised(run: Run, shape: Shape) -> dict[str, bool | None]:
    cell = Cell("per-object", shape, "GET", "1 KiB")
    claim_latency(run, cell, series(store=1.0, haproxy=1.2, strongroom=1.8, rclone=4.0))
    claim_cpu(run, cell, series(store=1.0, haproxy=0.1, strongroom=0.7, rclone=1.0))
    return {claim.name.removeprefix(f"{cell.name}/"): claim.is_met for claim in run.result.claims if claim.aim}


@pytest.mark.parametrize("shape", ["boto3", "javascript", "rclone"])
def test_requests_of_clients_have_promises(run: Run, shape: Shape) -> None:
    assert promised(run, shape) == {
        "latency/strongroom:rclone": True,
        "added latency/strongroom:haproxy": True,
        "added latency/strongroom:rclone": True,
        "processor time/strongroom:haproxy": False,
    }


def test_plain_requests_are_promised_to_be_quicker_than_rclone_only(run: Run) -> None:
    assert promised(run, "plain") == {"latency/strongroom:rclone": True}


def test_processor_time_is_compared_by_the_mean_of_each_round(run: Run) -> None:
    measured = {
        "strongroom": Series([[0.1, 0.2, 0.9]] * 10),
        "haproxy": Series([[0.1, 0.1, 0.1]] * 10),
    }

    claim_cpu(run, CELL, measured)

    (claim,) = run.result.claims
    assert claim.value.value == pytest.approx(4)
    assert claim.noise is not None

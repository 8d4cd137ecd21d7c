"""The order in which contenders are measured, and what counts."""

import gc
import time
from pathlib import Path

import pytest

from bench.samples import interleaved
from bench.suite import Run
from tests.bench.runs import result


def test_each_round_measures_all_of_them_and_the_first_place_goes_round() -> None:
    calls: list[str] = []

    def contender(name: str, value: float) -> list[float]:
        calls.append(name)
        return [value]

    names = {"a": 1.0, "b": 2.0, "c": 3.0}
    series = interleaved(
        {name: lambda name=name, value=value: contender(name, value) for name, value in names.items()},  # type: ignore[misc]
        rounds=3,
        warm_up=0,
    )

    assert "".join(calls) == "abcbcacab"
    assert {name: one.rounds for name, one in series.items()} == {
        name: ((value,),) * 3 for name, value in names.items()
    }


def test_warm_up_is_run_and_not_counted() -> None:
    values = iter([100.0, 100.0, 1.0, 2.0])

    series = interleaved({"only": lambda: [next(values)]}, rounds=2, warm_up=2)

    assert series["only"].rounds == ((1.0,), (2.0,))


@pytest.mark.parametrize("least", [1, 2])
def test_no_round_begins_after_the_limit_but_the_least_number_always_counts(least: int) -> None:
    series = interleaved({"only": lambda: [1.0]}, rounds=50, least=least, limit_s=0.0)

    assert len(series["only"].rounds) == least


@pytest.mark.parametrize(("quick", "left_s", "rounds"), [(True, 60, 5), (True, -1, 1), (False, -1, 5)])
def test_what_a_quick_run_begins_after_its_deadline_gets_one_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_s: float, rounds: int, *, quick: bool
) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # behind thousands of tests it takes a second or more
    deadline = time.monotonic() + left_s
    run = Run(directory=tmp_path, cache=tmp_path, quick=quick, result=result(), tell=lambda *_: None, deadline=deadline)

    series = run.interleaved({"only": lambda: [1.0]}, rounds=5)

    assert len(series["only"].rounds) == rounds

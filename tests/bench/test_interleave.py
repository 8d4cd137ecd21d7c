"""The order in which contenders are measured, and what counts."""

from bench.interleave import interleaved


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
    shares: list[float] = []

    series = interleaved({"only": lambda: [next(values)]}, rounds=2, warm_up=2, progress=shares.append)

    assert series["only"].rounds == ((1.0,), (2.0,))
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_no_round_begins_after_the_limit_but_two_always_count() -> None:
    series = interleaved({"only": lambda: [1.0]}, rounds=50, limit_s=0.0)

    assert len(series["only"].rounds) == 2

"""How a growth becomes one number."""

import pytest

from bench.scale import exponent, last_decade


@pytest.mark.parametrize("k", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("fixed", [0.0, 40.0])
def test_fixed_costs_do_not_hide_a_growth(k: float, fixed: float) -> None:
    sizes = (1, 100, 1000)

    assert exponent(sizes, [fixed + 0.01 * size**k for size in sizes]) == pytest.approx(k, abs=0.05)


@pytest.mark.parametrize("costs", [(5, 5, 5), (5, 4, 3), (5, 4, 6)])
def test_what_does_not_grow_has_no_growth(costs: tuple[float, float, float]) -> None:
    assert exponent((1, 10, 100), costs) == 0.0


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1, 10, 100, 1000), (1, 100, 1000)),
        ((1, 4, 16), (1, 4, 16)),
        ((1, 4, 16, 64, 200), (1, 16, 200)),
        ((10, 100, 1200), (10, 100, 1200)),
    ],
)
def test_the_exponent_is_that_of_the_last_decade(sizes: tuple[int, ...], expected: tuple[int, int, int]) -> None:
    assert last_decade(sizes) == expected

"""Charts as SVG text, narrow enough for a phone; colours come from the page's style sheet. Pure.

A value stands beside each bar and in the title of each point, so that nothing has to be read off an axis by eye.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from bench.samples import Estimate

WIDTH: Final = 380
_ROW: Final = 34
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 34
_PLOT_HEIGHT: Final = 190
_LEGEND_ROW: Final = 17
_LEGEND_COLUMNS: Final = 2
COLOURS: Final = 8  # s0 … s7 of the style sheet; s0 is ours


@dataclass(frozen=True)
class Bar:
    """One bar: what it is called, how long it is, which colour it has."""

    label: str
    value: Estimate
    colour: int


@dataclass(frozen=True)
class Line:
    """One line: what it is called, its points in order of x, which colour it has."""

    label: str
    points: Sequence[tuple[float, Estimate]]
    colour: int


def bars(rows: Sequence[Bar], *, unit: str, name: str) -> str:
    """Return horizontal bars from zero, with the interval of each as a thin line.

    Args:
        rows: from top to bottom.
        unit: of the values.
        name: for readers who do not see it.
    """
    longest = max(max(row.value.value, row.value.high or 0.0) for row in rows) or 1.0
    height = len(rows) * _ROW + 4
    parts = []
    for number, row in enumerate(rows):
        y = number * _ROW
        end = row.value.value / longest * WIDTH
        span = [one / longest * WIDTH for one in row.value.interval or ()]
        whisker = f'<path d="M{span[0]:.1f} {y + 23.5}H{span[1]:.1f}" class="interval"/>' if span else ""
        title = f"{row.label}: {_with_interval(row.value, unit)}"
        shown = escape(show(row.value.value, unit))
        parts.append(
            f'<g><title>{escape(title)}</title><text x="0" y="{y + 13}">{escape(row.label)}</text>'
            f'<text x="{WIDTH}" y="{y + 13}" text-anchor="end" class="value">{shown}</text>'
            f'<rect x="0" y="{y + 18}" width="{max(end, 1.5):.1f}" height="11" rx="2" class="s{row.colour}"/>'
            f"{whisker}</g>"
        )
    return _svg(height, name, parts)


def lines(series: Sequence[Line], *, x_label: str, unit: str, name: str, aim: float | None = None) -> str:
    """Return lines over logarithmic axes.

    Args:
        series: all x and y above zero.
        x_label: what x is.
        unit: of y.
        name: for readers who do not see it.
        aim: a level to mark.
    """
    xs = [x for line in series for x, _ in line.points]
    ys = [it.value for line in series for _, it in line.points] + ([aim] if aim else [])
    across = _Axis(min(xs), max(xs), _LEFT, WIDTH - _RIGHT)
    up = _Axis(min(ys), max(ys), _TOP + _PLOT_HEIGHT, _TOP)
    parts = [_grid(across, up, unit), f'<text x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{_TOP + _PLOT_HEIGHT + 30}"']
    parts[-1] += f' text-anchor="middle" class="axis">{escape(x_label)}</text>'
    if aim:
        y = up.place(aim)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" class="aim"/>')
    for line in series:
        path = " ".join(f"{across.place(x):.1f},{up.place(it.value):.1f}" for x, it in line.points)
        parts.append(f'<polyline points="{path}" class="line l{line.colour}"/>')
        for x, it in line.points:
            title = f"{line.label}, {show_size(x)}: {_with_interval(it, unit)}"
            place = f'cx="{across.place(x):.1f}" cy="{up.place(it.value):.1f}" r="3.2"'
            parts.append(f'<circle {place} class="s{line.colour}"><title>{escape(title)}</title></circle>')
    legend_top = _TOP + _PLOT_HEIGHT + _BOTTOM + 14
    for number, line in enumerate(series):
        row, column = divmod(number, _LEGEND_COLUMNS)
        x, y = 8 + column * WIDTH / _LEGEND_COLUMNS, legend_top + row * _LEGEND_ROW
        parts.append(
            f'<circle cx="{x}" cy="{y - 4}" r="4" class="s{line.colour}"/>'
            f'<text x="{x + 9}" y="{y}">{escape(line.label)}</text>'
        )
    return _svg(legend_top + -(-len(series) // _LEGEND_COLUMNS) * _LEGEND_ROW - 8, name, parts)


def spark(values: Sequence[float], names: Sequence[str]) -> str:
    """Return a line without axes, for a cell of a table; its title has the last values with their names."""
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    step = 72 / max(len(values) - 1, 1)
    path = " ".join(f"{4 + n * step:.1f},{17 - (value - low) / spread * 14:.1f}" for n, value in enumerate(values))
    shown = escape(" → ".join(f"{name} {value:.3g}" for name, value in list(zip(names, values, strict=True))[-8:]))
    line = f'<svg class="spark" viewBox="0 0 80 20" role="img" aria-label="{shown}"><title>{shown}</title>'
    x, y = path.split()[-1].split(",")
    return f'{line}<polyline points="{path}" class="line l0"/><circle cx="{x}" cy="{y}" r="2.5" class="s0"/></svg>'


def show_size(size: float) -> str:
    """Return a number on an axis in few characters."""
    for power, letter in ((30, "G"), (20, "M"), (10, "K")):
        if size >= 1 << power and size % (1 << power) == 0:
            return f"{int(size) >> power} {letter}i"
    return f"{size:,.0f}" if size >= 1 else f"{size:g}"


def _with_interval(value: Estimate, unit: str) -> str:
    if value.interval is None or value.is_exact:
        return show(value.value, unit)
    return f"{show(value.value, unit)} ({' to '.join(show(end, unit) for end in value.interval)})"


class _Axis:
    """A logarithmic axis from ``begin`` to ``end`` in pixels."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        if high <= low * 1.001:
            low, high = low / 2, high * 2
        self._low, self._high, self._begin, self._end = math.log(low), math.log(high), begin, end

    def place(self, value: float) -> float:
        share = (math.log(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[float]:
        """Return round numbers: powers of ten, and 2 and 5 between them where there is room."""
        first, last = math.floor(self._low / math.log(10)), math.ceil(self._high / math.log(10))
        steps = (1, 2, 5) if last - first <= 3 else (1,)  # noqa: PLR2004 - few decades
        every = 2 if last - first > 7 else 1  # noqa: PLR2004 - many decades
        found = [step * 10.0**power for power in range(first, last + 1, every) for step in steps]
        return [tick for tick in found if self._low - 1e-9 <= math.log(tick) <= self._high + 1e-9]


def _grid(across: _Axis, up: _Axis, unit: str) -> str:
    parts = []
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" class="grid"/>')
        parts.append(
            f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end" class="axis">{show(tick, unit, 1)}</text>'
        )
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(
            f'<text x="{x:.1f}" y="{_TOP + _PLOT_HEIGHT + 15}" text-anchor="middle" class="axis">{_short(tick)}</text>'
        )
    return "".join(parts)


def _short(tick: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tick >= size:
            return f"{tick / size:g}{letter}"
    return f"{tick:g}"


def _svg(height: float, name: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(name)}">{"".join(parts)}</svg>'


_PREFIXES: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIMES: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def show(value: float, unit: str, digits: int = 3) -> str:
    """Return a value with its unit, with this many digits that count."""
    if unit == "s":
        size, name = next(((size, name) for size, name in _TIMES if abs(value) >= size * 0.9995), _TIMES[-1])
        return f"{_digits(value / size, digits)} {name}"
    if unit == "B":
        return f"{_digits(value / (1 << 20), digits)} MiB"
    if unit in {"B/s", "1/s"}:
        size, prefix = next(((size, prefix) for size, prefix in _PREFIXES if abs(value) >= size), (1.0, ""))
        return (
            f"{_digits(value / size, digits)} {prefix}{unit}"
            if unit == "B/s"
            else f"{_digits(value / size, digits)}{prefix} /s"
        )
    if unit == "ratio":
        return f"{_digits(value, digits)} x"
    if unit == "exponent":
        return _digits(value, digits)
    return f"{_digits(value, digits)} {unit}".rstrip()


def _digits(value: float, digits: int) -> str:
    whole = len(f"{abs(value):.0f}") if abs(value) >= 1 else 0
    text = f"{value:,.{max(digits - whole, 0)}f}" if abs(value) >= 0.1 else f"{value:.{digits}g}"  # noqa: PLR2004 - as 0.05
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text

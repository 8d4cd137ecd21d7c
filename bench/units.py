"""Figures in words that people read: ``42.8 ms``, ``1.2 GB/s``. Pure."""

from typing import Final

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

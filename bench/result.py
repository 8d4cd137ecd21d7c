"""What one run of the benchmarks found, and its forms: JSON (the whole), CSV and Prometheus text (the figures). Pure.

A *figure* is a distribution that was measured here: it means something beside the other figures of the same run only.
A *claim* is what carries over to other machines: a ratio within one run, or an exact count. Aims and drift gates are
about claims.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from bench.samples import PERCENTILES, Estimate, Series
from strongroom.errors import ConfigError

SCHEMA: Final = 1
Better = Literal["lower", "higher"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A distribution.

    Attributes:
        suite: that measured it.
        metric: what was measured: ``latency``, ``throughput``, ``cpu``, ``memory``.
        unit: of its values: ``s``, ``B/s``, ``B``, ``1/s``.
        labels: what tells it from the other figures of this metric.
        samples: how many there were.
        rounds: in which they were measured.
        percentiles: by rank.
    """

    suite: str
    metric: str
    unit: str
    labels: Mapping[str, str]
    samples: int
    rounds: int
    percentiles: Mapping[int, Estimate]

    @property
    def median(self) -> Estimate:
        """The 50th percentile."""
        return self.percentiles[50]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A ratio within one run, or a count.

    Attributes:
        name: unique, with slashes: ``per-object/GET/1 KiB/latency/strongroom:rclone``.
        value: with its interval; a count's is a point.
        unit: ``ratio``, ``instructions``, ``calls``, ``B``, ``s``, ``exponent``.
        better: which way.
        aim: what was promised, or None.
        noise: a change by more than this share of the baseline is a regression; None where drift is not gated.
    """

    name: str
    value: Estimate
    unit: str
    better: Better
    aim: float | None = None
    noise: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the value keeps the aim; None without one."""
        if self.aim is None:
            return None
        return self.value.value <= self.aim if self.better == "lower" else self.value.value >= self.aim


@dataclass(kw_only=True)
class Result:
    """One run.

    Attributes:
        machine: hardware profile and versions.
        commit: that was measured.
        started: time in UTC, RFC 3339.
        quick: whether it was a quick run, with wide intervals.
        seconds: what it took.
        suites: that were run to their end.
        figures: in the order of measuring.
        claims: likewise.
        notes: what could not be measured, and why.
    """

    machine: Mapping[str, str]
    commit: str
    started: str
    quick: bool
    seconds: float = 0.0
    suites: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, suite: str, metric: str, unit: str, series: Series, **labels: str) -> None:
        """Add the figure that a series gives."""
        percentiles = {rank: series.estimate(rank) for rank in PERCENTILES}
        figure = Figure(
            suite=suite,
            metric=metric,
            unit=unit,
            labels=labels,
            samples=len(series),
            rounds=len(series.rounds),
            percentiles=percentiles,
        )
        self.figures.append(figure)

    def find(self, suite: str, metric: str, **labels: str) -> list[Figure]:
        """Return the figures that have at least these labels."""
        asked = labels.items()
        return [
            one for one in self.figures if (one.suite, one.metric) == (suite, metric) and asked <= one.labels.items()
        ]

    def to_json(self) -> str:
        """Return everything."""
        return json.dumps({"schema": SCHEMA} | asdict(self), indent=1, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Return one line per figure and percentile."""
        names = sorted({name for figure in self.figures for name in figure.labels})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["suite", "metric", *names, "percentile", "value", "low", "high", "unit", "samples", "rounds"])
        for figure in self.figures:
            labels = [figure.labels.get(name, "") for name in names]
            for rank, it in figure.percentiles.items():
                numbers = [it.value, it.low, it.high, figure.unit, figure.samples, figure.rounds]
                writer.writerow([figure.suite, figure.metric, *labels, rank, *numbers])
        return text.getvalue()

    def to_prometheus(self) -> str:
        """Return figures as summaries and claims as gauges, in the text exposition format."""
        families: dict[str, list[str]] = {}
        for figure in self.figures:
            name = f"strongroom_bench_{figure.metric}_{_UNIT_NAMES[figure.unit]}"
            labels = {"suite": figure.suite, **figure.labels}
            families.setdefault(name, []).extend(
                f"{name}{_labels({**labels, 'quantile': f'{rank / 100:g}'})} {it.value:.9g}"
                for rank, it in figure.percentiles.items()
            )
        for claim in self.claims:
            line = f"strongroom_bench_claim{_labels({'name': claim.name, 'unit': claim.unit})} {claim.value.value:.9g}"
            families.setdefault("strongroom_bench_claim", []).append(line)
        return "".join(
            f"# TYPE {name} gauge\n" + "".join(f"{line}\n" for line in lines) for name, lines in families.items()
        )


_UNIT_NAMES: Final = {"s": "seconds", "B": "bytes", "B/s": "bytes_per_second", "1/s": "per_second"}


def _labels(labels: Mapping[str, str]) -> str:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})  # of the exposition format
    quoted = (f'{name}="{value.translate(escapes)}"' for name, value in labels.items())
    return "{" + ",".join(quoted) + "}"


def parse_result(text: str, source: str) -> Result:
    """Read what ``to_json`` wrote.

    Args:
        text: the document.
        source: its name, for errors.

    Raises:
        ConfigError: it is no such document, or of another schema.
    """
    try:
        document = json.loads(text)
        if document.pop("schema") != SCHEMA:
            msg = f"{source}: was written by another version of the benchmarks"
            raise ConfigError(msg, hint="measure again")
        document["figures"] = [_figure(one) for one in document["figures"]]
        document["claims"] = [Claim(**(one | {"value": Estimate(**one["value"])})) for one in document["claims"]]
        return Result(**document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{source}: is not a result of the benchmarks ({type(error).__name__})"
        raise ConfigError(msg, hint="name a result.json that strongroom bench run wrote") from None


def _figure(document: Mapping[str, Any]) -> Figure:
    percentiles = {int(rank): Estimate(**it) for rank, it in document["percentiles"].items()}
    return Figure(**{**document, "percentiles": percentiles})


def history_line(result: Result) -> str:
    """Return what the history over commits keeps of a run: one line of JSON."""
    claims: Iterable[tuple[str, float]] = ((claim.name, claim.value.value) for claim in result.claims)
    kept = {"commit": result.commit, "started": result.started, "quick": result.quick, "claims": dict(claims)}
    return json.dumps(kept, allow_nan=False) + "\n"

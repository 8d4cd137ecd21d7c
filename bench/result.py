"""What one run of the benchmarks found, and its forms: JSON (the whole), CSV and Prometheus text (the figures). Pure.

A *figure* is a distribution that was measured here: it means something beside the other figures of the same run only.
A *claim* is what carries over to other machines: a ratio within one run, or an exact count. Aims and drift gates are
about claims.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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
        statistics: by name: ``p50``, ``p90`` and ``p99`` as far as there are samples enough to tell them, or ``mean``,
            ``peak``, or ``single`` where one sample is all there is.
        samples: how many there were.
        rounds: in which they were measured.
        data: the samples, with six digits; rounds are parted by semicolons.
    """

    suite: str
    metric: str
    unit: str
    labels: Mapping[str, str]
    statistics: Mapping[str, Estimate]
    samples: int = 0
    rounds: int = 0
    data: str = ""

    @property
    def median(self) -> Estimate:
        """The 50th percentile, or what stands for it: the mean, the peak, the only sample."""
        return next(iter(self.statistics.values()))


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

    @property
    def is_decided(self) -> bool:
        """Whether the whole interval lies on one side of the aim."""
        if self.aim is None or self.value.interval is None:
            return self.value.is_exact
        low, high = self.value.interval
        return not low < self.aim < high


@dataclass(kw_only=True)
class Result:
    """One run.

    Attributes:
        machine: hardware profile and versions.
        commit: that was measured.
        started: time in UTC, RFC 3339.
        quick: whether it was a quick run, with wide intervals.
        seconds: what it took.
        asked: suites that were to be run.
        suites: that were run to their end.
        figures: in the order of measuring.
        claims: likewise.
        left_out: contenders that this machine lacks.
        notes: what could not be measured, and why.
    """

    machine: Mapping[str, str]
    commit: str
    started: str
    quick: bool
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    suites: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, suite: str, metric: str, unit: str, series: Series, **labels: str) -> None:
        """Add the percentiles of a series, as far as there are samples enough to tell them."""
        # The 99th percentile of fewer than 100 samples would be the largest one by another name.
        ranks = [rank for rank in PERCENTILES if len(series) * (100 - rank) >= 100]  # noqa: PLR2004 - per cent
        found = {f"p{rank}": series.estimate(rank) for rank in ranks} or {"single": series.estimate(50)}
        self._add(Figure(suite=suite, metric=metric, unit=unit, labels=labels, statistics=found), series)

    def add_mean(self, suite: str, metric: str, unit: str, series: Series, **labels: str) -> None:
        """Add the mean of a series whose single samples are too coarse to tell something."""
        found = {"mean": series.mean()}
        self._add(Figure(suite=suite, metric=metric, unit=unit, labels=labels, statistics=found), series)

    def add_peak(self, suite: str, metric: str, unit: str, series: Series, **labels: str) -> None:
        """Add the largest sample of a series."""
        found = {"peak": Estimate(series.values[-1], rounds=len(series.rounds))}
        self._add(Figure(suite=suite, metric=metric, unit=unit, labels=labels, statistics=found), series)

    def _add(self, figure: Figure, series: Series) -> None:
        data = "; ".join(" ".join(f"{value:.6g}" for value in samples) for samples in series.rounds)
        self.figures.append(replace(figure, samples=len(series), rounds=len(series.rounds), data=data))

    def find(self, suite: str, metric: str, **labels: str) -> list[Figure]:
        """Return the figures that have at least these labels."""
        asked = labels.items()
        return [
            one for one in self.figures if (one.suite, one.metric) == (suite, metric) and asked <= one.labels.items()
        ]

    def to_json(self) -> str:
        """Return everything."""
        return json.dumps({"schema": SCHEMA} | asdict(self), indent=1, allow_nan=False) + "\n"

    def figures_csv(self) -> str:
        """Return one line per figure and statistic."""
        return self._csv(
            ["statistic", "value", "low", "high", "unit", "samples", "rounds"],
            lambda figure: [
                [name, it.value, it.low, it.high, figure.unit, figure.samples, figure.rounds]
                for name, it in figure.statistics.items()
            ],
        )

    def samples_csv(self) -> str:
        """Return one line per sample."""
        return self._csv(
            ["round", "value", "unit"],
            lambda figure: [
                [number, value, figure.unit]
                for number, samples in enumerate(figure.data.split(";"), 1)
                for value in samples.split()
            ],
        )

    def _csv(self, columns: Sequence[str], rows: Callable[[Figure], Iterable[Sequence[object]]]) -> str:
        """Return lines about figures: suite, metric and labels, then these columns."""
        names = sorted({name for figure in self.figures for name in figure.labels})
        lines: list[Sequence[object]] = [["suite", "metric", *names, *columns]]
        for figure in self.figures:
            head = [figure.suite, figure.metric, *(figure.labels.get(name, "") for name in names)]
            lines += [[*head, *row] for row in rows(figure)]
        return _as_csv(lines)

    def claims_csv(self) -> str:
        """Return one line per claim."""
        lines: list[Sequence[object]] = [
            ["claim", "value", "low", "high", "rounds", "unit", "better", "aim", "met", "noise"]
        ]
        for it in self.claims:
            met = {None: "", True: "yes", False: "no"}[it.is_met]
            value = it.value
            lines.append(
                [it.name, value.value, value.low, value.high, value.rounds, it.unit, it.better, it.aim, met, it.noise]
            )
        return _as_csv(lines)

    def to_prometheus(self) -> str:
        """Return figures as summaries and claims as gauges, in the text exposition format."""
        families: dict[str, list[str]] = {}
        for figure in self.figures:
            name = f"strongroom_bench_{figure.metric}_{_UNIT_NAMES[figure.unit]}"
            labels = {"suite": figure.suite, **figure.labels}
            families.setdefault(name, []).extend(
                f"{name}{_labels({**labels, **_statistic_label(statistic)})} {it.value:.9g}"
                for statistic, it in figure.statistics.items()
            )
        for claim in self.claims:
            line = f"strongroom_bench_claim{_labels({'name': claim.name, 'unit': claim.unit})} {claim.value.value:.9g}"
            families.setdefault("strongroom_bench_claim", []).append(line)
        return "".join(
            f"# TYPE {name} gauge\n" + "".join(f"{line}\n" for line in lines) for name, lines in families.items()
        )


_UNIT_NAMES: Final = {"s": "seconds", "B": "bytes", "B/s": "bytes_per_second", "1/s": "per_second"}


def _as_csv(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _statistic_label(name: str) -> dict[str, str]:
    return {"quantile": f"{int(name[1:]) / 100:g}"} if name[1:].isdigit() else {"statistic": name}


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
            raise ConfigError(f"{source}: was written by another version of the benchmarks", hint="measure again")
        document["figures"] = [_figure(one) for one in document["figures"]]
        document["claims"] = [Claim(**(one | {"value": Estimate(**one["value"])})) for one in document["claims"]]
        return Result(**document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{source}: is not a result of the benchmarks ({type(error).__name__})"
        raise ConfigError(msg, hint="name a result.json that strongroom bench run wrote") from None


def _figure(document: Mapping[str, Any]) -> Figure:
    if "percentiles" in document:  # of runs before means and peaks had names of their own
        document = {**document, "statistics": {f"p{rank}": it for rank, it in document["percentiles"].items()}}
        del document["percentiles"]
    return Figure(**{**document, "statistics": {name: Estimate(**it) for name, it in document["statistics"].items()}})


def history_line(result: Result) -> str:
    """Return what the history over commits keeps of a run: one line of JSON."""
    claims: Iterable[tuple[str, float]] = ((claim.name, claim.value.value) for claim in result.claims)
    kept = {"commit": result.commit, "started": result.started, "quick": result.quick, "claims": dict(claims)}
    return json.dumps(kept, allow_nan=False) + "\n"

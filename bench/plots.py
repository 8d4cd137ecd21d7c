"""Which charts a run gives: the figures of each suite, chosen and put in order. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.chart import COLOURS, Bar, Line, bars, lines
from bench.result import Figure, Result

_TARGETS: Final = {
    "pod-start": ("strongroom", "naked", "bao agent", "sops", "dotenvx", "strongroom bundle", "strongroom supervised"),
    "getenv": ("strongroom on glibc", "glibc", "musl", "strongroom on musl"),
    "per-object": ("strongroom", "store", "haproxy", "rclone"),
    "bridge": ("audit fsync", "audit write"),
}
_NAMES: Final = {
    "store": "bare store",
    "haproxy": "haproxy, no crypto",
    "rclone": "rclone crypt",
    "naked": "no wrapper",
}
_MANY: Final = 3  # sizes that make a line


@dataclass(frozen=True)
class Plot:
    """One chart.

    Attributes:
        key: short and unique, for links and file names.
        suite: whose figures it shows.
        title: what it shows.
        svg: the chart.
        raw: the file that holds what it shows.
    """

    key: str
    suite: str
    title: str
    svg: str
    raw: str = "figures.csv"


def plots(result: Result) -> list[Plot]:
    """Return the charts that the figures of a run allow."""
    makers: tuple[Callable[[Result], Iterator[Plot]], ...] = (_pod_start, _getenv, _per_object, _bridge, _scale)
    return [plot for maker in makers for plot in maker(result)]


def _pod_start(result: Result) -> Iterator[Plot]:
    suite = "pod-start"
    found = result.find(suite, "latency", secrets="10", network="0 ms")
    if found:
        title = "From exec to main, 10 secrets, no network between"
        yield _bars("pod-start", suite, title, _by_target(suite, found))
    phases = result.find(suite, "phase")
    if phases:
        rows = [Bar(figure.labels["phase"], figure.median, 0) for figure in phases]
        title = "Where our launch spends its time"
        yield Plot("pod-start-phases", suite, title, bars(rows, unit="s", name=title))
    for network in ("0 ms", "10 ms", "80 ms"):
        found = result.find(suite, "latency", network=network)
        title = f"Launch by number of secrets, {network} of network"
        yield from _lines(f"pod-start-secrets-{network[:-3]}", suite, title, found, "secrets", "secrets")
    far = result.find(suite, "latency", secrets="10", network="80 ms")
    if far:
        yield _bars("pod-start-far", suite, "10 secrets over a network of 80 ms", _by_target(suite, far))
    memory = result.find(suite, "memory", secrets="10", network="0 ms")
    if memory:
        yield _bars("pod-start-memory", suite, "Peak memory of a launch, 10 secrets", _by_target(suite, memory))


def _getenv(result: Result) -> Iterator[Plot]:
    suite = "getenv"
    hits = result.find(suite, "latency", operation="hit", threads="1")
    yield from _lines("getenv-growth", suite, "getenv() of one name, by variables", hits, "variables", "variables")
    for operation, title in (
        ("hit", "One name, 40 variables"),
        ("spread", "All names in turn, 40 variables"),
        ("miss", "A name that is not there, 40 variables"),
        ("secure", "secure_getenv(), 40 variables"),
    ):
        found = result.find(suite, "latency", operation=operation, threads="1", variables="40")
        if found:
            yield _bars(f"getenv-{operation}", suite, title, _by_target(suite, found))
    threads = result.find(suite, "latency", operation="hit", threads="8")
    if threads:
        yield _bars("getenv-threads", suite, "One name, 8 threads at once", _by_target(suite, threads))
    counts = {claim.name: claim for claim in result.claims if claim.unit == "instructions"}
    rows = [
        Bar(target, counts[f"getenv/hit/40 variables/{target}"].value, colour)
        for colour, target in enumerate(_TARGETS[suite])
        if f"getenv/hit/40 variables/{target}" in counts
    ]
    if rows:
        title = "Instructions of one hit, 40 variables"
        yield Plot("getenv-instructions", suite, title, bars(rows, unit="", name=title), raw="claims.csv")
    spawn = result.find(suite, "latency", operation="spawn")
    if spawn:
        yield _bars("getenv-spawn", suite, "fork, execve and wait", _by_target(suite, spawn))


def _per_object(result: Result) -> Iterator[Plot]:
    suite = "per-object"
    for way in ("GET", "PUT"):
        found = _of_boto3(result, "latency", way)
        title = f"{way}: latency at one stream, by object size"
        yield from _lines(f"per-object-{way.lower()}", suite, title, found, "size", "object size, bytes")
    for way in ("GET", "PUT"):
        for size in ("1 KiB", "64 KiB", "1 MiB", "16 MiB"):
            found = [figure for figure in _of_boto3(result, "throughput", way) if figure.labels["size"] == size]
            if found:
                title = f"{way} {size}: throughput of 16 streams"
                key = f"per-object-{way.lower()}-{size.replace(' ', '').lower()}"
                yield _bars(key, suite, title, _by_target(suite, found))
    for workload in dict.fromkeys(figure.labels["workload"] for figure in result.find(suite, "workload_duration")):
        found = result.find(suite, "workload_duration", workload=workload)
        yield _bars(
            f"per-object-{workload.replace(' ', '-')}", suite, f"Workload: {workload}", _by_target(suite, found)
        )
    rows = [
        Bar(claim.name.rpartition("/")[2], claim.value, 0)
        for claim in result.claims
        if claim.name.startswith("per-object/memory/")
    ]
    if rows:
        title = "Memory of all proxy processes (PSS)"
        yield Plot("per-object-memory", suite, title, bars(rows, unit="B", name=title), raw="claims.csv")


def _of_boto3(result: Result, metric: str, way: str) -> list[Figure]:
    """Return the figures of boto3's requests, or those of a run that did not measure these."""
    found = result.find("per-object", metric, operation=f"boto3 {way}")
    return found or result.find("per-object", metric, operation=way)


def _bridge(result: Result) -> Iterator[Plot]:
    for metric, title in (
        ("throughput_per_core", "Bundles of 10 secrets per second and core"),
        ("latency", "One caller, connection kept: time of a bundle"),
        ("storm_latency", "200 launches at once: median wait"),
    ):
        found = result.find("bridge", metric)
        if found:
            yield _bars(f"bridge-{metric.replace('_', '-')}", "bridge", title, _by_target("bridge", found))
    storm = [figure for figure in result.find("bridge", "storm_latency") if figure.labels["target"] == "audit fsync"]
    if storm:
        rows = [Bar(f"{name[1:]} % had it within", it, 0) for name, it in storm[0].statistics.items()]
        title = "200 launches at once, durable audit"
        yield Plot("bridge-storm", "bridge", title, bars(rows, unit="s", name=title))


def _scale(result: Result) -> Iterator[Plot]:
    exponents = {claim.name: claim.value.value for claim in result.claims if claim.unit == "exponent"}
    for axis in dict.fromkeys(figure.labels["axis"] for figure in result.find("scale", "latency")):
        found = result.find("scale", "latency", axis=axis)
        points = [(float(figure.labels["size"]), figure.median) for figure in found]
        exponent = exponents.get(f"scale/{axis}/exponent")
        title = f"Cost by {axis}" + (f": exponent {exponent:.2f}" if exponent is not None else "")
        svg = lines([Line("strongroom", points, 0)], x_label=axis, unit="s", name=title)
        yield Plot(f"scale-{axis.replace(' ', '-')}", "scale", title, svg)


def _by_target(suite: str, figures: Sequence[Figure]) -> list[tuple[Figure, int]]:
    """Return figures with their colours, ours first; a target has one colour in all charts of its suite."""
    order = _TARGETS[suite]
    known = [figure for figure in figures if figure.labels["target"] in order]
    pairs = [(figure, order.index(figure.labels["target"])) for figure in known]
    return sorted(pairs, key=lambda pair: (not pair[0].labels["target"].startswith("strongroom"), pair[1]))


def _bars(key: str, suite: str, title: str, figures: Sequence[tuple[Figure, int]]) -> Plot:
    rows = [Bar(_name(figure), figure.median, colour % COLOURS) for figure, colour in figures]
    return Plot(key, suite, title, bars(rows, unit=figures[0][0].unit, name=title))


def _lines(  # noqa: PLR0913, PLR0917 - what a chart is made of
    key: str, suite: str, title: str, figures: Sequence[Figure], by: str, x_label: str
) -> Iterator[Plot]:
    """Yield a chart of lines if there is enough for one."""
    series = []
    for colour, target in enumerate(_TARGETS[suite]):
        pairs = [(_number(figure.labels[by]), figure.median) for figure in figures if figure.labels["target"] == target]
        points = sorted(pairs, key=lambda pair: pair[0])
        if len({x for x, _ in points}) >= _MANY:
            series.append(Line(_NAMES.get(target, target), points, colour % COLOURS))
    if series:
        yield Plot(key, suite, title, lines(series, x_label=x_label, unit="s", name=title))


def _name(figure: Figure) -> str:
    target = figure.labels["target"]
    return _NAMES.get(target, target)


def _number(text: str) -> float:
    number, _, unit = text.partition(" ")
    return float(number) * {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[unit]

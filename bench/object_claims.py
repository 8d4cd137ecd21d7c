"""What is promised and claimed of an object on its way, beside a hop without crypto and rclone's crypt remote."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bench.result import Claim
from bench.s3_targets import Shape
from bench.samples import Estimate, Series, combine
from bench.suite import Run

# Where the promises stand: for requests as clients send them.
MAX_ADDED: Final = {("GET", "1 KiB"): 4.5, ("PUT", "1 KiB"): 5.0, ("GET", "64 KiB"): 3.0, ("PUT", "64 KiB"): 4.5}
"""Times what haproxy adds to the latency of the bare store."""
MAX_ADDED_BESIDE_RCLONE: Final = {("GET", "1 KiB"): 0.6}
MAX_CPU: Final = {("GET", "1 KiB"): 6.0}
"""Times the processor time of haproxy."""
MIN_THROUGHPUT: Final = {
    ("GET", "1 MiB"): 0.7,
    ("PUT", "1 MiB"): 0.8,
    ("GET", "16 MiB"): 0.9,
    ("PUT", "16 MiB"): 0.85,
    ("GET", "128 MiB"): 0.7,
    ("PUT", "128 MiB"): 0.85,
}
"""Of haproxy's, with all streams."""
_RCLONE: Final = 1.0  # ours is quicker everywhere
_SMALL: Final = ("1 KiB", "64 KiB")  # up to here what is added counts, from 1 MiB on throughput


@dataclass(frozen=True)
class Cell:
    """One kind of request.

    Attributes:
        suite: that measures it.
        shape: ``plain``, or the client that sends such requests.
        way: GET or PUT.
        size: of the object, by its name.
    """

    suite: str
    shape: Shape
    way: str
    size: str

    @property
    def operation(self) -> str:
        """What figures call it."""
        return self.way if self.shape == "plain" else f"{self.shape} {self.way}"

    @property
    def name(self) -> str:
        """What names of claims begin with."""
        return f"{self.suite}/{self.operation}/{self.size}"

    def promise(self, promises: Mapping[tuple[str, str], float]) -> float | None:
        """Return what is promised of it."""
        return None if self.shape == "plain" else promises.get((self.way, self.size))


def claim_latency(run: Run, cell: Cell, series: Mapping[str, Series]) -> None:
    """Claim the latency beside others', and of small objects what is added to the bare store."""
    for other, aim in (("rclone", _RCLONE), ("haproxy", None)):
        if other in series:
            name = f"{cell.name}/latency/strongroom:{other}"
            run.ratio(name, series["strongroom"], series[other], better="lower", aim=aim, noise=0.25)
    if cell.size in _SMALL:
        _claim_added(run, cell, series)


def claim_cpu(run: Run, cell: Cell, series: Mapping[str, Series]) -> None:
    """Claim the processor time of small requests, each program's own, beside others'."""
    if cell.size not in _SMALL:
        return
    for other, aim in (("haproxy", cell.promise(MAX_CPU)), ("rclone", None)):
        if other in series:
            ours, theirs = (Series([[_mean(one)] for one in series[name].rounds]) for name in ("strongroom", other))
            name = f"{cell.name}/processor time/strongroom:{other}"
            run.ratio(name, ours, theirs, better="lower", aim=aim, noise=0.25)


def claim_throughput(run: Run, cell: Cell, series: Mapping[str, Series]) -> None:
    """Claim the throughput of many streams beside others'."""
    for other, aim in (("haproxy", cell.promise(MIN_THROUGHPUT)), ("rclone", _RCLONE)):
        if other in series:
            name = f"{cell.name}/throughput/strongroom:{other}"
            run.ratio(name, series["strongroom"], series[other], better="higher", aim=aim, noise=0.3)


def _claim_added(run: Run, cell: Cell, series: Mapping[str, Series]) -> None:
    """Claim what ours and the others add to the bare store, and how often the one is the other."""
    name = f"{cell.name}/added latency"
    for target in ("strongroom", "haproxy", "rclone"):
        if target in series:
            added = combine((series[target], series["store"]), lambda a, b: a - b)
            run.claim(Claim(name=f"{name}/{target}", value=added, unit="s", better="lower"))
    for other, promises in (("haproxy", MAX_ADDED), ("rclone", MAX_ADDED_BESIDE_RCLONE)):
        if other in series and (aim := cell.promise(promises), other) != (None, "rclone"):
            _claim_times_added(run, f"{name}/strongroom:{other}", series, other, aim)


def _claim_times_added(run: Run, name: str, series: Mapping[str, Series], other: str, aim: float | None) -> None:
    ours, theirs, store = (series[target] for target in ("strongroom", other, "store"))
    if theirs.percentile(50) <= store.percentile(50):
        run.result.notes.append(f"{name}: undecided: {other} was no slower than the bare store")
        return
    times = combine((ours, theirs, store), times_added)
    if times.high is not None and math.isinf(times.high):
        run.result.notes.append(f"{name}: {other} adds too little for an interval of the ratio")
        times = Estimate(times.value, rounds=times.rounds)
    run.claim(Claim(name=name, value=times, unit="ratio", better="lower", aim=aim))


def times_added(ours: float, hop: float, store: float) -> float:
    """Return how often what a hop adds is what ours adds; infinitely often where the hop adds nothing."""
    return (ours - store) / (hop - store) if hop > store else math.inf


def _mean(samples: tuple[float, ...]) -> float:
    return sum(samples) / len(samples)

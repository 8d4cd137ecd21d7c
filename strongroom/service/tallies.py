"""What every request counts, in plain numbers until somebody reads the metrics.

A counter of ``prometheus_client`` takes a lock, and with several processes it writes into a file that they share, which
costs a request more than its signature does. So what is counted for each request is added up here, by one thread, and
written into the counters when they are read, once a second, and at the end. A process that is killed loses the counts
of its last second.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

from prometheus_client import Counter, Histogram


class Count:
    """What one child of a counter has counted since it was last written."""

    __slots__ = ("_child", "_since")

    def __init__(self, child: Counter) -> None:
        """Take the child; nothing is counted yet."""
        self._child = child
        self._since = 0

    def add(self, count: int = 1) -> None:
        """Count something."""
        self._since += count

    def write(self) -> None:
        """Write what was counted into the child."""
        if self._since:
            since, self._since = self._since, 0
            self._child.inc(since)


class Durations:
    """What one child of a histogram has observed since it was last written."""

    __slots__ = ("_bounds", "_child", "_counts", "_sum")

    def __init__(self, child: Histogram, bounds: Sequence[float]) -> None:
        """Take the child and the upper bounds of its buckets; nothing is observed yet."""
        self._child = child
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Note a duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def write(self) -> None:
        """Write what was observed into the child, which has no call for many observations at once."""
        counts, self._counts = self._counts, [0] * len(self._counts)
        total, self._sum = self._sum, 0.0
        for bucket, count in zip(self._child._buckets, counts, strict=True):  # noqa: SLF001 - as its observe does
            if count:
                bucket.inc(count)
        if total:
            self._child._sum.inc(total)  # noqa: SLF001 - as its observe does


class Tallies:
    """The tallies of one process, for one thread; each is made when its labels are first asked for."""

    def __init__(self, *, bounds: Sequence[float]) -> None:
        """Take the upper bounds of the buckets of all histograms."""
        self._bounds = tuple(bounds)
        self._made: list[Count | Durations] = []
        self.count = cache(self._count)
        self.durations = cache(self._durations)

    def write(self) -> None:
        """Write all of them."""
        for tally in self._made:
            tally.write()

    def _count(self, counter: Counter, *labels: str) -> Count:
        tally = Count(counter.labels(*labels))
        self._made.append(tally)
        return tally

    def _durations(self, histogram: Histogram, *labels: str) -> Durations:
        tally = Durations(histogram.labels(*labels), self._bounds)
        self._made.append(tally)
        return tally

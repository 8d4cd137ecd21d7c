"""How each cost grows: with secrets, launches at once, object size, parts, and the length of a listing.

A growth is told by one exponent: what is paid above the cost of the smallest size grows as size ** k. Fixed costs would
pull k towards 0; so they fall out. It is the slope over the last decade of sizes; k above 1 tells that each further
piece costs more than the one before.
"""

import concurrent.futures
import contextlib
import html
import math
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench import launchers
from bench.launchers import Scene
from bench.payload import Payload
from bench.result import Claim
from bench.s3_load import Connection, at_once
from bench.s3_targets import Target, targets, upload
from bench.samples import Series, combine
from bench.suite import FailedError, Run, compile_program
from devstack.stack import DevStack

NAME: Final = "scale"
SUMMARY: Final = "how costs grow with secrets, launches at once, object size, parts and listing length"
MAX_EXPONENT: Final = 1.1  # no cost grows faster than what it is for
DECADE: Final = 10.0
_PART_BYTES: Final = 5 << 20  # the least that S3 allows for all parts but the last
_STREAMS: Final = 8  # that store the keys of listings
_KEY: Final = b"<Key>"
_TOKEN: Final = re.compile(rb"<NextContinuationToken>([^<]+)<")
_TIMEOUT_S: Final = 120


@dataclass(frozen=True)
class Axis:
    """One way to grow.

    Attributes:
        name: what grows.
        sizes: that are measured.
        rounds: of all sizes in turn.
        make: what to measure for a size.
    """

    name: str
    sizes: tuple[int, ...]
    rounds: int
    make: Callable[[int], Callable[[], Sequence[float]]]


def measure(run: Run) -> None:
    """Measure launches, then objects."""
    run.tell(f"{NAME}: launches", 0.0)
    with _launches(run) as axes:
        for axis in axes:
            _measure_axis(run, axis)
    run.tell(f"{NAME}: objects", 0.4)
    with targets(run.directory, ("strongroom",)) as running, Connection(running["strongroom"].url) as connection:
        target = running["strongroom"]
        for axis in (
            _object_size(run, target, connection),
            _parts(run, target, connection),
            _listing(run, target, connection),
        ):
            run.tell(f"{NAME}: {axis.name}", 0.5)
            _measure_axis(run, axis)


def _measure_axis(run: Run, axis: Axis) -> None:
    series = run.interleaved({str(size): axis.make(size) for size in axis.sizes}, rounds=axis.rounds)
    for size, times in series.items():
        run.result.add(NAME, "latency", "s", times, axis=axis.name, size=size)
    _claim_growth(run, {int(size): times for size, times in series.items()}, f"{NAME}/{axis.name}")


def _claim_growth(run: Run, series: Mapping[int, Series], name: str) -> None:
    """Claim the exponent where the cost grows by more than its noise, and what the last decade of sizes makes it."""
    small, middle, large = last_decade(list(series))
    run.ratio(f"{name}/{large}:{middle}", series[large], series[middle], better="lower", noise=0.3)
    above = combine((series[middle], series[small]), lambda there, here: there - here)
    if (above.value if above.low is None else above.low) <= 0:
        run.result.notes.append(f"{name}: {middle} cost no more than {small}, so there is no exponent")
        return
    value = combine(
        tuple(series[size] for size in (small, middle, large)), lambda *costs: exponent((small, middle, large), costs)
    )
    run.claim(Claim(name=f"{name}/exponent", value=value, unit="exponent", better="lower", aim=MAX_EXPONENT))


def last_decade(sizes: Sequence[int]) -> tuple[int, int, int]:
    """Return the smallest size, the one between that is nearest to a tenth of the largest, and the largest."""
    small, *between, large = sorted(sizes)
    return small, min(between, key=lambda size: abs(math.log(large / size / DECADE))), large


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """Return k of the growth above the first of three sizes; 0 where there is none."""
    growths = [(size - sizes[0], cost - costs[0]) for size, cost in zip(sizes[1:], costs[1:], strict=True)]
    if any(cost <= 0 for _, cost in growths):
        return 0.0
    (there, less), (far, more) = growths
    return math.log(more / less) / math.log(far / there)


@contextlib.contextmanager
def _launches(run: Run) -> Iterator[list[Axis]]:
    with DevStack(run.directory / "stack") as stack:
        launchers.store_secrets(stack, 1000)
        program = compile_program("first", run.directory)

        def launch(count: int, number: int = 0) -> None:
            scene = Scene(
                stack=stack,
                directory=run.directory,
                program=program,
                bundle=run.directory,
                bridge=stack.bridge_url,
                openbao=stack.openbao.address,
                count=count,
            )
            ours = launchers.installed(scene)
            first = run.directory / f"first-{number}"
            done = subprocess.run(
                ours.command,
                env={**ours.environ, "BENCH_FIRST": str(first)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
            if done.returncode or int(first.read_text().split()[1]) != count:
                raise FailedError(f"a launch with {count} secrets ended with {done.returncode}")

        def at_once(count: int) -> None:
            with concurrent.futures.ThreadPoolExecutor(count) as pool:
                list(pool.map(lambda number: launch(10, number), range(count)))

        secrets = (1, 10, 100, 1000)
        # From more than there are cores on: until then, cores that were idle take what comes.
        crowds = (4, 12, 32) if run.quick else (4, 16, 64, 200)
        rounds = 2 if run.quick else 8
        yield [
            Axis("secrets of a launch", secrets, 10, lambda size: lambda: [_timed(lambda: launch(size))]),
            Axis("launches at once", crowds, rounds, lambda size: lambda: [_timed(lambda: at_once(size))]),
        ]


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _object_size(run: Run, target: Target, connection: Connection) -> Axis:
    def make(size: int) -> Callable[[], Sequence[float]]:
        with contextlib.closing(Payload(size)) as payload:
            connection.fetch(target.requests.put(f"size-{size}", payload))
        return lambda: [connection.timed(target.requests.get(f"size-{size}")) for _ in range(3)]

    sizes = tuple(1 << power for power in ((10, 14, 18, 22, 24) if run.quick else range(10, 29, 2)))
    return Axis("bytes of an object read", sizes, 10 if run.quick else 15, make)


def _parts(run: Run, target: Target, connection: Connection) -> Axis:
    """Read one size in more and more parts, so that nothing grows but their number."""
    counts = (1, 2, 4, 8) if run.quick else (1, 2, 4, 8, 16, 32)

    def make(count: int) -> Callable[[], Sequence[float]]:
        with contextlib.closing(Payload(_PART_BYTES * counts[-1] // count)) as part:
            upload(target, connection, f"parts-{count}", part, count)
        return lambda: [connection.timed(target.requests.get(f"parts-{count}"))]

    return Axis("parts of an object read", counts, 6 if run.quick else 10, make)


def _listing(run: Run, target: Target, connection: Connection) -> Axis:
    def make(size: int) -> Callable[[], Sequence[float]]:
        with contextlib.closing(Payload(16)) as payload:
            requests = [target.requests.put(f"list-{size}/{number:05}", payload) for number in range(size)]
            at_once(target.url, [requests[stream::_STREAMS] for stream in range(_STREAMS)])
        return lambda: [list_all(target, connection, f"list-{size}/", size)]

    sizes = (10, 100, 1200) if run.quick else (10, 100, 1000, 10_000)
    return Axis("keys of a listing", sizes, 10 if run.quick else 20, make)


def list_all(target: Target, connection: Connection, prefix: str, count: int) -> float:
    """List all keys with a prefix, page by page, and return the seconds that the pages took.

    Raises:
        FailedError: there are not that many keys.
    """
    seconds, keys, token = 0.0, 0, ""
    while True:
        request = target.requests.list(prefix, token)
        begin = time.perf_counter()
        page = connection.fetch(request)
        seconds += time.perf_counter() - begin
        keys += page.count(_KEY)
        found = _TOKEN.search(page)
        if found is None:
            break
        token = html.unescape(found[1].decode())
    if keys != count:
        raise FailedError(f"{target.url}: lists {keys} keys under {prefix} and has {count}")
    return seconds

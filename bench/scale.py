"""How each cost grows: with secrets, launches at once, object size, parts, and the length of a listing.

Each growth is fitted by one exponent, cost = a * size ** k. Fixed costs make k smaller, so k above 1 tells that the
cost per piece rises.
"""

import concurrent.futures
import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench import launchers
from bench.build import compile_program
from bench.launchers import Scene
from bench.multipart import upload
from bench.result import Claim
from bench.s3_load import Connection, Payload
from bench.s3_targets import Target, targets
from bench.samples import growth_exponent
from bench.suite import Run
from cli.dev.stack import DevStack
from strongroom.errors import PeerError

NAME: Final = "scale"
SUMMARY: Final = "how costs grow with secrets, launches at once, object size, parts and listing length"
MAX_EXPONENT: Final = 1.1  # no cost grows faster than what it is for
_PART_BYTES: Final = 5 << 20  # the least that S3 allows for all parts but the last
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
    growth = growth_exponent([(int(size), times.percentile(50)) for size, times in series.items()])
    run.claim(
        Claim(
            name=f"{NAME}/{axis.name}/exponent",
            value=growth,
            unit="exponent",
            better="lower",
            aim=MAX_EXPONENT,
            noise=0.3,
        )
    )


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
                msg = f"a launch with {count} secrets ended with {done.returncode}"
                raise PeerError(msg)

        def at_once(count: int) -> None:
            with concurrent.futures.ThreadPoolExecutor(count) as pool:
                list(pool.map(lambda number: launch(10, number), range(count)))

        secrets = (1, 10, 100, 1000)
        crowds = (1, 4, 16) if run.quick else (1, 4, 16, 64, 200)
        rounds = 2 if run.quick else 8
        yield [
            Axis("secrets of a launch", secrets, rounds, lambda size: lambda: [_timed(lambda: launch(size))]),
            Axis("launches at once", crowds, rounds, lambda size: lambda: [_timed(lambda: at_once(size))]),
        ]


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _object_size(run: Run, target: Target, connection: Connection) -> Axis:
    def make(size: int) -> Callable[[], Sequence[float]]:
        payload = Payload(size)
        connection.fetch(target.requests.put(f"size-{size}", payload))
        payload.close()
        return lambda: [connection.timed(target.requests.get(f"size-{size}")) for _ in range(3)]

    sizes = tuple(1 << power for power in ((10, 14, 18, 22, 24) if run.quick else range(10, 29, 2)))
    return Axis("bytes of an object read", sizes, 4 if run.quick else 15, make)


def _parts(run: Run, target: Target, connection: Connection) -> Axis:
    payload = Payload(_PART_BYTES)

    def make(count: int) -> Callable[[], Sequence[float]]:
        upload(target, connection, f"parts-{count}", payload, count)
        return lambda: [connection.timed(target.requests.get(f"parts-{count}"))]

    return Axis(
        "parts of an object read", (1, 2, 4, 8) if run.quick else (1, 2, 4, 8, 16, 32, 64), 3 if run.quick else 10, make
    )


def _listing(run: Run, target: Target, connection: Connection) -> Axis:
    sizes = (10, 100, 1000)
    payload = Payload(16)
    for size in sizes:
        for number in range(size):
            connection.timed(target.requests.put(f"list-{size}/{number:05}", payload))

    def make(size: int) -> Callable[[], Sequence[float]]:
        return lambda: [connection.timed(target.requests.list(f"list-{size}/"))]

    return Axis("keys of a listing", sizes, 4 if run.quick else 20, make)

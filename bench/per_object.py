"""What an object costs on its way: the bare store, a hop without crypto, our proxy, and rclone's crypt remote."""

import re
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.calls import count_requests
from bench.object_claims import Cell, claim_cpu, claim_latency, claim_throughput
from bench.object_memory import measure_memory
from bench.payload import Payload
from bench.processes import cpu_seconds, family, watched
from bench.s3_load import Connection, Request, at_once
from bench.s3_targets import Shape, Target, targets
from bench.samples import Series
from bench.suite import FailedError, Run
from bench.workloads import measure_workloads
from strongroom.errors import PeerError

NAME: Final = "per-object"
SUMMARY: Final = "PUT and GET through the S3 proxy, beside the bare store, haproxy and rclone crypt"
TARGETS: Final = ("store", "haproxy", "strongroom", "rclone")
STREAMS: Final = 16

_PATH: Final = "holiday (2026) & more/été"  # as people call things; SDKs percent-encode it


@dataclass(frozen=True)
class Size:
    """An object size, and how much is measured with it: requests in a batch, rounds; the same of STREAMS at once.

    Attributes:
        alone: shapes of requests that are measured with one stream only.
        crowded: with one stream and with STREAMS.
    """

    name: str
    bytes: int
    batch: int
    rounds: int
    per_stream: int
    stream_rounds: int = 10
    alone: tuple[Shape, ...] = ()
    crowded: tuple[Shape, ...] = ("boto3",)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All of them."""
        return self.alone + self.crowded


_QUICK: Final = (
    Size("1 KiB", 1 << 10, 10, 10, 20, 3, alone=("plain",)),
    Size("64 KiB", 1 << 16, 10, 6, 0, alone=("boto3",), crowded=()),
    Size("1 MiB", 1 << 20, 3, 5, 3, 3),
    Size("16 MiB", 1 << 24, 1, 2, 0, alone=("boto3",), crowded=()),
)
_FULL: Final = (
    Size("1 KiB", 1 << 10, 20, 40, 60, alone=("javascript", "rclone"), crowded=("plain", "boto3")),
    Size("64 KiB", 1 << 16, 20, 40, 40, alone=("javascript",), crowded=("plain", "boto3")),
    Size("1 MiB", 1 << 20, 5, 25, 8, alone=("plain",)),
    Size("16 MiB", 1 << 24, 2, 12, 1),
    Size("128 MiB", 1 << 27, 1, 6, 1, 2),  # of 16 streams a round writes 8 GiB
)


def measure(run: Run) -> None:
    """Measure every size, way and target, then workloads and memory; first calls of the KMS and of the interpreter."""
    sizes = _QUICK if run.quick else _FULL
    with targets(run.directory, TARGETS, leave_out=run.leave_out) as running:
        if "rclone" in running:
            run.result.notes.append(f"{NAME}: rclone is sent plain PUTs instead of boto3's, which it refuses with 411")
        run.tell(f"{NAME}: calls of the KMS", 0.0)
        count_kms_calls(run, running["strongroom"], suite=NAME)  # first: nothing has asked this proxy for a key yet
        run.tell(f"{NAME}: calls of the interpreter", 0.03)
        count_requests(run, running["store"].endpoint, suite=NAME)
        cells = [(size, shape, way) for size in sizes for shape in size.shapes for way in ("PUT", "GET")]
        for number, (size, shape, way) in enumerate(cells):
            cell = Cell(NAME, shape, way, size.name)
            run.tell(f"{NAME}: {cell.operation} {size.name}", 0.05 + number / len(cells) * 0.7)
            _measure_cell(run, running, size, cell)
        run.tell(f"{NAME}: workloads", 0.75)
        measure_workloads(run, running, suite=NAME)
        run.tell(f"{NAME}: memory", 0.9)
        measure_memory(run, running["strongroom"], suite=NAME)


def _measure_cell(run: Run, running: Mapping[str, Target], size: Size, cell: Cell) -> None:
    payload = Payload(size.bytes)
    try:
        for target in running.values():
            _store_and_check(target, payload, cell.shape)
        _measure_latency(run, running, size, cell, payload)
        if cell.shape in size.crowded:
            _measure_throughput(run, running, size, cell, payload)
    finally:
        payload.close()


def _store_and_check(target: Target, payload: Payload, shape: Shape) -> None:
    """Store the object that is read, and see that what comes back is what was stored."""
    with Connection(target.url) as connection:
        connection.fetch(target.put(shape, _PATH, payload))
        if connection.sha256(target.get(shape, _PATH)) != payload.sha256():
            raise FailedError(f"{target.url}: does not give back what was stored")


def _requests(target: Target, cell: Cell, payload: Payload, count: int, stream: int = 0) -> list[Request]:
    """Return requests that differ, as those of clients do in the id of the call: what is kept of one helps no other."""
    if cell.way == "GET":
        return [target.get(cell.shape, _PATH) for _ in range(count)]
    return [target.put(cell.shape, f"{_PATH} {stream}/{number}", payload) for number in range(count)]


def _measure_latency(run: Run, running: Mapping[str, Target], size: Size, cell: Cell, payload: Payload) -> None:
    connections = {name: Connection(target.url) for name, target in running.items()}
    cpu: dict[str, list[Sequence[float]]] = {name: [] for name in running}

    def batch(name: str) -> Callable[[], list[float]]:
        target, requests = running[name], _requests(running[name], cell, payload, size.batch)

        def requests_in_turn() -> list[float]:
            before = cpu_seconds(family(target.pid))
            times = [connections[name].timed(request) for request in requests]
            cpu[name].append([(cpu_seconds(family(target.pid)) - before) / len(times)])
            return times

        return requests_in_turn

    peaks = {}
    try:
        series = run.interleaved({name: batch(name) for name in running}, rounds=size.rounds)
        for name, target in running.items():
            peaks[name] = _peak_bytes(target, batch(name))
    finally:
        for connection in connections.values():
            connection.close()
    for name, times in series.items():
        labels = {"target": name, "operation": cell.operation, "size": size.name, "streams": "1"}
        run.result.add(NAME, "latency", "s", times, **labels)
        _add_usage(run, cpu[name], peaks[name], len(times.rounds), labels)
    claim_latency(run, cell, series)
    claim_cpu(run, cell, {name: Series(cpu[name][1 : 1 + len(times.rounds)]) for name, times in series.items()})


def _peak_bytes(target: Target, batch: Callable[[], object]) -> int:
    """Return the peak memory in one more batch, which is not timed: anyone who looks at memory takes time."""
    with watched(target.pid) as usage:
        batch()
    return usage.peak_bytes


def _add_usage(run: Run, cpu: Sequence[Sequence[float]], peak: int, rounds: int, labels: Mapping[str, str]) -> None:
    """Add processor time per request and peak memory; the batches before and after the rounds do not count."""
    run.result.add_mean(NAME, "cpu", "s", Series(cpu[-1 - rounds : -1]), **labels)
    run.result.add_peak(NAME, "memory", "B", Series([[float(peak)]]), **labels)


def _measure_throughput(run: Run, running: Mapping[str, Target], size: Size, cell: Cell, payload: Payload) -> None:
    cpu: dict[str, list[Sequence[float]]] = {name: [] for name in running}
    latencies: dict[str, list[Sequence[float]]] = {name: [] for name in running}

    def batch(name: str) -> Callable[[], list[float]]:
        target = running[name]
        streams = [_requests(target, cell, payload, size.per_stream, stream) for stream in range(STREAMS)]

        def all_streams() -> list[float]:
            before = cpu_seconds(family(target.pid))
            seconds, times = at_once(target.url, streams)
            cpu[name].append([(cpu_seconds(family(target.pid)) - before) / len(times)])
            latencies[name].append(times)
            return [len(times) * size.bytes / seconds]

        return all_streams

    series = run.interleaved({name: batch(name) for name in running}, rounds=size.stream_rounds)
    for name, rates in series.items():
        labels = {"target": name, "operation": cell.operation, "size": size.name, "streams": str(STREAMS)}
        run.result.add(NAME, "throughput", "B/s", rates, **labels)
        rounds = len(rates.rounds)
        run.result.add(NAME, "stream_latency", "s", Series(latencies[name][-rounds:]), **labels)
        _add_usage(run, cpu[name], _peak_bytes(running[name], batch(name)), rounds, labels)
    claim_throughput(run, cell, series)


REQUESTS: Final = 1000
_STREAMS: Final = 10  # so that all processes of the proxy are asked
_COUNTS: Final = re.compile(r'^strongroom_s3proxy_bucket_keys_total\{result="(hit|miss)"\} (\S+)$', re.MULTILINE)


def count_kms_calls(run: Run, target: Target, *, suite: str) -> None:
    """Count the calls of the KMS for 1,000 requests, half of them reading: first ones of a proxy, and the same again.

    The proxy of the benchmarks has a key file instead of a KMS. Each key that is not at hand, by its own count, is
    wrapped or unwrapped by one call; requests that ask for the same key at the same time share one, so this counts
    rather too many than too few.

    Raises:
        PeerError: the proxy does not count a key for each request; its misses would mean nothing.
    """
    payload = Payload(1 << 10)
    streams: list[list[Request]] = []
    for stream in range(_STREAMS):
        keys = [f"kms/{stream}/{number}" for number in range(REQUESTS // _STREAMS // 2)]
        streams.append([target.requests.put(key, payload) for key in keys] + [target.requests.get(key) for key in keys])
    names = ("KMS calls of the first 1,000 requests", "KMS calls per 1,000 requests")
    for name, aim in zip(names, (None, 1), strict=True):
        before = read_counts(target)
        at_once(target.url, streams)
        hits, misses = (after - earlier for after, earlier in zip(read_counts(target), before, strict=True))
        if hits + misses < REQUESTS:
            msg = f"{target.health}: counts {hits + misses:g} bucket keys in {REQUESTS} requests"
            raise PeerError(msg, hint="has strongroom_s3proxy_bucket_keys another name or meaning now?")
        run.count(f"{suite}/{name}", misses, "calls", aim=aim, noise=None if aim is None else 0.0)
    payload.close()


def read_counts(target: Target) -> tuple[float, float]:
    """Return how many bucket keys were at hand and how many were not, since the proxy started."""
    with urllib.request.urlopen(f"http://{target.health}/metrics", timeout=10) as answer:
        counts = dict(_COUNTS.findall(answer.read().decode()))
    return float(counts.get("hit", 0)), float(counts.get("miss", 0))

"""What an object costs on its way: the bare store, a hop without crypto, our proxy, and rclone's crypt remote."""

import re
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.object_memory import measure_memory
from bench.processes import cpu_seconds, family
from bench.result import Claim
from bench.s3_load import Connection, Payload, Request, at_once
from bench.s3_targets import Target, targets
from bench.samples import Series, combine, ratio
from bench.suite import Run
from bench.workloads import measure_workloads
from strongroom.errors import PeerError

NAME: Final = "per-object"
SUMMARY: Final = "PUT and GET through the S3 proxy, beside the bare store, haproxy and rclone crypt"
TARGETS: Final = ("store", "haproxy", "strongroom", "rclone")
STREAMS: Final = 16
SMALL_BYTES: Final = 1 << 16  # up to here latency is promised, from 1 MiB on throughput
_LEAST_S: Final = 1e-4  # a hop that adds less than this cannot be told from none on a machine with other work

MAX_ADDED: Final = 1.5  # times what haproxy adds
MIN_THROUGHPUT: Final = 0.7  # of haproxy's


@dataclass(frozen=True)
class Size:
    """An object size, and how much is measured with it: requests in a batch, rounds, and requests per stream."""

    name: str
    bytes: int
    batch: int
    rounds: int
    per_stream: int


_QUICK: Final = (
    Size("1 KiB", 1 << 10, 10, 10, 20),
    Size("64 KiB", 1 << 16, 10, 6, 0),
    Size("1 MiB", 1 << 20, 3, 5, 3),
    Size("16 MiB", 1 << 24, 1, 2, 0),
)
_FULL: Final = (
    Size("1 KiB", 1 << 10, 20, 40, 60),
    Size("64 KiB", 1 << 16, 20, 40, 40),
    Size("1 MiB", 1 << 20, 5, 25, 8),
    Size("16 MiB", 1 << 24, 2, 12, 1),
    Size("128 MiB", 1 << 27, 1, 6, 0),
)


def measure(run: Run) -> None:
    """Measure every size, way and target, then workloads, calls of the KMS, and memory."""
    sizes = _QUICK if run.quick else _FULL
    with targets(run.directory, TARGETS) as running:
        steps = [(size, way) for size in sizes for way in ("PUT", "GET")]
        for number, (size, way) in enumerate(steps):
            run.tell(f"{NAME}: {way} {size.name}", number / len(steps) * 0.7)
            _measure_cell(run, running, size, way)
        run.tell(f"{NAME}: workloads", 0.75)
        measure_workloads(run, running, suite=NAME)
        run.tell(f"{NAME}: calls of the KMS", 0.85)
        _count_kms_calls(run, running["strongroom"])
        run.tell(f"{NAME}: memory", 0.9)
        measure_memory(run, running["strongroom"], suite=NAME)


def _measure_cell(run: Run, running: Mapping[str, Target], size: Size, way: str) -> None:
    payload = Payload(size.bytes)
    try:
        for target in running.values():
            _store_and_check(target, payload)
        _measure_latency(run, running, size, way, payload)
        if size.per_stream:
            _measure_throughput(run, running, size, way, payload)
    finally:
        payload.close()


def _store_and_check(target: Target, payload: Payload) -> None:
    """Store the object that is read, and see that what comes back is what was stored."""
    with Connection(target.url) as connection:
        connection.fetch(target.requests.put("object", payload))
        if connection.sha256(target.requests.get("object")) != payload.sha256():
            msg = f"{target.url}: does not give back what was stored"
            raise PeerError(msg)


def _requests(target: Target, way: str, payload: Payload, count: int, stream: int = 0) -> list[Request]:
    if way == "GET":
        return [target.requests.get("object")] * count
    return [target.requests.put(f"stream-{stream}/{number}", payload) for number in range(count)]


def _measure_latency(run: Run, running: Mapping[str, Target], size: Size, way: str, payload: Payload) -> None:
    connections = {name: Connection(target.url) for name, target in running.items()}
    cpu: dict[str, list[Sequence[float]]] = {name: [] for name in running}

    def batch(name: str) -> Callable[[], list[float]]:
        target, requests = running[name], _requests(running[name], way, payload, size.batch)

        def requests_in_turn() -> list[float]:
            before = cpu_seconds(family(target.pid))
            times = [connections[name].timed(request) for request in requests]
            cpu[name].append([(cpu_seconds(family(target.pid)) - before) / len(times)])
            return times

        return requests_in_turn

    try:
        series = run.interleaved({name: batch(name) for name in running}, rounds=size.rounds)
    finally:
        for connection in connections.values():
            connection.close()
    for name, times in series.items():
        labels = {"target": name, "operation": way, "size": size.name, "streams": "1"}
        run.result.add(NAME, "latency", "s", times, **labels)
        mean = sum(value for (value,) in cpu[name][1:]) / (len(cpu[name]) - 1)  # ticks are coarse; only the mean tells
        run.result.add(NAME, "cpu", "s", Series([[mean]]), **labels)
    _claim_latency(run, series, f"{NAME}/{way}/{size.name}", small=size.bytes <= SMALL_BYTES)


def _claim_latency(run: Run, series: Mapping[str, Series], cell: str, *, small: bool) -> None:
    store, haproxy, ours, rclone = (series[name] for name in TARGETS)
    run.claim(
        Claim(
            name=f"{cell}/latency/strongroom:rclone",
            value=ratio(ours, rclone),
            unit="ratio",
            better="lower",
            aim=1.0,
            noise=0.25,
        )
    )
    run.claim(
        Claim(
            name=f"{cell}/latency/strongroom:haproxy",
            value=ratio(ours, haproxy),
            unit="ratio",
            better="lower",
            noise=0.25,
        )
    )
    if small:
        added = combine((ours, haproxy, store), lambda a, b, c: (a - c) / max(b - c, _LEAST_S))
        aim = MAX_ADDED
        run.claim(
            Claim(name=f"{cell}/added latency/strongroom:haproxy", value=added, unit="ratio", better="lower", aim=aim)
        )


def _measure_throughput(run: Run, running: Mapping[str, Target], size: Size, way: str, payload: Payload) -> None:
    def batch(target: Target) -> Callable[[], list[float]]:
        streams = [_requests(target, way, payload, size.per_stream, stream) for stream in range(STREAMS)]

        def all_streams() -> list[float]:
            seconds, times = at_once(target.url, streams)
            return [len(times) * size.bytes / seconds]

        return all_streams

    rounds = 3 if run.quick else 10
    series = run.interleaved({name: batch(target) for name, target in running.items()}, rounds=rounds)
    for name, rates in series.items():
        labels = {"target": name, "operation": way, "size": size.name, "streams": str(STREAMS)}
        run.result.add(NAME, "throughput", "B/s", rates, **labels)
    cell = f"{NAME}/{way}/{size.name}/throughput"
    for other, aim in (("haproxy", None if size.bytes <= SMALL_BYTES else MIN_THROUGHPUT), ("rclone", 1.0)):
        share = ratio(series["strongroom"], series[other])
        name = f"{cell}/strongroom:{other}"
        run.claim(Claim(name=name, value=share, unit="ratio", better="higher", aim=aim, noise=0.3))


def _count_kms_calls(run: Run, target: Target) -> None:
    """Count how often the key file, which stands for a KMS here, is asked in 1,000 requests."""
    payload = Payload(1 << 10)
    before = _kms_calls(target)
    with Connection(target.url) as connection:
        for request in _requests(target, "PUT", payload, 500) + _requests(target, "GET", payload, 500):
            connection.timed(request)
    payload.close()
    calls = _kms_calls(target) - before
    run.count(f"{NAME}/KMS calls per 1,000 requests", calls, "calls", aim=1, noise=0.0)


def _kms_calls(target: Target) -> float:
    with urllib.request.urlopen(f"http://{target.health}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(r'^strongroom_s3proxy_bucket_keys_total\{result="(?:miss|shared)"\} (\S+)$', text, re.MULTILINE)
    return sum(float(number) for number in found)

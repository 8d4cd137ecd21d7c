"""Workloads of a kind that somebody runs, instead of one request over and over: what users of the proxy would feel.

Each is a fixed list of requests as boto3 sends them, the same for every target. The mixes are ours and stand here in
full, so that others can argue with them.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.payload import Payload
from bench.s3_load import Connection, Request, at_once
from bench.s3_targets import Target
from bench.samples import Series
from bench.suite import Run

_SEED: Final = 7
_KIB: Final = 1 << 10


@dataclass(frozen=True)
class Workload:
    """One kind.

    Attributes:
        name: in results.
        sizes: of its objects, one drawn for each object.
        objects: how many there are.
        reads: share of the requests that read.
        requests: per stream and round.
        streams: at once.
    """

    name: str
    sizes: tuple[int, ...]
    objects: int
    reads: float
    requests: int
    streams: int


WORKLOADS: Final = (
    # A web application that keeps sessions, documents and pictures: nine reads for each write.
    Workload("web API", (2 * _KIB, 8 * _KIB, 32 * _KIB, 128 * _KIB), objects=40, reads=0.9, requests=20, streams=8),
    # A job that reads a partition, writes as much, and is done when all of it is done.
    Workload("batch job", (4096 * _KIB,), objects=8, reads=0.5, requests=4, streams=4),
    # Thumbnails, feature flags: one page asks for dozens of small objects at once.
    Workload("small objects", (_KIB, 2 * _KIB, 4 * _KIB), objects=64, reads=1.0, requests=6, streams=32),
)


def measure_workloads(run: Run, running: Mapping[str, Target], *, suite: str) -> None:
    """Measure all of them: the duration of the whole, and the latency of each request in it."""
    for workload in WORKLOADS:
        _measure(run, running, workload, suite)


def _measure(run: Run, running: Mapping[str, Target], workload: Workload, suite: str) -> None:
    payloads = {size: Payload(size) for size in workload.sizes}
    latencies: dict[str, list[list[float]]] = {name: [] for name in running}

    def batch(name: str) -> Callable[[], list[float]]:
        streams = _streams(running[name], workload, payloads)

        def all_of_it() -> list[float]:
            seconds, times = at_once(running[name].url, streams)
            latencies[name].append(times)
            return [seconds]

        return all_of_it

    durations = run.interleaved({name: batch(name) for name in running}, rounds=3 if run.quick else 12)
    for name, seconds in durations.items():
        labels = {"target": name, "workload": workload.name}
        run.result.add(suite, "workload_duration", "s", seconds, **labels)
        run.result.add(suite, "workload_latency", "s", Series(latencies[name][1:]), **labels)
    for other in sorted({"haproxy", "rclone"} & set(durations)):
        name = f"{suite}/{workload.name}/duration/strongroom:{other}"
        aim = 1.0 if other == "rclone" else None
        run.ratio(name, durations["strongroom"], durations[other], better="lower", aim=aim, noise=0.3)
    for payload in payloads.values():
        payload.close()


def _streams(target: Target, workload: Workload, payloads: Mapping[int, Payload]) -> list[list[Request]]:
    """Store the objects and return the requests of each stream; a stream writes objects of its own."""
    source = random.Random(_SEED)  # noqa: S311 - which object is asked for
    keys = [f"{workload.name.replace(' ', '-')}/{number}" for number in range(workload.objects)]
    with Connection(target.url) as connection:
        for key in keys:
            connection.fetch(target.requests.put(key, payloads[source.choice(workload.sizes)]))
    streams = []
    for stream in range(workload.streams):
        requests = []
        for number in range(workload.requests):
            if source.random() < workload.reads:
                requests.append(target.get("boto3", source.choice(keys)))
            else:
                key, payload = f"{keys[0]}-by-{stream}-{number}", payloads[source.choice(workload.sizes)]
                requests.append(target.put("boto3", key, payload))
        streams.append(requests)
    return streams

"""What the bridge can carry: bundles per second and core, storms of launches, and what a durable audit log costs."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.bridge_load import Caller, bundle_request, streams
from bench.launchers import store_secrets
from bench.processes import cpu_seconds, family, watched
from bench.result import Better, Claim
from bench.samples import Series
from bench.suite import Run
from bridge.audit import Durability
from devstack.service import BridgeProcess
from devstack.stack import DevStack

NAME: Final = "bridge"
SUMMARY: Final = "bundles per second and core, storms of launches, the cost of audit durability"
SECRETS: Final = 10
STORM: Final = 200
_STREAMS: Final = 8


@dataclass(frozen=True)
class _Contender:
    caller: Caller
    pid: int


def measure(run: Run) -> None:
    """Run one bridge for each kind of audit durability beside one OpenBao, and ask them in turns."""
    with contextlib.ExitStack() as stack:
        dev = stack.enter_context(DevStack(run.directory / "stack"))
        store_secrets(dev, SECRETS)
        contenders = {}
        for durability in Durability:
            directory = run.directory / durability.value
            settings = {**dev.bridge_settings, "audit_durability": durability.value}
            settings["audit_file"] = str(run.directory / f"audit-{durability.value}.jsonl")
            bridge = stack.enter_context(BridgeProcess(directory, settings))
            contenders[f"audit {durability.value}"] = _Contender(Caller(dev, bridge.address), bridge.pid)
        request = bundle_request(SECRETS)
        run.tell(f"{NAME}: one caller", 0.1)
        _measure_one_caller(run, contenders, request)
        run.tell(f"{NAME}: {_STREAMS} callers", 0.3)
        _measure_throughput(run, contenders, request)
        run.tell(f"{NAME}: {STORM} launches at once", 0.6)
        _measure_storm(run, contenders, request)


def _measure_one_caller(run: Run, contenders: Mapping[str, _Contender], request: bytes) -> None:
    with contextlib.ExitStack() as stack:
        connections = {name: stack.enter_context(one.caller.connect()) for name, one in contenders.items()}

        def batch(name: str) -> Callable[[], list[float]]:
            return lambda: [connections[name].ask(request) for _ in range(5)]

        series = run.interleaved({name: batch(name) for name in contenders}, rounds=10 if run.quick else 60)
    for name, times in series.items():
        run.result.add(NAME, "latency", "s", times, target=name, callers="1")
    _claim_durability(run, series, "latency", better_when="lower")


def _measure_throughput(run: Run, contenders: Mapping[str, _Contender], request: bytes) -> None:
    per_core: dict[str, list[list[float]]] = {name: [] for name in contenders}
    each = 15 if run.quick else 50
    with contextlib.ExitStack() as stack:
        connections = {
            name: [stack.enter_context(one.caller.connect()) for _ in range(_STREAMS)]
            for name, one in contenders.items()
        }

        def batch(name: str) -> Callable[[], list[float]]:
            def all_of_them() -> list[float]:
                pids = family(contenders[name].pid)
                before = cpu_seconds(pids)
                seconds, times = streams(connections[name], request, each)
                per_core[name].append([len(times) / max(cpu_seconds(pids) - before, 0.01)])  # a clock tick
                return [len(times) / seconds]

            return all_of_them

        series = run.interleaved({name: batch(name) for name in contenders}, rounds=4 if run.quick else 20)
    for name, rates in series.items():
        labels = {"target": name, "callers": str(_STREAMS)}
        run.result.add(NAME, "throughput", "1/s", rates, **labels)
        rates_per_core = Series(per_core[name][1:])
        run.result.add(NAME, "throughput_per_core", "1/s", rates_per_core, **labels)
        claim = f"{NAME}/bundles per second and core/{name}"  # of this machine, but kept in the history
        run.claim(Claim(name=claim, value=rates_per_core.estimate(50), unit="1/s", better="higher"))
    _claim_durability(run, series, "throughput", better_when="higher")


def _claim_durability(run: Run, series: Mapping[str, Series], what: str, *, better_when: Better) -> None:
    durable, lax = (series[f"audit {one.value}"] for one in (Durability.FSYNC, Durability.WRITE))
    name = f"{NAME}/{what}/audit fsync:audit write"
    run.ratio(name, durable, lax, better=better_when, noise=0.5)


def _measure_storm(run: Run, contenders: Mapping[str, _Contender], request: bytes) -> None:
    """All callers connect at the same moment, as after the loss of a node; a handshake is part of each."""

    def batch(one: _Contender) -> Callable[[], list[float]]:
        return lambda: one.caller.launches_at_once(STORM, request)

    with contextlib.ExitStack() as stack:
        usages = {name: stack.enter_context(watched(one.pid)) for name, one in contenders.items()}
        rounds = 2 if run.quick else 10
        series = run.interleaved({name: batch(one) for name, one in contenders.items()}, rounds=rounds)
    for name, times in series.items():
        run.result.add(NAME, "storm_latency", "s", times, target=name, callers=str(STORM))
        peak = float(usages[name].peak_bytes)
        run.result.add_peak(NAME, "memory", "B", Series([[peak]]), target=name, callers=str(STORM))

"""How long a program waits for its secrets: from exec of the wrapper to the first instruction of ``main``."""

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench import launchers
from bench.calls import NOISE as CALLS_NOISE
from bench.calls import count_launch
from bench.gate import MIN_ROUNDS
from bench.launch_gauge import LaunchGauge
from bench.launchers import Launcher, Scene
from bench.namespace import Namespace
from bench.relay import PHASES, Relay, round_trips, split_launch
from bench.result import Claim
from bench.samples import Series, combine
from bench.suite import ROOT, Run, compile_program
from devstack.stack import DevStack
from strongroom.errors import StrongroomError

NAME: Final = "pod-start"
SUMMARY: Final = "from exec of the wrapper to main of the application, beside bao agent, sops and dotenvx"
PEERS: Final = ("bao agent", "sops", "dotenvx")
MIN_TIMES_QUICKER: Final = {"bao agent": 60.0, "sops": 1.0}
MAX_ABOVE_NAKED_S: Final = {"strongroom": 0.026, "strongroom bundle": 0.024}
_PROMISED: Final = (10, 0)  # secrets, milliseconds of network: where the promises stand
_MOST_FOR_DOTENVX: Final = 100  # secrets: it takes some 15 ms for each
_FAR_S: Final = 0.08  # a network on which no server answers before the whole of a client's flight has come
_TRIES: Final = 3
_INTERPRETER: Final = """\
import time
now = time.monotonic_ns()
import os
open(os.environ["BENCH_FIRST"], "w").write(f"{now} 0")
"""


def measure(run: Run) -> None:
    """Measure every number of secrets, length of the network and way of launching; then the phases of ours."""
    prefix = _dotenvx(run)
    program = compile_program("first", run.directory)
    bundle = run.directory / "bundle"
    strongroom = str(Path(sys.executable).with_name("strongroom"))
    subprocess.run([strongroom, "bundle", str(bundle)], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    gauge = LaunchGauge(run.directory)
    with DevStack(run.directory / "stack") as stack, _namespace(run) as namespace:
        admin = stack.openbao.admin
        admin.call("POST", "sys/mounts/transit", {"type": "transit"})
        admin.call("POST", "transit/keys/sops", {})
        launchers.store_secrets(stack, 1000)
        cells = _cells(quick=run.quick)
        for number, (count, delay_ms, rounds) in enumerate(cells):
            run.tell(f"{NAME}: {count} secrets, {delay_ms} ms of network", number / (len(cells) + 1))
            with _network(stack, namespace, delay_ms) as (bridge, openbao):
                scene = Scene(
                    stack=stack,
                    directory=run.directory,
                    program=program,
                    bundle=bundle,
                    bridge=bridge,
                    openbao=openbao,
                    count=count,
                )
                ways = _ways(run, scene, prefix, lean=run.quick and (count, delay_ms) != _PROMISED)
                _measure_cell(run, gauge, ways, scene, delay_ms, rounds)
        run.tell(f"{NAME}: phases", len(cells) / (len(cells) + 1))
        scene = replace(scene, count=_PROMISED[0], bridge=stack.bridge_url, openbao=stack.openbao.address)
        _measure_phases(run, gauge, scene)
        _measure_processor_time(run, gauge, scene)
        calls = count_launch(launchers.installed(scene), run.directory)
        run.count(f"{NAME}/{scene.count} secrets/calls of a launch", calls, "calls", noise=CALLS_NOISE)
        trips = _count_round_trips(gauge, scene)
        run.count(f"{NAME}/network round trips of a launch", trips, "calls", aim=4, noise=0.2)


def _cells(*, quick: bool) -> list[tuple[int, int, int]]:
    """Return (secrets, milliseconds of network, rounds)."""
    if quick:
        return [(10, 0, 5), (1000, 0, 2), (10, 80, 2)]
    # As many rounds as the drift gate asks for; more where the promises stand.
    return [
        (count, delay, 15 if (count, delay) == _PROMISED else MIN_ROUNDS)
        for delay in (0, 10, 80)
        for count in (1, 10, 100, 1000)
    ]


def _dotenvx(run: Run) -> Path | None:
    try:
        prefix = launchers.install_dotenvx(run.cache)
        version = launchers.dotenvx_version(prefix)
    except (StrongroomError, OSError, subprocess.SubprocessError) as error:
        run.leave_out("dotenvx", str(error))
        return None
    note = f"dotenvx is version {version}; it has no more than {_MOST_FOR_DOTENVX} secrets: it takes 15 ms for each"
    run.result.notes.append(f"{NAME}: {note}")
    return prefix


def _ways(run: Run, scene: Scene, prefix: Path | None, *, lean: bool) -> dict[str, Launcher]:
    ways = {"naked": launchers.naked(scene), "strongroom": launchers.installed(scene)}
    if not lean:
        ways |= {"strongroom bundle": launchers.bundled(scene), "strongroom supervised": launchers.supervised(scene)}
    peers: dict[str, Callable[[], Launcher]] = {
        "bao agent": lambda: launchers.bao_agent(scene),
        "sops": lambda: launchers.sops(scene),
    }
    if prefix is not None and not lean and scene.count <= _MOST_FOR_DOTENVX:
        peers["dotenvx"] = lambda: launchers.dotenvx(scene, prefix)
    for name, make in peers.items():
        try:
            ways[name] = make()
        except (StrongroomError, OSError, subprocess.SubprocessError) as error:
            run.leave_out(name, f"{NAME}, {scene.count} secrets: {error}")
    return ways


@contextlib.contextmanager
def _namespace(run: Run) -> Iterator[Namespace | None]:
    try:
        namespace = Namespace()
    except PermissionError:
        note = "launches over a network are made outside of a namespace of their own, which only root can make"
        run.result.notes.append(f"{NAME}: {note}")
        yield None
        return
    with namespace:
        yield namespace


@contextlib.contextmanager
def _network(stack: DevStack, namespace: Namespace | None, delay_ms: int) -> Iterator[tuple[str, str]]:
    """Yield the URLs of bridge and OpenBao; where there is to be a network, those of relays.

    The block is then inside the namespace, where launches can reach nothing but these relays.
    """
    if not delay_ms:
        yield stack.bridge_url, stack.openbao.address
        return
    with contextlib.ExitStack() as block:
        urls = []
        for url in (stack.bridge_url, stack.openbao.address):
            place = urlsplit(url)
            listener = namespace.listener() if namespace else None
            relay = Relay(place.hostname or "", place.port or 0, round_trip_s=delay_ms / 1000, listener=listener)
            block.enter_context(relay)
            urls.append(f"https://127.0.0.1:{relay.port}")
        if namespace:
            block.enter_context(namespace.entered())
        yield urls[0], urls[1]


class _FirstLaunchFails(Exception):  # noqa: N818 - caught where it can be mended
    """A peer does not work here at all."""


def _measure_cell(  # noqa: PLR0913, PLR0917 - one cell of three dimensions
    run: Run, gauge: LaunchGauge, ways: Mapping[str, Launcher], scene: Scene, delay_ms: int, rounds: int
) -> None:
    """Measure all ways in turns. A peer whose first launch fails is left out; if ours fails, that is the result."""
    used: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}

    def batch(name: str) -> Callable[[], list[float]]:
        def once() -> list[float]:
            try:
                begin, first = gauge.start(ways[name], secrets=scene.count)
            except StrongroomError as error:
                if used[name] or name not in PEERS:
                    raise
                raise _FirstLaunchFails(name, str(error)) from None
            used[name].append((gauge.cpu_s, float(gauge.peak_bytes)))
            return [(first - begin) / 1e9]

        return once

    try:
        series = run.interleaved({name: batch(name) for name in ways}, rounds=rounds)
    except _FirstLaunchFails as failure:
        failed, why = failure.args
        run.leave_out(failed, f"{NAME}, {scene.count} secrets, {delay_ms} ms: {why}")
        others = {name: way for name, way in ways.items() if name != failed}
        _measure_cell(run, gauge, others, scene, delay_ms, rounds)
        return
    for name, times in series.items():
        labels = {"target": name, "secrets": str(scene.count), "network": f"{delay_ms} ms"}
        counted = used[name][-len(times.rounds) :]
        run.result.add(NAME, "latency", "s", times, **labels)
        run.result.add(NAME, "cpu", "s", Series([[cpu] for cpu, _ in counted]), **labels)
        run.result.add(NAME, "memory", "B", Series([[peak] for _, peak in counted]), **labels)
    _claim(run, series, f"{NAME}/{scene.count} secrets/{delay_ms} ms", promised=(scene.count, delay_ms) == _PROMISED)


def _claim(run: Run, series: Mapping[str, Series], cell: str, *, promised: bool) -> None:
    for other in PEERS:
        if other in series:
            aim = MIN_TIMES_QUICKER.get(other) if promised else None
            name = f"{cell}/{other}:strongroom"
            run.ratio(name, series[other], series["strongroom"], better="higher", aim=aim, noise=0.3)
    for ours in ("strongroom", "strongroom bundle", "strongroom supervised"):
        if ours in series:
            above = combine((series[ours], series["naked"]), lambda a, b: a - b)
            aim = MAX_ABOVE_NAKED_S.get(ours) if promised else None
            run.claim(Claim(name=f"{cell}/{ours} above naked", value=above, unit="s", better="lower", aim=aim))


def _measure_phases(run: Run, gauge: LaunchGauge, scene: Scene) -> None:
    """Split our launch by what passes on the network, and by when an interpreter that does nothing else begins."""
    place = urlsplit(scene.stack.bridge_url)
    phases: dict[str, list[list[float]]] = {name: [] for name in PHASES}
    interpreter = _interpreter()
    with Relay(place.hostname or "", place.port or 0) as relay:
        ours = launchers.installed(replace(scene, bridge=f"https://127.0.0.1:{relay.port}"))
        for _ in range(5 if run.quick else 30):
            begin, first = gauge.start(interpreter, secrets=0)
            start_up = first - begin
            begin, first = gauge.start(ours, secrets=scene.count)
            for name, length in split_launch(relay.passages[-1], begin, first, start_up).items():
                phases[name].append([length / 1e9])
    for name, lengths in phases.items():
        run.result.add(NAME, "phase", "s", Series(lengths), phase=name)
    total = sum(statistics.median(length for (length,) in lengths) for lengths in phases.values())
    run.result.notes.append(f"{NAME}: the phases add up to {total * 1e3:.1f} ms; the relay between them costs some")


def _interpreter() -> Launcher:
    """Start an interpreter as launches do, and do nothing with it."""
    return Launcher(command=[sys.executable, "-IS", "-c", _INTERPRETER], environ={"PATH": "/usr/bin:/bin"})


def _measure_processor_time(run: Run, gauge: LaunchGauge, scene: Scene) -> None:
    """Compare the processor time of launches with that of an interpreter alone: a ratio for the drift gate."""
    ways = {"strongroom": launchers.installed(scene), "strongroom bundle": launchers.bundled(scene)}

    def batch(launcher: Launcher, secrets: int) -> Callable[[], list[float]]:
        def once() -> list[float]:
            gauge.start(launcher, secrets=secrets)
            return [gauge.cpu_s]

        return once

    batches = {name: batch(launcher, scene.count) for name, launcher in ways.items()}
    series = run.interleaved({"interpreter": batch(_interpreter(), 0), **batches}, rounds=12 if run.quick else 40)
    for ours in ways:
        name = f"{NAME}/{scene.count} secrets/processor time/{ours}:interpreter"
        run.ratio(name, series[ours], series["interpreter"], better="lower", noise=0.25)


def _count_round_trips(gauge: LaunchGauge, scene: Scene) -> int:
    """Count how often our launch waits for the network, over a long one."""
    place = urlsplit(scene.stack.bridge_url)
    counts = []
    for _ in range(_TRIES):
        with Relay(place.hostname or "", place.port or 0, round_trip_s=_FAR_S) as relay:
            ours = launchers.installed(replace(scene, bridge=f"https://127.0.0.1:{relay.port}"))
            _, first = gauge.start(ours, secrets=scene.count)
            counts.append(sum(round_trips(passage, first) for passage in relay.passages))
    return min(counts)  # a stalled machine can tear one flight into two, never make two one

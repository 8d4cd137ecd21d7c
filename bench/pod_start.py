"""How long a program waits for its secrets: from exec of the wrapper to the first instruction of ``main``."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench import launchers
from bench.gate import MIN_ROUNDS
from bench.launchers import Launcher, Scene
from bench.namespace import Namespace
from bench.relay import PHASES, Relay, round_trips, split_launch
from bench.result import Claim
from bench.samples import Series, combine
from bench.suite import ROOT, FailedError, Run, compile_program
from devstack.stack import DevStack
from strongroom.errors import StrongroomError

NAME: Final = "pod-start"
SUMMARY: Final = "from exec of the wrapper to main of the application, beside bao agent, sops and dotenvx"
PEERS: Final = ("bao agent", "sops", "dotenvx")
MIN_TIMES_QUICKER: Final = 40.0  # than bao agent
MAX_ABOVE_NAKED_S: Final = 0.045
_TIMEOUT_S: Final = 120
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


class LaunchGauge:
    """Runs launches and reads what the two small programs wrote."""

    def __init__(self, directory: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Compile the one that launches, into the directory."""
        self._timeout_s = timeout_s
        self._launch = str(compile_program("launch", directory))
        self._first_file = directory / "first.txt"
        self._used_file = directory / "used.txt"
        self.cpu_s = 0.0
        self.peak_bytes = 0

    def start(self, launcher: Launcher, *, secrets: int) -> tuple[int, int]:
        """Launch once and return when it was exec'd and when ``main`` began, in nanoseconds.

        Raises:
            FailedError: the program did not run to its end with all its secrets.
        """
        self._first_file.unlink(missing_ok=True)
        said_all = self._run(launcher)
        begin, user, system, peak, status = map(int, self._used_file.read_text().split())
        found = self._first_file.read_text().split() if self._first_file.exists() else ["0", "-1"]
        if status or int(found[1]) != secrets:
            said = said_all.decode(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
            msg = f"{launcher.command[0]}: ended with {status}, {found[1]} of {secrets} secrets arrived: {said[0]}"
            raise FailedError(msg)
        self.cpu_s = (user + system) / 1e6
        self.peak_bytes = peak * 1024
        return begin, int(found[0])

    def _run(self, launcher: Launcher) -> bytes:
        """Run to the end, or end all that was started; returns what was said."""
        with subprocess.Popen(
            [self._launch, str(self._used_file), *launcher.command],
            env={**launcher.environ, "BENCH_FIRST": str(self._first_file)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group that can be ended as a whole
        ) as process:
            try:
                output, errors = process.communicate(timeout=self._timeout_s)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise FailedError(f"{launcher.command[0]}: did not end within {self._timeout_s:g} s") from None
        return errors or output


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
        scene = replace(scene, count=_PROMISED[0])
        _measure_phases(run, gauge, scene)
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
            aim = MIN_TIMES_QUICKER if promised and other == "bao agent" else None
            name = f"{cell}/{other}:strongroom"
            run.ratio(name, series[other], series["strongroom"], better="higher", aim=aim, noise=0.3)
    for ours in ("strongroom", "strongroom bundle", "strongroom supervised"):
        if ours in series:
            above = combine((series[ours], series["naked"]), lambda a, b: a - b)
            aim = MAX_ABOVE_NAKED_S if promised and ours != "strongroom supervised" else None
            run.claim(Claim(name=f"{cell}/{ours} above naked", value=above, unit="s", better="lower", aim=aim))


def _measure_phases(run: Run, gauge: LaunchGauge, scene: Scene) -> None:
    """Split our launch by what passes on the network, and by when an interpreter that does nothing else begins."""
    place = urlsplit(scene.stack.bridge_url)
    phases: dict[str, list[list[float]]] = {name: [] for name in PHASES}
    interpreter = Launcher(command=[sys.executable, "-I", "-c", _INTERPRETER], environ={"PATH": "/usr/bin:/bin"})
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

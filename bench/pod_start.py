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
from bench.build import compile_program
from bench.launchers import Launcher, Scene
from bench.namespace import Namespace
from bench.relay import Passage, Relay
from bench.result import Claim
from bench.samples import Series, combine, ratio
from bench.suite import ROOT, Run
from cli.dev.stack import DevStack
from strongroom.errors import PeerError, StrongroomError

NAME: Final = "pod-start"
SUMMARY: Final = "from exec of the wrapper to main of the application, beside bao agent, sops and dotenvx"
MIN_TIMES_QUICKER: Final = 40.0  # than bao agent
MAX_ABOVE_NAKED_S: Final = 0.045
_TIMEOUT_S: Final = 120
_PROMISED: Final = (10, 0)  # secrets, milliseconds of network: where the promises stand
_SLOW_PEERS: Final = ("dotenvx",)  # takes 15 ms for each secret: is left out of the large cells
_INTERPRETER: Final = """\
import time
now = time.monotonic_ns()
import os
open(os.environ["BENCH_FIRST"], "w").write(f"{now} 0")
"""


class LaunchGauge:
    """Runs launches and reads what the two small programs wrote."""

    def __init__(self, directory: Path) -> None:
        """Compile the one that launches, into the directory."""
        self._launch = str(compile_program("launch", directory))
        self._first_file = directory / "first.txt"
        self._used_file = directory / "used.txt"
        self.cpu_s = 0.0
        self.peak_bytes = 0

    def start(self, launcher: Launcher, *, secrets: int) -> tuple[int, int]:
        """Launch once and return when it was exec'd and when ``main`` began, in nanoseconds.

        Raises:
            PeerError: the program did not run to its end with all its secrets.
        """
        self._first_file.unlink(missing_ok=True)
        environ = {**launcher.environ, "BENCH_FIRST": str(self._first_file)}
        done = subprocess.run(
            [self._launch, str(self._used_file), *launcher.command],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        begin, user, system, peak, status = map(int, self._used_file.read_text().split())
        found = self._first_file.read_text().split() if self._first_file.exists() else ["0", "-1"]
        if status or int(found[1]) != secrets:
            said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
            msg = f"{launcher.command[0]}: ended with {status}, {found[1]} of {secrets} secrets arrived: {said[0]}"
            raise PeerError(msg)
        self.cpu_s = (user + system) / 1e6
        self.peak_bytes = peak * 1024
        return begin, int(found[0])


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
        quickest = {}
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
                ways = _ways(scene, prefix, lean=run.quick and (count, delay_ms) != _PROMISED)
                series = _measure_cell(run, gauge, ways, scene, delay_ms, rounds)
                quickest[count, delay_ms] = series["strongroom"].values[0]
        run.tell(f"{NAME}: phases", len(cells) / (len(cells) + 1))
        _measure_phases(run, gauge, replace(scene, count=_PROMISED[0]))
        far = max(delay_ms for _, delay_ms, _ in cells)
        trips = (quickest[10, far] - quickest[10, 0]) / (far / 1000)
        run.count(f"{NAME}/network round trips of a launch", trips, "calls", aim=4, noise=0.2)


def _cells(*, quick: bool) -> list[tuple[int, int, int]]:
    """Return (secrets, milliseconds of network, rounds)."""
    if quick:
        return [(10, 0, 5), (1000, 0, 2), (10, 80, 2)]
    return [(count, delay, 8 if count == 1000 else 15) for delay in (0, 10, 80) for count in (1, 10, 100, 1000)]  # noqa: PLR2004 - the slow ones


def _dotenvx(run: Run) -> Path | None:
    try:
        prefix = launchers.install_dotenvx(run.cache)
    except StrongroomError as error:
        run.result.notes.append(f"{NAME}: dotenvx is left out: {error.message}")
        return None
    run.result.notes.append(f"{NAME}: dotenvx is version {launchers.dotenvx_version(prefix)}")
    return prefix


def _ways(scene: Scene, prefix: Path | None, *, lean: bool) -> dict[str, Launcher]:
    ways = {"naked": launchers.naked(scene), "strongroom": launchers.installed(scene)}
    if not lean:
        ways |= {"strongroom bundle": launchers.bundled(scene), "strongroom supervised": launchers.supervised(scene)}
    ways |= {"bao agent": launchers.bao_agent(scene), "sops": launchers.sops(scene)}
    if prefix is not None and not lean and scene.count <= 100:  # noqa: PLR2004 - see _SLOW_PEERS
        ways["dotenvx"] = launchers.dotenvx(scene, prefix)
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


def _measure_cell(  # noqa: PLR0913, PLR0917 - one cell of three dimensions
    run: Run, gauge: LaunchGauge, ways: Mapping[str, Launcher], scene: Scene, delay_ms: int, rounds: int
) -> dict[str, Series]:
    cpu: dict[str, list[list[float]]] = {name: [] for name in ways}
    peak: dict[str, list[list[float]]] = {name: [] for name in ways}

    def batch(name: str) -> Callable[[], list[float]]:
        def once() -> list[float]:
            begin, first = gauge.start(ways[name], secrets=scene.count)
            cpu[name].append([gauge.cpu_s])
            peak[name].append([float(gauge.peak_bytes)])
            return [(first - begin) / 1e9]

        return once

    series = run.interleaved({name: batch(name) for name in ways}, rounds=rounds)
    for name, times in series.items():
        labels = {"target": name, "secrets": str(scene.count), "network": f"{delay_ms} ms"}
        run.result.add(NAME, "latency", "s", times, **labels)
        run.result.add(NAME, "cpu", "s", Series(cpu[name][1:]), **labels)
        run.result.add(NAME, "memory", "B", Series(peak[name][1:]), **labels)
    _claim(run, series, f"{NAME}/{scene.count} secrets/{delay_ms} ms", promised=(scene.count, delay_ms) == _PROMISED)
    return series


def _claim(run: Run, series: Mapping[str, Series], cell: str, *, promised: bool) -> None:
    for other in ("bao agent", "sops", "dotenvx"):
        if other in series:
            quicker = ratio(series[other], series["strongroom"])
            aim = MIN_TIMES_QUICKER if promised and other == "bao agent" else None
            name = f"{cell}/{other}:strongroom"
            run.claim(Claim(name=name, value=quicker, unit="ratio", better="higher", aim=aim, noise=0.3))
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
            for name, length in _phases(relay.passages[-1], begin, first, start_up).items():
                phases[name].append([length / 1e9])
    for name, lengths in phases.items():
        run.result.add(NAME, "phase", "s", Series(lengths), phase=name)
    total = sum(statistics.median(length for (length,) in lengths) for lengths in phases.values())
    run.result.notes.append(f"{NAME}: the phases add up to {total * 1e3:.1f} ms; the relay between them costs some")


PHASES: Final = ("interpreter", "wrapper", "TLS", "fetch", "hand-off and exec")


def _phases(passage: Passage, begin: int, first: int, start_up: int) -> dict[str, int]:
    """Return the nanoseconds of each phase. The client's second flight ends the handshake (RFC 8446, figure 1)."""
    request, answer = passage.sent[1], passage.received[-1]
    lengths = (
        start_up,
        passage.accepted - begin - start_up,
        request - passage.accepted,
        answer - request,
        first - answer,
    )
    return dict(zip(PHASES, lengths, strict=True))

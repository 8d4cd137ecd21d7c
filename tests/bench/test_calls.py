"""The drift gate on what a small object and a launch cost: calls of the interpreter, in real processes."""

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import launchers
from bench.calls import CLIENTS, NOISE, START, count_launch, count_requests
from bench.gate import Verdict, compare, parse_waivers
from bench.launchers import Scene
from bench.main import WAIVERS
from bench.result import Result, parse_result
from bench.suite import Run, compile_program
from devstack.seaweed import SeaweedServer
from devstack.stack import DevStack
from tests.bench.runs import result
from tests.support.tree import ROOT

pytestmark = pytest.mark.early

BASELINE = ROOT / "bench" / "baselines" / "quick.json"
REQUESTS = tuple(f"per-object/{client} {way}/1 KiB/calls" for client in CLIENTS for way in ("PUT", "GET"))
LAUNCH = "pod-start/10 secrets/calls of a launch"
SECRETS = 10
# What somebody might add without a thought: here to what signs requests, and to what plans launches.
SLOWER_SIGNATURES = """

_quick = HmacSha256.digest


def _slow(self, message):
    for number in range(200):
        divmod(number, 7)
    return _quick(self, message)


HmacSha256.digest = _slow
"""
SLOWER_PLANS = "\nfor _number in range(2000):\n    divmod(_number, 7)\n"
PACKAGES = ("cli", "preload", "s3proxy", "strongroom", "wrapper")


@dataclass(frozen=True)
class Servers:
    directory: Path
    store: SeaweedServer
    scene: Scene


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    directory = tmp_path_factory.mktemp("servers")
    with SeaweedServer(directory / "store") as store, DevStack(directory / "stack") as stack:
        launchers.store_secrets(stack, SECRETS)
        scene = Scene(
            stack=stack,
            directory=directory,
            program=compile_program("first", directory),
            bundle=directory,
            bridge=stack.bridge_url,
            openbao=stack.openbao.address,
            count=SECRETS,
        )
        yield Servers(directory, store, scene)
        store.kill()  # it would wait for idle connections, and nothing in it is kept


def measured(servers: Servers, directory: Path, *, tree: Path = ROOT, start: Path = START) -> Result:
    """Count what the code of a tree does, as a run of the benchmarks does."""
    run = Run(
        directory=directory,
        cache=directory,
        quick=True,
        result=result(suites=["per-object", "pod-start"]),
        tell=lambda *_: None,
    )
    count_requests(run, servers.store, suite="per-object", tree=tree)
    calls = count_launch(launchers.installed(servers.scene), directory, start=start)
    run.count(LAUNCH, calls, "calls", noise=NOISE)
    return run.result


@pytest.fixture(scope="module")
def today(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return measured(servers, tmp_path_factory.mktemp("today"))


def verdicts(before: Result, after: Result) -> dict[str, Verdict]:
    claims = {claim.name: claim for claim in before.claims}
    waivers = [waiver for waiver in parse_waivers(WAIVERS.read_text(), str(WAIVERS)) if waiver.claim in claims]
    day = dt.datetime.now(dt.UTC).date()
    changes = compare(before, after, waivers=waivers, today=day, units=frozenset({"calls"}))
    return {change.before.name: change.verdict for change in changes}


def test_small_objects_and_launches_make_no_more_calls_than_the_baseline_says(today: Result) -> None:
    baseline = parse_result(BASELINE.read_text(), str(BASELINE))

    found = verdicts(baseline, today)

    fine = {Verdict.STEADY, Verdict.BETTER, Verdict.WAIVED}
    assert {name: found.get(name) in fine for name in (*REQUESTS, LAUNCH)} == dict.fromkeys((*REQUESTS, LAUNCH), True)


def test_code_that_does_more_shuts_the_gate(servers: Servers, today: Result, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for module, code in (("strongroom/keyed_hash.py", SLOWER_SIGNATURES), ("wrapper/plan.py", SLOWER_PLANS)):
        with (tree / module).open("a") as file:
            file.write(code)
    start = tmp_path / "strongroom-start"
    start.write_text(START.read_text().replace(f"TREE = {str(ROOT)!r}", f"TREE = {str(tree)!r}"))
    assert str(tree) in start.read_text()

    slower = measured(servers, tmp_path, tree=tree, start=start)

    assert verdicts(today, slower) == dict.fromkeys((*REQUESTS, LAUNCH), Verdict.REGRESSED)


def test_counting_twice_gives_the_same(servers: Servers, today: Result, tmp_path: Path) -> None:
    again = measured(servers, tmp_path)

    assert verdicts(today, again) == dict.fromkeys((*REQUESTS, LAUNCH), Verdict.STEADY)

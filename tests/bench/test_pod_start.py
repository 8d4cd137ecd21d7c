"""Launches where something is missing: root, a peer, or a peer that does not work here."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import launchers, pod_start
from bench.launch_gauge import LaunchGauge
from bench.launchers import Launcher
from bench.suite import Run
from strongroom.errors import ConfigError, PeerError
from tests.bench.runs import result

WORKS = 'import os, time\nopen(os.environ["BENCH_FIRST"], "w").write(f"{time.monotonic_ns()} 0")\n'


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(directory=tmp_path, cache=tmp_path, quick=True, result=result(), tell=lambda *_: None)


def program(code: str) -> Launcher:
    return Launcher(command=[sys.executable, "-I", "-c", code], environ={"PATH": "/usr/bin:/bin"})


def scene() -> Any:  # noqa: ANN401 - as much of a Scene as is needed
    return SimpleNamespace(count=0)


def test_without_root_relays_listen_outside_and_a_note_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError

    monkeypatch.setattr(pod_start, "Namespace", refuse)
    stack: Any = SimpleNamespace(
        bridge_url="https://localhost:1", openbao=SimpleNamespace(address="https://127.0.0.1:2")
    )

    with pod_start._namespace(run) as namespace, pod_start._network(stack, namespace, 10) as urls:
        assert namespace is None
        ports = [int(url.rpartition(":")[2]) for url in urls]

    assert len(set(ports)) == 2
    assert not {1, 2} & set(ports)
    assert "only root can make" in run.result.notes[0]


def test_a_peer_whose_first_launch_fails_is_left_out(run: Run, tmp_path: Path) -> None:
    ways = {
        "naked": program(WORKS),
        "strongroom": program(WORKS),
        "bao agent": program("raise SystemExit('no such thing')"),
        "sops": program(WORKS),
    }

    pod_start._measure_cell(run, LaunchGauge(tmp_path), ways, scene(), 0, rounds=2)

    assert run.result.left_out == ["bao agent"]
    assert "no such thing" in run.result.notes[0]
    measured = {figure.labels["target"]: figure.samples for figure in run.result.find("pod-start", "latency")}
    assert measured == {"naked": 2, "strongroom": 2, "sops": 2}


def test_ours_is_never_left_out(run: Run, tmp_path: Path) -> None:
    ways = {"naked": program(WORKS), "strongroom": program("raise SystemExit(7)")}

    with pytest.raises(PeerError, match="ended with 7"):
        pod_start._measure_cell(run, LaunchGauge(tmp_path), ways, scene(), 0, rounds=2)

    assert run.result.left_out == []


def test_peers_that_are_missing_are_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> Launcher:
        raise ConfigError("not installed")

    def broken(_: object) -> Launcher:
        raise subprocess.TimeoutExpired(["bao"], 120)

    for name in ("naked", "installed", "bundled", "supervised"):
        monkeypatch.setattr(launchers, name, lambda _: program(WORKS))
    monkeypatch.setattr(launchers, "sops", missing)
    monkeypatch.setattr(launchers, "bao_agent", broken)

    ways = pod_start._ways(run, scene(), None, lean=True)

    assert list(ways) == ["naked", "strongroom"]
    assert run.result.left_out == ["bao agent", "sops"]

"""Launches while bridge and OpenBao die, stop and end, and the secret changes: values of one version, or none.

Short here. By hand: STRONGROOM_CHAOS_SECONDS=600 STRONGROOM_CHAOS_SEED=7 pytest -s tests/chaos
"""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devstack.server import free_port
from devstack.service import BridgeProcess
from devstack.stack import DevStack
from tests.chaos.model import ViolationError
from tests.chaos.resources import Resources
from tests.support.launch.launcher import Launcher

pytestmark = pytest.mark.early

SECONDS = float(os.environ.get("STRONGROOM_CHAOS_SECONDS", "20"))
SEED = int(os.environ.get("STRONGROOM_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 20)
LAUNCHERS = 3
REFERENCES = {"APP_USER": "bao:kv/shop/pair#user", "APP_PASSWORD": "bao:kv/shop/pair#password"}
UNREACHABLE = 114
REWRITE_S = 0.05


class Launches:
    """What launches came to; each answer is looked at when it comes."""

    def __init__(self, launcher: Launcher, stop: threading.Event) -> None:
        self._launcher = launcher
        self._stop = stop
        self._lock = threading.Lock()
        self.right = 0
        self.refused = 0

    def go_on(self) -> None:
        while not self._stop.is_set():
            self.launch()

    def launch(self) -> None:
        program = 'printf "%s %s" "$APP_USER" "$APP_PASSWORD"'
        done = self._launcher.run(REFERENCES, "sh", "-c", program, timeout=60)
        if done.returncode == 0:
            user, _, password = done.stdout.partition(" ")
            if not user.startswith("user-") or password != user.replace("user-", "password-"):
                message = f"the program was given {done.stdout!r}"
                raise ViolationError(message)
        elif done.returncode != UNREACHABLE or done.stdout or "Traceback" in done.stderr:
            message = f"status {done.returncode}: {done.stdout!r} {done.stderr!r}"
            raise ViolationError(message)
        with self._lock:
            self.right += done.returncode == 0
            self.refused += done.returncode != 0


def _pause_bridge(bridge: BridgeProcess, dice: random.Random) -> None:
    bridge.process.send_signal(signal.SIGSTOP)
    time.sleep(dice.uniform(0.1, 1.0))  # the fault itself
    bridge.process.send_signal(signal.SIGCONT)


def _kill_bridge(bridge: BridgeProcess) -> None:
    bridge.process.kill()
    bridge.process.wait()
    bridge.restart()


def _end_bridge(bridge: BridgeProcess) -> None:
    bridge.stop()
    assert bridge.process.returncode == 0
    bridge.restart()


def _pause_openbao(stack: DevStack, dice: random.Random) -> None:
    stack.openbao.pause()
    time.sleep(dice.uniform(0.1, 1.5))  # the fault itself
    stack.openbao.resume()


@pytest.mark.timeout(SECONDS + 180)
def test_launches_get_values_of_one_version_or_none(tmp_path: Path) -> None:
    print(f"\nseed {SEED}")
    dice = random.Random(SEED)  # noqa: S311 - what happens, no keys
    with DevStack(tmp_path / "stack") as stack:
        settings = stack.bridge_settings | {"listen": f"127.0.0.1:{free_port()}"}
        stack.bridge.stop()
        with BridgeProcess(tmp_path / "bridge", settings) as bridge:
            stack.bridge = bridge
            faults: list[Callable[[], None]] = [
                lambda: _pause_bridge(bridge, dice),
                lambda: _kill_bridge(bridge),
                lambda: _end_bridge(bridge),
                lambda: _pause_openbao(stack, dice),
                lambda: bridge.process.send_signal(signal.SIGHUP),
            ]
            stop = threading.Event()
            launches = Launches(Launcher(stack), stop)
            resources = Resources(lambda: {"bridge": bridge.pid})

            def rewrite() -> None:
                version = 0
                while not stop.wait(REWRITE_S):
                    version += 1
                    # A paused OpenBao takes its time; it is the same server that is asked.
                    stack.openbao.admin.put_v2("kv", "shop/pair", _pair(version))

            stack.openbao.admin.put_v2("kv", "shop/pair", _pair(0))
            with ThreadPoolExecutor(LAUNCHERS + 1) as pool:
                work = [pool.submit(launches.go_on) for _ in range(LAUNCHERS)] + [pool.submit(rewrite)]
                try:
                    end = time.monotonic() + SECONDS
                    while time.monotonic() < end:
                        dice.choice(faults)()
                        resources.sample()
                        time.sleep(dice.uniform(0.3, 1.5))  # between faults: recovery is part of the run
                        assert not any(each.done() for each in work), [each.exception() for each in work if each.done()]
                finally:
                    stop.set()
                for each in work:
                    each.result()
            before = launches.right
            launches.launch()
            assert launches.right == before + 1, "when all is well a launch succeeds"
            print(resources.table())
            print(f"{launches.right} launches with right values, {launches.refused} refused as the bridge was away")
        _require_on_record(stack.audit_file, launches.right)


def _pair(version: int) -> dict[str, object]:
    return {"user": f"user-{version}", "password": f"password-{version}"}


def _require_on_record(audit_file: Path, launches: int) -> None:
    """Each secret that a program got is on record; a launch that asked twice is on record twice."""
    records = [json.loads(line) for line in audit_file.read_text().splitlines()]
    allowed = [record for record in records if record["decision"] == "allowed"]
    assert len(allowed) >= launches * len(REFERENCES)
    assert {record["key"] for record in allowed} == {"user", "password"}
    assert "password-" not in audit_file.read_text()

"""Defects that were seen in other secret injectors, each shown not to be in this one."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from devstack.service import BridgeProcess
from devstack.stack import DevStack
from tests.support.launch.launcher import Launcher
from tests.support.tree import ROOT
from wrapper import exit_status

MODES = pytest.mark.parametrize("flags", [(), ("--supervise",)], ids=["exec", "supervise"])


def start(launcher: Launcher, flags: tuple[str, ...], *words: str) -> subprocess.Popen[str]:
    launcher.stack.openbao.admin.put_v2("kv", "shop/defects", {"k": "v"})
    command = launcher.command()
    return subprocess.Popen(
        [*command[:-1], *flags, "--", *words],
        env=launcher.environ({"X": "bao:kv/shop/defects#k"}),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@MODES
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH])
def test_a_signal_reaches_the_application(launcher: Launcher, flags: tuple[str, ...], number: signal.Signals) -> None:
    # Elsewhere: caught for forwarding, and then dropped unless the wrapper runs as a daemon.
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 7' {name}; echo ready; while :; do sleep 0.01; done"
    process = start(launcher, flags, "dash", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == (f"got {name}\n", 7), err


@MODES
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_a_signal_is_128_plus_its_number_to_a_shell(
    launcher: Launcher, flags: tuple[str, ...], number: signal.Signals
) -> None:
    # Elsewhere: -1, which a shell shows as 255.
    process = start(launcher, flags, "dash", "-c", f"kill -{number.value} $$")
    process.communicate(timeout=60)
    status = process.returncode
    assert (128 - status if status < 0 else status) == 128 + number


@MODES
@pytest.mark.parametrize("status", [0, 1, 2, 42, 111, 126, 255])
def test_every_status_passes_through(launcher: Launcher, flags: tuple[str, ...], status: int) -> None:
    # Elsewhere: everything but 0 becomes 1.
    process = start(launcher, flags, "dash", "-c", f"exit {status}")
    process.communicate(timeout=60)
    assert process.returncode == status


@MODES
def test_nothing_of_the_wrapper_reaches_the_application(launcher: Launcher, flags: tuple[str, ...]) -> None:
    # Elsewhere: the child's environment is the wrapper's own with the secrets added, tokens included.
    process = start(launcher, flags, "env")
    out, err = process.communicate(timeout=60)
    names = {line.partition("=")[0] for line in out.splitlines()}
    assert {name for name in names if name.startswith("STRONGROOM")} == {"STRONGROOM_REGION", "STRONGROOM_PADDING"}, err
    assert str(launcher.stack.directory) not in out, "no path of a certificate"


def test_there_is_no_level_of_logging_that_shows_values(tmp_path: Path) -> None:
    # Elsewhere: the whole environment at debug level.
    with DevStack(tmp_path) as stack:
        stack.openbao.admin.put_v2("kv", "shop/logged", {"k": "canary-debug-77ab"})
        settings = {**stack.bridge_settings, "log_level": "debug", "audit_file": str(tmp_path / "debug-audit.jsonl")}
        with BridgeProcess(tmp_path / "debug", settings) as bridge:
            launcher = Launcher(stack, {"STRONGROOM_BRIDGE": f"https://{bridge.address}"})
            good = launcher.run({"X": "bao:kv/shop/logged#k"}, "true")
            bad = launcher.run({"X": "bao:kv/shop/logged#k", "Y": "bao:kv/shop/logged#no"}, "true")
            assert (good.returncode, bad.returncode) == (0, exit_status.NOT_FOUND)
        written = bridge.log_file.read_text() + (tmp_path / "debug-audit.jsonl").read_text() + good.stderr + bad.stderr
        assert '"debug"' in written or "request" in written
        assert "canary-debug" not in written


@MODES
def test_a_signal_is_not_held_back_for_a_while(launcher: Launcher, flags: tuple[str, ...]) -> None:
    # Elsewhere: SIGTERM is passed on after a second. Two signals in a row show it without a clock: the second one
    # would find the first still waiting.
    script = "trap 'echo one' USR1; trap 'echo two; exit 0' USR2; echo ready; while :; do sleep 0.01; done"
    process = start(launcher, flags, "dash", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "one\n"
    process.send_signal(signal.SIGUSR2)
    out, _ = process.communicate(timeout=60)
    assert out == "two\n"


def test_a_bridge_that_is_late_is_waited_for_and_not_slept_for(tmp_path: Path) -> None:
    # Elsewhere: a fixed sleep before the first try.
    with DevStack(tmp_path) as stack:
        stack.openbao.admin.put_v2("kv", "shop/late", {"k": "at last"})
        address = stack.bridge.address
        stack.bridge.stop()
        launcher = Launcher(stack, {"STRONGROOM_WAIT": "60", "STRONGROOM_TIMEOUT": "60"})
        process = launcher.start({"X": "bao:kv/shop/late#k"}, "printenv", "X")
        try:
            _wait_for_refused_connections(process)
            settings = {**stack.bridge_settings, "listen": address}
            with BridgeProcess(tmp_path / "late", settings):
                out, err = process.communicate(timeout=30)
        finally:
            process.kill()
        assert out == "at last\n", err


def _wait_for_refused_connections(process: "subprocess.Popen[str]") -> None:
    """Wait until the wrapper sleeps between two tries: it has got through its imports and been refused."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        call = Path(f"/proc/{process.pid}/syscall").read_text().split()[0]
        if call == str(_CLOCK_NANOSLEEP[os.uname().machine]):
            return
    pytest.fail("the wrapper does not wait")


_CLOCK_NANOSLEEP = {"x86_64": 230, "aarch64": 115}


def test_optional_is_said_for_each_reference_and_not_for_all(launcher: Launcher, stack: DevStack) -> None:
    # Elsewhere: one switch makes every missing secret acceptable.
    stack.openbao.admin.put_v2("kv", "shop/defects", {"k": "v"})
    references = {"A": "bao:kv/shop/defects#no?optional", "B": "bao:kv/shop/defects#neither"}
    result = launcher.run(references, "true")
    assert result.returncode == exit_status.NOT_FOUND
    assert "B: " in result.stderr


def test_a_missing_key_is_never_delivered_as_a_text_about_it(launcher: Launcher, stack: DevStack) -> None:
    # Elsewhere: the application starts with the value "<no value>".
    stack.openbao.admin.put_v2("kv", "shop/defects", {"k": "v", "null": None})
    for key in ("no", "null"):
        result = launcher.run({"A": f"bao:kv/shop/defects#{key}"}, "printenv", "A")
        assert (result.returncode, result.stdout) == (exit_status.NOT_FOUND, "")


def test_a_large_variable_does_not_hit_the_limit_of_execve(launcher: Launcher, stack: DevStack) -> None:
    # Elsewhere: "argument list too long" at 131,072 bytes.
    stack.openbao.admin.put_v2("kv", "shop/large", {"k": "x" * 131_073})
    result = launcher.run({"A": "bao:kv/shop/large#k"}, "dash", "-c", "echo ${#A}")
    assert result.stdout == "131073\n", result.stderr


def test_a_path_is_read_once_however_many_of_its_keys_are_wanted(tmp_path: Path) -> None:
    # Elsewhere: one read and one lease for each variable.
    with DevStack(tmp_path, audit=True) as stack:
        stack.openbao.admin.put_v2("kv", "shop/once", {f"k{i}": "v" for i in range(20)})
        references = {f"V{i}": f"bao:kv/shop/once#k{i}" for i in range(20)}
        before = stack.openbao.audit_file.read_text().count('"path":"kv/data/shop/once"')
        assert Launcher(stack).run(references, "true").returncode == 0
        after = stack.openbao.audit_file.read_text().count('"path":"kv/data/shop/once"')
        assert after - before == 2, "a request and its response"

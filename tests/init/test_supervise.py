"""``--supervise``: how a launch comes under ``strongroom-init``."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.errors import ConfigError
from tests.init.container import Running, name_of
from tests.support.launch.launches import LOCALES
from tests.support.process.waiting import wait_for
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from wrapper.supervise import VARIABLES, command_for_init, environment_for_init, own_command

OWN = ("python3", "-m", "cli", "run")

# What the verb does, in the order in which it has to.
DRIVER = """\
import sys
from strongroom.errors import StrongroomError
from wrapper.supervise import start_init
try:
    start_init(sys.argv[2:])
except StrongroomError as error:
    sys.exit(f"refused: {error.message}")
slow = [name for name in ("ssl", "ctypes", "socket", "signal", "typing") if name in sys.modules]
if slow:
    sys.exit(f"imported: {slow}")
from cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def options_of(*arguments: str, **environ: str) -> list[str] | None:
    """Return what stands between the init and its child."""
    command = command_for_init(arguments, environ, own=OWN)
    if command is None:
        return None
    assert command[0] == "strongroom-init"
    end = command.index("--")
    assert command[end + 1 : end + 1 + len(OWN)] == [*OWN]
    return command[1:end]


def child_of(*arguments: str, **environ: str) -> list[str]:
    """Return the words of the launch below the init."""
    command = command_for_init(arguments, environ, own=OWN)
    assert command is not None
    return command[command.index("--") + 1 + len(OWN) :]


class TestCommand:
    """``command_for_init()``."""

    def test_not_asked_for(self) -> None:
        assert options_of("--", "true") is None
        assert options_of("--quiet", "1", "sh", "-c", "--supervise") is None
        assert options_of("--", "--supervise") is None
        assert options_of("--config", "--supervise", "true") is None  # it is the value of another option
        assert options_of("true", STRONGROOM_SUPERVISE="0", STRONGROOM_REMAP="1:2") is None
        assert options_of("true", STRONGROOM_SUPERVISE="") is None

    def test_options(self) -> None:
        assert options_of("--supervise", "--", "true") == []
        assert options_of("--supervise", "-g", "true") == ["--signal-group"]
        words = [
            "--remap",
            "143:0",
            "--remap=1:2,3:4",
            "--stop-timeout=5",
            "--supervise",
            "--stop-signal",
            "INT",
            "true",
        ]
        assert options_of(*words) == [
            "--remap=143:0",
            "--remap=1:2",
            "--remap=3:4",
            "--stop-timeout=5",
            "--stop-signal=INT",
        ]

    def test_variables(self) -> None:
        everything = dict.fromkeys(VARIABLES, "1") | {"STRONGROOM_REMAP": "1:2,3:4", "STRONGROOM_STOP_SIGNAL": "INT"}
        assert options_of("true", **everything) == [
            "--signal-group",
            "--remap=1:2",
            "--remap=3:4",
            "--stop-timeout=1",
            "--stop-signal=INT",
        ]

    def test_flags_win(self) -> None:
        assert options_of("--remap=5:6", "true", STRONGROOM_SUPERVISE="1", STRONGROOM_REMAP="1:2") == ["--remap=5:6"]
        assert options_of("--supervise=0", "true", STRONGROOM_SUPERVISE="1") is None
        assert options_of("--signal-group=0", "true", STRONGROOM_SUPERVISE="1", STRONGROOM_SIGNAL_GROUP="1") == []

    def test_the_launch_keeps_its_own_options_and_the_command(self) -> None:
        words = [
            "--wait",
            "3",
            "--supervise",
            "--quiet=1",
            "--remap",
            "1:0",
            "--",
            "sh",
            "-c",
            "x",
            "--remap",
            "2:0",
            "-g",
        ]
        assert child_of(*words) == ["--wait", "3", "--quiet=1", "--", "sh", "-c", "x", "--remap", "2:0", "-g"]
        assert child_of("--supervise", "true", "--supervise") == ["true", "--supervise"]
        assert child_of("--supervise", "--wait") == ["--wait"]  # the launch itself says that a value is missing
        assert child_of("--supervise") == []

    @pytest.mark.parametrize(
        ("words", "environ", "complaint"),
        [
            (["-g", "true"], {}, "--signal-group: needs --supervise"),
            (["--remap=1:2", "true"], {}, "--remap: needs --supervise"),
            (["--supervise", "--remap"], {}, r"--remap: needs a value \(FROM:TO\)"),
            (["--supervise=yes", "true"], {}, "STRONGROOM_SUPERVISE=yes: must be 0 or 1"),
            (["true"], {"STRONGROOM_SUPERVISE": "on"}, "STRONGROOM_SUPERVISE=on: must be 0 or 1"),
        ],
    )
    def test_refused(self, words: list[str], environ: dict[str, str], complaint: str) -> None:
        with pytest.raises(ConfigError, match=complaint):
            options_of(*words, **environ)

    def test_environment_of_the_child_does_not_start_over(self) -> None:
        environ = {**dict.fromkeys(VARIABLES, "1"), "STRONGROOM_BRIDGE": "b", "PATH": "p"}
        assert environment_for_init(environ) == {"STRONGROOM_BRIDGE": "b", "PATH": "p"}

    def test_own_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "orig_argv", ["python3", "-I", "-m", "cli", "run", "--supervise", "true"])
        assert own_command(["--supervise", "true"]) == [sys.executable, "-I", "-m", "cli", "run"]
        monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", "/usr/bin/strongroom", "run"])
        monkeypatch.setattr(sys, "executable", "")
        assert own_command([]) == ["/usr/bin/python3", "/usr/bin/strongroom", "run"]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, init_path: str) -> list[str]:
    assert init_path
    path = tmp_path_factory.mktemp("driver") / "driver.py"
    path.write_text(DRIVER)
    return [sys.executable, "-I", str(path), "run"]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


@pytest.fixture
def silent_bridge() -> Iterator[socket.socket]:
    """A bridge that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class TestLaunch:
    """Real launches, as PID 1 of a PID namespace."""

    def test_no_python_stays(self, driver: list[str], environ: dict[str, str]) -> None:
        command = [*driver, "--supervise", "--", "sh", "-c", 'echo ready "$$" "$PPID"; exec sleep 1000']
        with Running(command, environ=environ) as running:
            assert running.line() == "ready 2 1"  # the PID of the launch, below PID 1
            assert name_of(running.init_pid) == "strongroom-init"
            wait_for(lambda: name_of(running.child_pid) == "sleep", "exec")
            assert len(running.descendants()) == 2
            assert Path(f"/proc/{running.init_pid}/cmdline").read_bytes().startswith(b"strongroom-init\0--\0")
            running.send(signal.SIGTERM)
            assert running.status() == 143

    def test_by_variables(self, driver: list[str], environ: dict[str, str]) -> None:
        environ = {**environ, "STRONGROOM_SUPERVISE": "1", "STRONGROOM_REMAP": "3:4"}
        with Running([*driver, "--", "sh", "-c", "env; exit 3"], environ=environ) as running:
            output, errors = running.process.communicate(timeout=60)
        assert (running.process.returncode, errors) == (4, b"")
        assert b"STRONGROOM" not in output

    @pytest.mark.parametrize("given", LOCALES, ids=str)
    def test_locale_is_that_of_the_container(
        self, driver: list[str], environ: dict[str, str], given: dict[str, str]
    ) -> None:
        # Where it is C, CPython sets LC_CTYPE for itself (PEP 538).
        with Running([*driver, "--supervise", "--", "env", "-0"], environ={**environ, **given}) as running:
            output, errors = running.process.communicate(timeout=60)
        assert (running.process.returncode, errors) == (0, b"")
        found = dict(entry.split("=", 1) for entry in output.decode().split("\0") if entry)
        assert found == {**environ, **given}

    def test_sockets_that_were_handed_to_it_are_the_child_s(self, driver: list[str], environ: dict[str, str]) -> None:
        environ = {**environ, "LISTEN_FDS": "1", "LISTEN_PID": "1", "WATCHDOG_PID": "77"}
        command = [*driver, "--supervise", "--", "sh", "-c", 'echo "$$ $LISTEN_PID $LISTEN_FDS $WATCHDOG_PID"']
        with Running(command, environ=environ) as running:
            assert running.line() == "2 2 1 77"
            assert running.status() == 0

    def test_status_and_signals_without_it(self, driver: list[str], environ: dict[str, str]) -> None:
        with Running([*driver, "--", "sh", "-c", 'echo "$$"; exit 3'], environ=environ) as running:
            assert running.line() == "1"
            assert running.status() == 3

    def test_option_that_init_refuses(self, driver: list[str], environ: dict[str, str]) -> None:
        with Running([*driver, "--supervise", "--stop-timeout=soon", "--", "true"], environ=environ) as running:
            assert running.status() == 111
            assert "--stop-timeout=soon: must be a number of seconds" in running.errors()

    def test_init_that_is_missing(self, tmp_path: Path, environ: dict[str, str]) -> None:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import preload, wrapper.exit_status as status\n"
        code += f"import wrapper.supervise as supervise; preload.__file__ = {str(tmp_path / '__init__.py')!r}\n"
        code += "try: supervise.start_init(['--supervise', 'true'])\n"
        code += "except status.CannotExecError as error: print(error.message)\n"
        result = subprocess.run(
            [sys.executable, "-I", "-c", code], env=environ, capture_output=True, text=True, check=True
        )
        assert "strongroom-init: not built" in result.stdout

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal_while_the_secrets_are_fetched(
        self,
        driver: list[str],
        environ: dict[str, str],
        silent_bridge: socket.socket,
        certificates: Certificates,
        number: signal.Signals,
    ) -> None:
        environ = {
            **environ,
            "PASSWORD": "bao:kv/shop/db#password",
            "STRONGROOM_BRIDGE": f"https://127.0.0.1:{silent_bridge.getsockname()[1]}",
            "STRONGROOM_CA": certificates.ca,
            "STRONGROOM_CERT": certificates.cert,
            "STRONGROOM_KEY": certificates.key,
        }
        with Running([*driver, "--supervise", "--", "sleep", "1000"], environ=environ) as running:
            connection, _ = silent_bridge.accept()
            with connection:
                running.send(number)
                assert running.status() == 128 + number
            assert running.errors() == ""

"""What only ``strongroom-init`` has: its options, the stop timeout, its build and its size."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import preload
from tests.init.conftest import Programs
from tests.init.container import Running, children_of, run, state_of
from tests.init.inits import Init, strongroom_init
from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT

USAGE_STATUS = 111
STOP_S = 1.5  # in which a busy machine has a child say what it was sent
KIB = 1024


class TestOptions:
    """The command line."""

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            ([], "no command given"),
            (["--"], "no command given"),
            (["-g"], "no command given"),
            (["--no-such", "true"], "--no-such: unknown option"),
            (["-x", "true"], "-x: unknown option"),
            (["-gx", "true"], "-gx: unknown option"),
            (["--signal-group=1", "true"], "--signal-group=1: takes no value"),
            (["--remap"], "--remap: needs a value"),
            (["-p"], "-p: needs a value"),
            (["--remap=1", "true"], "--remap=1: must be FROM:TO"),
            (["--remap=256:0", "true"], "--remap=256:0: must be FROM:TO"),
            (["--remap=1:256", "true"], "--remap=1:256: must be FROM:TO"),
            (["--remap=1:0,", "true"], "--remap=1:0,: must be FROM:TO"),
            (["--remap=:", "true"], "--remap=:: must be FROM:TO"),
            (["--remap=-1:0", "true"], "--remap=-1:0: must be FROM:TO"),
            (["--stop-timeout=-1", "true"], "--stop-timeout=-1: must be a number of seconds"),
            (["--stop-timeout=", "true"], "--stop-timeout=: must be a number of seconds"),
            (["--stop-timeout", "86401", "true"], "--stop-timeout=86401: must be a number of seconds"),
            (["--stop-timeout", "86400.5", "true"], "--stop-timeout=86400.5: must be a number of seconds"),
            (["--stop-timeout", "1e3", "true"], "--stop-timeout=1e3: must be a number of seconds"),
            (["--stop-timeout", "9" * 50, "true"], "must be a number of seconds"),
            (["--stop-signal", "KILL", "true"], "--stop-signal=KILL: must be a signal that can be passed on"),
            (["--stop-signal", "65", "true"], "--stop-signal=65: must be a signal"),
            (["--stop-signal", "0", "true"], "--stop-signal=0: must be a signal"),
            (["--stop-signal", "RTMIN+31", "true"], "--stop-signal=RTMIN+31: must be a signal"),
            (["--stop-signal", "TERMINATE", "true"], "--stop-signal=TERMINATE: must be a signal"),
            (["-pSIG", "true"], "--parent-death-signal=SIG: must be a signal"),
        ],
    )
    def test_refused(self, ours: Init, words: list[str], complaint: str) -> None:
        status, output, errors = run([ours.path, *words], as_pid_1=False)
        assert (status, output) == (USAGE_STATUS, "")
        assert errors.startswith("strongroom: error: ")
        assert complaint in errors

    @pytest.mark.parametrize(
        "words",
        [
            ["-g", "-v"],
            ["-gv"],
            ["-vg", "--remap", "1:2", "--remap=3:4,5:6"],
            ["--stop-timeout", "0"],
            ["--stop-timeout=86400"],
            ["--stop-timeout=0.125"],
            ["--stop-signal", "term", "--stop-signal=SIGQUIT", "--stop-signal", "3", "--stop-signal=RTMIN+3"],
            ["-p", "KILL"],
            ["-pSIGRTMAX-1"],
            ["-vpTERM"],
            ["--parent-death-signal=9"],
            ["--signal-group", "--verbose"],
        ],
    )
    def test_understood(self, ours: Init, words: list[str]) -> None:
        for end in ([], ["--"]):
            status, output, _ = run([ours.path, *words, *end, "echo", "-n", "started"], as_pid_1=False)
            assert (status, output) == (0, "started")

    @pytest.mark.parametrize("word", ["-h", "--help"])
    def test_help_is_what_the_documentation_shows(self, ours: Init, word: str) -> None:
        status, output, errors = run([ours.path, word])
        assert (status, errors) == (0, "")
        assert output in (ROOT / "docs" / "supervise.md").read_text()

    def test_remap(self, ours: Init) -> None:
        options = ["--remap", "143:0", "--remap=0:5,5:6", "--remap", "127:1"]
        for shell, status in (("kill $$", 0), ("exit 0", 5), ("exit 5", 6), ("exit 6", 6), ("exit 255", 255)):
            assert run([ours.path, *options, "--", "sh", "-c", shell], as_pid_1=False)[0] == status
        assert run([ours.path, *options, "--", "no-such-command"], as_pid_1=False)[0] == 1

    def test_verbose(self, ours: Init, program: Programs) -> None:
        with Running([ours.path, "-v", "--", program("report_signals"), "child", "4"]) as running:
            running.line()
            for number in (signal.SIGHUP, 32, 40):
                running.send(number)
                running.line()
            running.send(signal.SIGTERM)
            assert running.status() == 4
            assert running.errors().splitlines() == [
                "strongroom: init: passed on SIGHUP",
                "strongroom: init: passed on SIGRTMIN-2",
                "strongroom: init: passed on SIGRTMIN+6",
                "strongroom: init: passed on SIGTERM",
                "strongroom: init: the child has ended with status 4",
            ]

    def test_silent_otherwise(self, ours: Init) -> None:
        assert run([ours.path, "--", "sh", "-c", "kill $$"]) == (143, "", "")

    @pytest.mark.parametrize(
        ("command", "status", "line"),
        [
            ("no-such-command", 127, "strongroom: error: no-such-command: command not found\n"),
            ("/no/such/file", 127, "strongroom: error: /no/such/file: no such file\n"),
            ("/etc/passwd", 126, "strongroom: error: /etc/passwd: Permission denied\n"),
            ("/etc/passwd/x", 127, "strongroom: error: /etc/passwd/x: no such file\n"),
            ("/", 126, "strongroom: error: /: Permission denied\n"),
        ],
    )
    def test_command_that_does_not_start(self, ours: Init, command: str, status: int, line: str) -> None:
        assert run([ours.path, "--", command]) == (status, "", line)


class TestStop:
    """``--stop-timeout`` and ``--stop-signal``."""

    def test_child_that_stops_in_time(self, ours: Init, program: Programs) -> None:
        with Running([ours.path, "--stop-timeout=60", "--", program("report_signals"), "child", "3"]) as running:
            running.line()
            running.send(signal.SIGTERM)
            assert running.status() == 3

    def test_child_that_does_not(self, ours: Init, program: Programs) -> None:
        with Running([ours.path, f"--stop-timeout={STOP_S}", "--", program("stubborn")]) as running:
            running.line()
            started, pid = time.monotonic(), running.init_pid
            running.send(signal.SIGTERM)
            assert running.line() == "child 15"
            running.send(signal.SIGTERM)  # is passed on, and does not kill
            assert running.line() == "child 15"
            while running.process.poll() is None:  # nor does it give more time, however many come
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.process.wait(0.05)
            assert running.status() == 137
            assert time.monotonic() - started >= STOP_S

    def test_stopped_child(self, ours: Init) -> None:
        with Running([ours.path, "--stop-timeout=0.1", "--", "sleep", "1000"]) as running:
            child = running.child_pid
            wait_for(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n", "exec")
            os.kill(child, signal.SIGSTOP)
            wait_for(lambda: state_of(child) == "T", "the child to stop")
            running.send(signal.SIGTERM)
            assert running.status() == 137

    def test_without_it_nobody_is_killed(self, ours: Init, program: Programs) -> None:
        with Running([ours.path, "--", program("stubborn")]) as running:
            running.line()
            running.send(signal.SIGTERM)
            assert running.line() == "child 15"
            assert state_of(running.child_pid) in {"R", "S"}

    def test_only_stop_signals_start_it(self, ours: Init, program: Programs) -> None:
        command = [
            ours.path,
            f"--stop-timeout={STOP_S}",
            "--stop-signal=QUIT",
            "--stop-signal=INT",
            "--",
            program("stubborn"),
        ]
        with Running(command) as running:
            running.line()
            running.send(signal.SIGTERM, signal.SIGHUP)
            assert sorted(running.lines(2)) == ["child 1", "child 15"]
            running.send(signal.SIGQUIT)
            assert running.line() == "child 3"
            assert running.status() == 137

    def test_group(self, ours: Init, program: Programs) -> None:
        shell = f"{program('stubborn')} other & exec {program('stubborn')} main"
        with Running([ours.path, "-g", f"--stop-timeout={STOP_S}", "--", "sh", "-c", shell], as_pid_1=False) as running:
            running.lines(2)
            running.send(signal.SIGTERM)
            assert sorted(running.lines(2)) == ["main 15", "other 15"]
            assert running.status() == 137
            assert running.line() == ""  # the other one is gone as well

    def test_rest_of_a_group_has_until_then(self, ours: Init, program: Programs) -> None:
        shell = f"{program('report_signals')} rest 0 & read x; exit 7"
        command = [ours.path, "-g", "--stop-timeout=60", "--", "sh", "-c", shell]
        with Running(command, stdin=-1) as running:
            running.line()
            assert running.process.stdin is not None
            running.process.stdin.write(b"\n")
            assert running.line() == "rest 15 0"  # as PID 1: it was not taken down at once
            assert running.status() == 7

    def test_rest_of_a_group_that_does_not_end(self, ours: Init, program: Programs) -> None:
        shell = f"{program('stubborn')} rest & read x; exit 7"
        command = [ours.path, "-g", f"--stop-timeout={STOP_S}", "--", "sh", "-c", shell]
        with Running(command, stdin=-1, as_pid_1=False) as running:
            running.line()
            assert running.process.stdin is not None
            running.process.stdin.write(b"\n")
            assert running.line() == "rest 15"
            assert running.status() == 7
            assert running.line() == ""

    def test_rest_is_not_asked_twice(self, ours: Init, program: Programs) -> None:
        shell = f"{program('stubborn')} rest & exec {program('report_signals')} main 5"
        with Running([ours.path, "-g", f"--stop-timeout={STOP_S}", "--", "sh", "-c", shell], as_pid_1=False) as running:
            running.lines(2)
            running.send(signal.SIGTERM)
            assert running.status() == 5
            assert sorted(running.lines(3)) == ["", "main 15 0", "rest 15"]


class TestStart:
    """The first milliseconds."""

    def test_sigterm_at_any_moment(self, ours: Init) -> None:
        chance = random.Random(20)  # noqa: S311 - moments, not secrets
        for _ in range(150):
            with Running([ours.path, "--", "sleep", "1000"], as_pid_1=False) as running:
                until = time.monotonic() + chance.random() * 0.003
                while time.monotonic() < until:
                    pass
                running.send(signal.SIGTERM)
                # Before exec of the init it meets the test's own child.
                assert running.status() in {143, -signal.SIGTERM}

    def test_group_that_the_child_left(self, ours: Init) -> None:
        code = "import os, time; os.setpgid(0, os.getpgid(os.getppid())); print('ready', flush=True); time.sleep(1000)"
        command = [ours.path, "-g", "--", sys.executable, "-I", "-S", "-c", code]
        with Running(command, as_pid_1=False) as running:
            running.line()
            running.send(signal.SIGTERM)
            assert running.status() == 143

    def test_dies_with_a_parent_that_was_killed(self, ours: Init, program: Programs) -> None:
        shell = f"{ours.path} -p KILL -- {program('stubborn')} & read x; kill -KILL $$"
        with Running(["sh", "-c", shell], as_pid_1=False, stdin=-1) as running:
            running.line()
            assert running.process.stdin is not None
            running.process.stdin.write(b"\n")
            assert running.line() == ""  # the child held the output, and died too

    def test_child_finds_sigchld_ignored_if_the_launcher_did(self, ours: Init, program: Programs) -> None:
        command = [program("with_signals"), "ignore", "17", "--", ours.path, "--", "cat", "/proc/self/status"]
        status, output, _ = run(command)
        assert (status, "SigIgn:\t0000000000010000\n" in output) == (0, True)

    def test_many_zombies_behind_one_sigchld(self, ours: Init, program: Programs) -> None:
        shell = f"read x; exec {program('orphans')} 300"
        with Running([ours.path, "--", "sh", "-c", shell], stdin=-1) as running:
            init_pid = running.init_pid
            wait_for(lambda: children_of(init_pid), "the child to start")
            os.kill(init_pid, signal.SIGSTOP)
            wait_for(lambda: state_of(init_pid) == "T", "the init to stop")
            assert running.process.stdin is not None
            running.process.stdin.write(b"\n")
            wait_for(lambda: sum(state_of(pid) == "Z" for pid in children_of(init_pid)) == 300, "zombies", timeout_s=60)
            os.kill(init_pid, signal.SIGCONT)
            assert running.line() == "reaped 300"
            assert running.status() == 0

    def test_descriptors_of_its_own(self, ours: Init) -> None:
        with Running([ours.path, "--", "sleep", "1000"]) as running:
            child = running.child_pid
            wait_for(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n", "exec")
            folder = Path(f"/proc/{running.init_pid}")
            wait_for(lambda: (folder / "cwd").readlink() == Path("/"), "its working directory")
            assert sorted(entry.name for entry in (folder / "fd").iterdir()) == ["0", "1", "2"]


class TestFootprint:
    """It is small, and stays so."""

    def test_memory(self, ours: Init, program: Programs) -> None:
        with Running([ours.path, "--", program("report_signals")]) as running:
            running.line()
            for _ in range(100):
                running.send(40)
                running.line()
            rollup = Path(f"/proc/{running.init_pid}/smaps_rollup").read_text()
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
            print(f"PSS {sizes['Pss']} kB, RSS {sizes['Rss']} kB")  # noqa: T201 - a figure for the record
            assert sizes["Pss"] < 1024  # the promise
            assert sizes["Pss"] < 128  # what it is, with room

    def test_no_growth(self, ours: Init, program: Programs) -> None:
        shell = f"for i in 1 2 3 4 5; do {program('orphans')} 200; echo; read x; done"
        with Running([ours.path, "--", "sh", "-c", shell], stdin=-1) as running:
            seen = []
            for _ in range(5):
                assert running.lines(2) == ["reaped 200", ""]
                status = Path(f"/proc/{running.init_pid}/status").read_text()
                seen.append([line for line in status.splitlines() if line.startswith(("VmData", "VmStk", "VmSize"))])
                assert len(children_of(running.init_pid)) == 1
                assert running.process.stdin is not None
                running.process.stdin.write(b"\n")
            assert all(one == seen[0] for one in seen)

    def test_file(self, ours: Init) -> None:
        assert Path(ours.path).stat().st_size < 40 * KIB
        headers = subprocess.run(["readelf", "-lW", ours.path], capture_output=True, text=True, check=True).stdout
        assert "INTERP" not in headers
        assert "RWE" not in headers
        assert str(ROOT).encode() not in Path(ours.path).read_bytes()


def build(folder: Path, *variables: str) -> Path:
    command = ["make", "-s", "-C", str(ROOT / "preload"), "init", f"OUT={folder}", *variables]
    subprocess.run(command, check=True)
    return folder / "strongroom-init"


class TestBuild:
    """With other compilers, and for the other machine."""

    @pytest.mark.parametrize("compiler", ["gcc", "clang", "musl-gcc"])
    def test_compiler(self, tmp_path: Path, compiler: str, program: Programs) -> None:
        init = strongroom_init(str(build(tmp_path, f"INIT_CC={compiler}")))
        assert run([init.path, "--", program("orphans"), "20"]) == (0, "reaped 20\n", "")
        with Running([init.path, "--", program("report_signals"), "child", "6"]) as running:
            running.line()
            for number in (32, 33, 34, 64):  # those that a libc may hide
                running.send(number)
                assert running.line() == f"child {number} 0"
            running.send(signal.SIGTERM)
            assert running.status() == 6

    def test_aarch64_under_emulation(self, tmp_path: Path) -> None:
        path = build(tmp_path, "ARCH=aarch64")
        command = ["qemu-aarch64", str(path), "--remap", "7:8", "--", "sh", "-c", "echo started; exit 7"]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert (result.returncode, result.stdout, result.stderr) == (8, "started\n", "")

    def test_compiler_that_is_missing_is_named(self, tmp_path: Path) -> None:
        command = ["make", "-s", "-C", str(ROOT / "preload"), "init", f"OUT={tmp_path}", "INIT_CC=no-such-compiler"]
        result = subprocess.run(command, capture_output=True, check=False, text=True)
        assert result.returncode != 0
        assert "strongroom: error: no C compiler: no-such-compiler" in result.stderr


class TestInitPath:
    """``preload.init_path()``."""

    def test_is_absolute_and_there(self, init_path: str) -> None:
        assert Path(init_path).is_absolute()
        assert os.access(init_path, os.X_OK)

    def test_unsupported_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine = os.uname_result(("Linux", "host", "6.1", "1", "s390x"))
        monkeypatch.setattr(os, "uname", lambda: machine)
        with pytest.raises(preload.LibraryError, match="no init program for s390x"):
            preload.init_path()

    def test_not_built(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(preload, "__file__", str(tmp_path / "__init__.py"))
        with pytest.raises(preload.LibraryError, match="not built; run make"):
            preload.init_path()

    def test_not_executable(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, init_path: str) -> None:
        target = tmp_path / "lib" / os.uname().machine
        target.mkdir(parents=True)
        shutil.copyfile(init_path, target / "strongroom-init")
        monkeypatch.setattr(preload, "__file__", str(tmp_path / "__init__.py"))
        with pytest.raises(preload.LibraryError, match="may not be executed"):
            preload.init_path()

"""What an init owes the processes under it, tried on ours, on tini and on dumb-init, as PID 1 of a PID namespace.

The cases are those that the documentation and the test lists of tini and dumb-init name, and some more. Where an init
differs by design, ``inits.py`` says so and why, and the test expects the difference.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.init.conftest import Programs
from tests.init.container import Running, children_of, run, state_of
from tests.init.inits import ALL_SIGNALS, NEVER, STOPS, Can, Init
from tests.support.process.waiting import wait_for

RAPID = 1000


def start(init: Init, *command: str, options: tuple[str, ...] = (), as_pid_1: bool = True) -> Running:
    return Running([init.path, *options, "--", *command], as_pid_1=as_pid_1)


class TestStatus:
    """The exit status is that of the child."""

    @pytest.mark.parametrize("status", [0, 1, 2, 42, 111, 126, 127, 128, 143, 255])
    def test_passed_through(self, init: Init, status: int) -> None:
        assert run([init.path, "--", "sh", "-c", f"exit {status}"]) == (status, "", "")

    @pytest.mark.parametrize("number", [1, 2, 3, 6, 8, 9, 10, 11, 13, 14, 15, 31, 34, 64])
    def test_death_by_a_signal_is_128_plus_its_number(self, init: Init, number: int) -> None:
        shell = "sh" if number < 32 else "bash"  # one ignores SIGQUIT, the other knows no real-time signals
        assert run([init.path, "--", shell, "-c", f"kill -{number} $$"])[0] == 128 + number

    def test_the_same_when_not_pid_1(self, init: Init) -> None:
        assert run([init.path, "--", "sh", "-c", "exit 5"], as_pid_1=False)[0] == 5
        assert run([init.path, "--", "sh", "-c", "kill -KILL $$"], as_pid_1=False)[0] == 137

    def test_child_that_ends_at_once(self, init: Init) -> None:
        for _ in range(30):
            assert run([init.path, "--", "false"], as_pid_1=False)[0] == 1

    def test_options_end_at_the_command(self, init: Init) -> None:
        end = ["--"] if init.name == "tini" else []  # it uses getopt(3), which looks for options behind the command too
        command = [init.path, *end, "sh", "-c", 'echo "$@"', "x", "-g", "--", "--help"]
        assert run(command) == (0, "-g -- --help\n", "")

    def test_missing_command(self, init: Init) -> None:
        status, output, errors = run([init.path, "--", "no-such-command"])
        assert (status, output) == (init.missing_status, "")
        assert "no-such-command" in errors
        assert errors.count("\n") == 1

    def test_command_that_cannot_be_executed(self, init: Init, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("no program")
        status, _, errors = run([init.path, "--", str(tmp_path / "text")])
        assert status == init.cannot_exec_status
        assert str(tmp_path / "text") in errors

    def test_remapped_to_zero(self, init: Init) -> None:
        if Can.REMAP_TO_ANY in init.can:
            options = ["--remap", "143:0", "--remap=7:0"]
        elif Can.REMAP_TO_ZERO in init.can:
            options = ["-e", "143", "-e", "7"]
        else:
            return  # dumb-init has nothing like it
        assert run([init.path, *options, "--", "sh", "-c", "kill $$"])[0] == 0
        assert run([init.path, *options, "--", "sh", "-c", "exit 7"])[0] == 0
        assert run([init.path, *options, "--", "sh", "-c", "exit 8"])[0] == 8


class TestSignals:
    """What is sent to init reaches the child."""

    def test_every_one_is_passed_on(self, init: Init, program: Programs) -> None:
        with start(init, program("report_signals"), options=init.alone) as running:
            running.line()
            expected = sorted(ALL_SIGNALS - init.not_passed_on - {signal.SIGUSR2})
            for number in expected:
                running.send(number)
                assert running.line() == f"child {number} 0"

    def test_those_that_are_kept_back(self, init: Init, program: Programs) -> None:
        with start(init, program("report_signals"), options=init.alone) as running:
            running.line()
            running.send(*sorted(init.not_passed_on - NEVER), signal.SIGUSR2)
            assert running.line() == f"child {signal.SIGUSR2} 0"
            assert running.status() == 0

    @pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGTERM", "SIGALRM", "SIGPWR"])
    def test_child_with_default_dispositions_dies_of_it(self, init: Init, program: Programs, name: str) -> None:
        number = signal.Signals[name]
        with start(init, program("with_signals"), "--", "sh", "-c", "echo ready; exec sleep 1000") as running:
            running.line()
            running.send(number)
            assert running.status() == 128 + number

    def test_child_that_handles_it_decides(self, init: Init, program: Programs) -> None:
        with start(init, program("report_signals"), "child", "17") as running:
            running.line()
            running.send(signal.SIGTERM)
            assert running.status() == 17

    def test_a_second_sigterm_is_one_more_sigterm(self, init: Init, program: Programs) -> None:
        with start(init, program("report_signals")) as running:
            running.line()
            for _ in range(3):
                running.send(signal.SIGTERM)
                assert running.line() == "child 15 0"
            assert state_of(running.child_pid) != ""

    def test_to_the_child_alone(self, init: Init, program: Programs) -> None:
        report = program("report_signals")
        shell = f"{report} other & exec {report} main"
        with start(init, "sh", "-c", shell, options=init.alone) as running:
            running.lines(2)
            running.send(signal.SIGUSR1, signal.SIGUSR2)
            assert running.lines(2) == ["main 10 0", "main 12 0"]

    def test_to_the_group(self, init: Init, program: Programs) -> None:
        report = program("report_signals")
        shell = f"{report} other & exec {report} main"
        with start(init, "sh", "-c", shell, options=init.group) as running:
            running.lines(2)
            running.send(signal.SIGUSR1)
            assert sorted(running.lines(2)) == ["main 10 0", "other 10 0"]

    def test_to_the_group_of_a_parent_that_ignores_it(self, init: Init) -> None:
        shell = (
            "trap '' USR1; python3 -I -S -c 'import signal; signal.signal(10, signal.SIG_DFL); print(1, flush=True); "
        )
        shell += "signal.pause()'; echo $?"
        with start(init, "sh", "-c", shell, options=init.group) as running:
            running.line()
            running.send(signal.SIGUSR1)
            assert running.line() == str(128 + signal.SIGUSR1)
            assert running.status() == 0

    def test_stop_and_continue(self, init: Init) -> None:
        with start(init, "sh", "-c", "echo ready; exec sleep 1000", options=init.group) as running:
            running.line()
            child = running.child_pid
            running.send(signal.SIGTSTP)
            wait_for(lambda: state_of(child) == "T", "the child to stop")

            def goes_on() -> bool:
                running.send(signal.SIGCONT)  # more than once: dumb-init loses it if it stops itself just then
                return state_of(child) == "S"

            wait_for(goes_on, "the child to go on")
            running.send(signal.SIGTERM)
            assert running.status() == 143

    def test_stops_of_a_group(self, init: Init, program: Programs) -> None:
        with start(init, program("report_signals"), options=init.group) as running:
            running.line()
            child = running.child_pid
            for number in sorted(STOPS - init.not_passed_on):
                running.send(number)
                if init.name == "dumb-init":  # it sends SIGSTOP instead: its child leads an orphaned group
                    wait_for(lambda: state_of(child) == "T", "the child to stop")
                    os.kill(child, signal.SIGCONT)  # sent to dumb-init it is lost if it stops itself just then
                    assert running.line() == f"child {signal.SIGCONT} 0"
                else:
                    assert running.line() == f"child {number} 0"

    def test_a_thousand_in_a_row(self, init: Init, program: Programs) -> None:
        with start(init, program("report_signals")) as running:
            running.line()
            running.send(*[40] * RAPID)  # a real-time signal: each one counts (signal(7))
            assert running.lines(RAPID) == ["child 40 0"] * RAPID

    def test_a_thousand_of_all_kinds_lose_no_kind(self, init: Init, program: Programs) -> None:
        kinds = sorted(ALL_SIGNALS - init.not_passed_on - {signal.SIGUSR2} - STOPS - {signal.SIGCONT})
        with start(init, program("report_signals")) as running:
            running.line()
            running.send(*(kinds[index % len(kinds)] for index in range(RAPID)))
            seen: set[int] = set()
            while len(seen) < len(kinds):
                seen.add(int(running.line().split()[1]))
            running.send(signal.SIGUSR2)
            assert running.status() == 0

    def test_value_that_was_queued(self, init: Init, program: Programs) -> None:
        with start(init, program("report_signals")) as running:
            running.line()
            code = "import ctypes, sys; ctypes.CDLL(None).sigqueue(int(sys.argv[1]), 41, ctypes.c_void_p(77))"
            subprocess.run([sys.executable, "-I", "-S", "-c", code, str(running.init_pid)], check=True)
            assert running.line() == ("child 41 77" if Can.QUEUED_VALUES in init.can else "child 41 0")

    def test_during_a_storm_of_orphans(self, init: Init, program: Programs) -> None:
        shell = f"{program('orphans')} storm >&2 & exec {program('report_signals')}"
        with start(init, "sh", "-c", shell, options=init.alone) as running:
            running.line()
            for number in (signal.SIGTERM, signal.SIGWINCH, 64):  # below and above SIGCHLD
                running.send(number)
                assert running.line() == f"child {number} 0"
            running.send(signal.SIGUSR2)
            assert running.status() == 0

    def test_at_once_after_the_start(self, init: Init) -> None:
        if Can.KEEP_EARLY_SIGNALS not in init.can:
            return  # dumb-init loses some
        # Before exec of the init the signal meets this test's own child, hence -SIGTERM; after it, never.
        for _ in range(30):
            with start(init, "sleep", "1000", as_pid_1=False) as running:
                running.send(signal.SIGTERM)
                assert running.status() in {143, -signal.SIGTERM}


class TestReaping:
    """No zombie stays."""

    def test_orphans(self, init: Init, program: Programs) -> None:
        assert run([init.path, "--", program("orphans"), "500"]) == (0, "reaped 500\n", "")

    def test_orphans_that_lived_on(self, init: Init) -> None:
        shell = "(sleep 0.01 & sleep 0.02 &); echo ready; exec sleep 1000"
        with start(init, "sh", "-c", shell) as running:
            running.line()
            wait_for(lambda: len(children_of(running.init_pid)) == 1, "orphans to be reaped")

    def test_an_orphan_comes_to_pid_1(self, init: Init, program: Programs) -> None:
        status, output, _ = run([init.path, "--", program("orphans"), "parent"])
        assert status == 0
        assert output.startswith("parent 1 ")

    def test_an_orphan_comes_to_a_subreaper(self, init: Init, program: Programs) -> None:
        with start(init, program("orphans"), "parent", options=init.subreaper, as_pid_1=False) as running:
            parent = int(running.line().split()[1])
            assert (parent == running.process.pid) == (Can.REAP_WHEN_NOT_PID_1 in init.can)

    def test_a_subreaper_reaps(self, init: Init, program: Programs) -> None:
        command = [init.path, *init.subreaper, "--", program("orphans"), "300"]
        assert run(command, as_pid_1=False) == (0, "reaped 300\n", "")

    def test_living_orphans_do_not_hold_back_the_status(self, init: Init) -> None:
        assert run([init.path, "--", "sh", "-c", "sleep 1000 >&- 2>&- & exit 3"])[0] == 3

    def test_a_storm_does_not_hold_back_the_status(self, init: Init, program: Programs) -> None:
        shell = f"{program('orphans')} storm >&- 2>&- & exit 3"
        assert run([init.path, "--", "sh", "-c", shell])[0] == 3

    def test_sigchld_ignored_by_the_launcher(self, init: Init, program: Programs) -> None:
        if Can.KEEP_SIGCHLD_IGNORED not in init.can:
            return  # tini would wait for ever
        command = [program("with_signals"), "ignore", "17", "--", init.path, "--", "sh", "-c", "exit 6"]
        assert run(command)[0] == 6


class TestEnd:
    """What happens to the rest when the main child has ended; as an ordinary process, where the rest can live on."""

    def start_with_rest(self, init: Init, rest: str, options: tuple[str, ...], *, as_pid_1: bool) -> Running:
        command = [init.path, *options, "--", "sh", "-c", f"{rest} rest & read x"]
        return Running(command, as_pid_1=as_pid_1, stdin=-1)

    def end_main_child(self, running: Running) -> None:
        assert running.process.stdin is not None
        running.process.stdin.write(b"\n")
        assert running.status() == 0

    def test_the_rest_of_the_group(self, init: Init, program: Programs) -> None:
        with self.start_with_rest(init, program("report_signals"), init.group, as_pid_1=False) as running:
            pid = int(running.line().split()[2])
            self.end_main_child(running)
            if Can.TERM_THE_REST in init.can:
                assert running.line() == "rest 15 0"
            os.kill(pid, signal.SIGUSR2)
            assert running.lines(2) == ["rest 12 0", ""]

    def test_the_rest_is_left_alone_otherwise(self, init: Init, program: Programs) -> None:
        with self.start_with_rest(init, program("report_signals"), init.alone, as_pid_1=False) as running:
            pid = int(running.line().split()[2])
            self.end_main_child(running)
            os.kill(pid, signal.SIGUSR2)
            assert running.lines(2) == ["rest 12 0", ""]

    def test_as_pid_1_it_takes_everything_with_it(self, init: Init, program: Programs) -> None:
        with self.start_with_rest(init, program("stubborn"), init.alone, as_pid_1=True) as running:
            running.line()
            self.end_main_child(running)
            assert running.line() == ""  # nobody holds the output any longer


class TestInheritance:
    """The child finds what the init was given."""

    def signals_of_child(self, init: Init, program: Programs, *states: str) -> dict[str, int]:
        command = [program("with_signals"), *states, "--", init.path, "--", "cat", "/proc/self/status"]
        status, output, errors = run(command)
        assert (status, errors) == (0, "")
        fields = dict(line.split(":", 1) for line in output.splitlines())
        return {name: int(fields[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")}

    def test_default_dispositions_and_nothing_blocked(self, init: Init, program: Programs) -> None:
        found = self.signals_of_child(init, program)
        assert (found["SigBlk"], found["SigIgn"], found["SigCgt"]) == (0, 0, 0)

    def test_ignored_signals(self, init: Init, program: Programs) -> None:
        ignored = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTTOU, signal.SIGSEGV, 40)
        found = self.signals_of_child(init, program, *(word for number in ignored for word in ("ignore", str(number))))
        # dumb-init does not look at real-time signals, so that one stays.
        kept = ignored if Can.KEEP_IGNORED in init.can else (40,)
        assert found["SigIgn"] == sum(1 << (number - 1) for number in kept)

    def test_blocked_signals(self, init: Init, program: Programs) -> None:
        blocked = (signal.SIGTERM, signal.SIGTTIN, signal.SIGILL, signal.SIGCHLD, 50)
        found = self.signals_of_child(init, program, *(word for number in blocked for word in ("block", str(number))))
        kept = blocked if Can.KEEP_BLOCKED in init.can else ()
        assert found["SigBlk"] == sum(1 << (number - 1) for number in kept)

    def test_a_signal_that_nohup_ignored_does_not_end_it(self, init: Init, program: Programs) -> None:
        command = [init.path, "--", program("report_signals")]
        with Running(command, prefix=[program("with_signals"), "ignore", "1", "--"]) as running:
            running.line()
            running.send(signal.SIGHUP)
            assert running.line() == "child 1 0"  # the child decides

    def test_working_directory_environment_and_arguments(self, init: Init, tmp_path: Path) -> None:
        shell = f"cd {tmp_path}; A='b c' exec {init.path} -- sh -c 'pwd; echo \"$A\"; echo \"$#\"' x 1 '' '2 3'"
        assert run(["sh", "-c", shell])[:2] == (0, f"{tmp_path}\nb c\n3\n")

    def test_input_and_output_go_through(self, init: Init) -> None:
        data = os.urandom(300_000)
        with Running([init.path, "--", "sh", "-c", "cat; echo done >&2"], stdin=-1) as running:
            output, errors = running.process.communicate(data, timeout=60)
        assert (output, errors) == (data, b"done\n")

    def test_descriptors(self, init: Init) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = theirs.fileno()
            command = [
                init.path,
                "--",
                "bash",
                "-c",
                f"echo hello >&{number}; exec {number}>&-; echo ready; sleep 1000",
            ]
            with Running(command, pass_fds=[number], as_pid_1=False) as running:
                theirs.close()
                running.line()
                assert ours.recv(100) == b"hello\n"
                ours.settimeout(60 if Can.LET_GO_OF_DESCRIPTORS in init.can else 0.05)
                if Can.LET_GO_OF_DESCRIPTORS in init.can:
                    assert ours.recv(1) == b""  # the child closed it, and nobody else has it
                else:
                    with pytest.raises(TimeoutError):
                        ours.recv(1)


class TestParentDeath:
    """With ``-p`` the init hears of the end of its parent."""

    @pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
    def test_signal_reaches_the_child(self, init: Init, program: Programs, number: signal.Signals) -> None:
        if Can.PARENT_DEATH_SIGNAL not in init.can:
            return  # dumb-init has nothing like it
        shell = f"{init.path} -p {number.name} -- {program('report_signals')} & read x; kill -KILL $$"
        with Running(["sh", "-c", shell], as_pid_1=False, stdin=-1) as running:
            child = int(running.line().split()[2])
            assert running.process.stdin is not None
            running.process.stdin.write(b"\n")
            assert running.line() == f"child {number} 0"
            os.kill(child, signal.SIGKILL)

"""``strongroom doctor --attack``: it finds what is open, confirms what is closed, and harms nothing."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doctor.conftest import CANARY, NOBODY, Doctor, outcomes
from tests.support.launch.launcher import Launcher
from tests.support.launch.launches import SANDBOX
from tests.support.process.waiting import stop_process
from tests.support.tree import ROOT

SECRET = {"SECRET": "bao:kv/shop/doctor#k"}
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
ENOSYS = "38"

READS_OF_THE_REGION = {"mem", "process-vm-readv", "peekdata", "gdb"}
EVERY_ATTACK = {
    "environ",
    "cmdline",
    "children-environ",
    "maps",
    "mem",
    "process-vm-readv",
    "peekdata",
    "memory-search",
    "fd",
    "map-files",
    "pidfd-getfd",
    "gdb",
    "gdb-core",
    "crash",
    "swap",
    "ld-preload",
    "injection",
}


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Check that a program is as alive after the block as it was before; then end it."""
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first == "d\n", process.stderr.read() if process.stderr and not first else first
        yield process
        process.stdin.write("still there\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        assert process.stdout.readline().endswith("still there\n"), "it must survive all attacks"
    finally:
        process.kill()
        process.communicate()


def launched(launcher: Launcher, *words: str) -> subprocess.Popen[str]:
    return launcher.start(SECRET, *words)


def bare(*words: str, **environ: str) -> subprocess.Popen[str]:
    """Start a program without Strongroom."""
    return subprocess.Popen(
        words,
        env={"PATH": os.environ["PATH"], **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def not_stopped(results: dict[str, str]) -> set[str]:
    return {name for name, result in results.items() if result.startswith("not-stopped")}


class TestProtected:
    def test_everything_is_stopped_but_injection_by_root(
        self, doctor: Doctor, launcher: Launcher, in_place: Path
    ) -> None:
        with ended(launched(launcher, *AS_NOBODY, str(in_place))) as process:
            document = doctor.document("--attack", str(process.pid))
        root, same_user = outcomes(document, "root"), outcomes(document, "same-user")
        assert root.keys() == EVERY_ATTACK
        assert same_user.keys() == EVERY_ATTACK - {"crash", "swap", "ld-preload"}
        assert root.pop("injection") == "not-stopped!"
        assert document["values_known"] == 1, "injection tells the others what to look for"
        na = "not-applicable"
        assert root.pop("ld-preload") == na
        assert root.pop("children-environ") == same_user.pop("children-environ") == na
        assert set(root.values()) == set(same_user.values()) == {"stopped"}
        assert document["ok"]
        assert document["target"] == {
            "pid": process.pid,
            "uid": NOBODY,
            "name": "in_place",
            "memory": "memfd-secret",
            "memory_bytes": 4096,
        }

    def test_it_says_the_same_with_values_from_the_bridge(
        self, doctor: Doctor, launcher: Launcher, in_place: Path
    ) -> None:
        with ended(launched(launcher, str(in_place))) as process:
            document = doctor.document("--attack", str(process.pid), references=SECRET)
        assert document["values_known"] == 1
        assert not_stopped(outcomes(document, "root")) == {"injection"}
        assert not not_stopped(outcomes(document, "same-user"))

    def test_the_same_user_gets_nothing(self, doctor: Doctor, launcher: Launcher, in_place: Path) -> None:
        with ended(launched(launcher, *AS_NOBODY, str(in_place))) as process:
            document = doctor.document("--attack", str(process.pid), prefix=AS_NOBODY)
        assert {row["attacker"] for row in document["attacks"]} == {"same-user"}
        results = outcomes(document, "same-user")
        assert results.keys() == EVERY_ATTACK
        assert not not_stopped(results)
        assert results["injection"] == results["mem"] == results["environ"] == results["crash"] == "stopped"
        assert document["ok"]

    def test_a_static_program_keeps_its_descriptor_unless_children_get_nothing(
        self, doctor: Doctor, in_place: Path
    ) -> None:
        static = str(in_place.with_name("static"))
        inheriting = doctor.document("--attack", "--", static, references=SECRET)
        assert not_stopped(outcomes(inheriting, "root")) == {"injection", "pidfd-getfd"}
        assert inheriting["ok"], "the threat model says so"
        denying = doctor.document("--attack", "--children", "deny", "--", static, references=SECRET)
        assert not_stopped(outcomes(denying, "root")) == {"injection"}

    def test_copies_that_the_program_makes_are_told_apart(self, doctor: Doctor) -> None:
        program = "import time; time.sleep(60)"
        document = doctor.document("--attack", "--", sys.executable, "-c", program, references=SECRET)
        root = outcomes(document, "root")
        assert not_stopped(root) == {"injection", "memory-search", "gdb-core"}
        assert root["mem"] == root["gdb"] == "stopped"
        assert not not_stopped(outcomes(document, "same-user"))
        assert document["ok"]


class TestWeak:
    def test_a_value_in_an_ordinary_environment_is_found(self, doctor: Doctor, in_place: Path) -> None:
        with ended(bare(str(in_place), SECRET=CANARY)) as process:
            document = doctor.document("--attack", str(process.pid), references=SECRET)
        assert not_stopped(outcomes(document, "root")) >= {"environ", "memory-search", "gdb-core"}
        assert not document["ok"]
        assert "not-stopped!" not in outcomes(document, "root").values()

    def test_its_own_user_finds_it_too(self, doctor: Doctor, in_place: Path) -> None:
        with ended(bare(*AS_NOBODY, str(in_place), SECRET=CANARY)) as process:
            document = doctor.document("--attack", str(process.pid), references=SECRET)
        assert not_stopped(outcomes(document, "same-user")) >= {"environ", "memory-search"}

    def test_a_value_among_the_arguments_is_found_and_not_printed(self, doctor: Doctor, in_place: Path) -> None:
        with ended(bare(str(in_place), CANARY, SECRET="d")) as process:
            document = doctor.document("--attack", str(process.pid), references=SECRET)
        assert "cmdline" in not_stopped(outcomes(document, "root"))

    def test_a_value_that_a_child_shows_is_found(self, doctor: Doctor, in_place: Path) -> None:
        with ended(bare("sh", "-c", f"SECRET={CANARY} {in_place}; true")) as process:
            document = doctor.document("--attack", str(process.pid), references=SECRET)
        assert "children-environ" in not_stopped(outcomes(document, "root"))

    def test_memory_that_is_only_locked_is_read_by_root(
        self, doctor: Doctor, launcher: Launcher, in_place: Path
    ) -> None:
        command = launcher.command(str(in_place))
        at = command.index("run") + 1
        command[at:at] = ["--require", "locked"]
        weak = [sys.executable, str(SANDBOX), f"refuse={ENOSYS}", "--", *command]
        process = subprocess.Popen(
            weak,
            env=launcher.environ(SECRET),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with ended(process):
            document = doctor.document("--attack", str(process.pid))
        assert document["target"]["memory"] == "locked"
        root = outcomes(document, "root")
        assert not_stopped(root) >= READS_OF_THE_REGION | {"injection"}
        assert {root[name] for name in READS_OF_THE_REGION} == {"not-stopped"}
        assert root["swap"] == "stopped"
        assert not not_stopped(outcomes(document, "same-user")), "its own user may not even look"
        assert not document["ok"]

    def test_a_program_that_makes_itself_dumpable_again_is_open_to_its_own_user(
        self, doctor: Doctor, launcher: Launcher
    ) -> None:
        program = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
print(os.environ["SECRET"][0], flush=True)
for line in sys.stdin: print(line, end="", flush=True)
"""
        with ended(launched(launcher, *AS_NOBODY, sys.executable, "-c", program)) as process:
            document = doctor.document("--attack", str(process.pid), prefix=AS_NOBODY)
        results = outcomes(document, "same-user")
        assert not_stopped(results) >= {"injection", "memory-search"}
        assert results["mem"] == results["peekdata"] == "stopped", "the kernel refuses this to everybody"
        assert "not-stopped!" not in results.values(), "the threat model promises more"
        assert not document["ok"]


class TestHarmless:
    def test_signals_that_arrive_meanwhile_are_not_lost(
        self, doctor: Doctor, launcher: Launcher, in_place: Path
    ) -> None:
        over = threading.Event()
        with ended(launched(launcher, str(in_place))) as process:

            def shower() -> None:
                while not over.is_set():
                    process.send_signal(10)  # SIGUSR1, which it counts
                    time.sleep(0.001)

            sender = threading.Thread(target=shower)
            sender.start()
            document = doctor.document("--attack", str(process.pid))
            over.set()
            sender.join()
            process.stdin.write("count\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            assert int(process.stdout.readline().split()[0]) > 100  # type: ignore[union-attr]
        assert outcomes(document, "root")["injection"] == "not-stopped!"

    def test_a_busy_program_with_threads_goes_on(self, doctor: Doctor, launcher: Launcher) -> None:
        program = """
import hashlib, os, sys, threading
def work():
    while True: assert hashlib.sha256(b"x" * 9999).hexdigest()[:6] == want
want = hashlib.sha256(b"x" * 9999).hexdigest()[:6]
for _ in range(3): threading.Thread(target=work, daemon=True).start()
print(os.environ["SECRET"][0], flush=True)
for line in sys.stdin: print(threading.active_count(), line, end="", flush=True)
"""
        with ended(launched(launcher, sys.executable, "-c", program)) as process:
            doctor.document("--attack", str(process.pid))
            process.stdin.write("x\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            assert process.stdout.readline() == "4 x\n"  # type: ignore[union-attr]

    def test_a_command_is_ended_with_all_that_it_started(self, doctor: Doctor, tmp_path: Path) -> None:
        script = f"sleep 300 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait; true"
        doctor.document("--attack", "--", "bash", "-c", script, references=SECRET)
        for name in ("child", "self"):
            assert not _runs((tmp_path / name).read_text().strip())

    def test_a_program_that_is_stopped_stays_stopped(self, doctor: Doctor, launcher: Launcher, in_place: Path) -> None:
        with ended(launched(launcher, str(in_place))) as process:
            stop_process(process.pid)
            document = doctor.document("--attack", str(process.pid), references=SECRET)
            assert "State:\tT" in Path(f"/proc/{process.pid}/status").read_text()
            process.send_signal(18)
        root = outcomes(document, "root")
        assert root["injection"] == root["gdb"] == "not-applicable"
        assert root["mem"] == "stopped"


def _runs(pid: str) -> bool:
    """Return whether a process does anything; an orphan may stay a zombie until somebody reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


class TestRefusals:
    @pytest.mark.parametrize(
        ("pid", "says"),
        [
            ("1", "PID 1"),
            (str(os.getpid()), "a process that started this one"),
            ("4194305", "there is no process"),
        ],
        ids=["init", "parent", "nobody"],
    )
    def test_what_is_never_attacked(self, doctor: Doctor, pid: str, says: str) -> None:
        result = doctor.run("--attack", pid)
        assert result.returncode == 111
        assert says in result.stderr
        assert not result.stdout

    def test_a_command_that_ends_at_once(self, doctor: Doctor) -> None:
        result = doctor.run("--attack", "--", "sh", "-c", "exit 7", references=SECRET)
        assert result.returncode == 7
        assert "ended with status 7" in result.stderr

    def test_a_command_whose_secrets_cannot_be_had(self, doctor: Doctor) -> None:
        result = doctor.run("--attack", "--", "sleep", "60", references={"SECRET": "bao:kv/shop/nowhere#k"})
        assert result.returncode == 113
        assert "kv/shop/nowhere#k" in result.stderr

    def test_a_command_without_references(self, doctor: Doctor) -> None:
        result = doctor.run("--attack", "--", "sleep", "60")
        assert result.returncode == 111
        assert "refers to no secrets" in result.stderr

    @pytest.mark.parametrize("words", [("--attack",), ("--attack", "--"), ("--attack", "12", "--", "sleep", "1")])
    def test_neither_or_both(self, doctor: Doctor, words: tuple[str, ...]) -> None:
        assert doctor.run(*words).returncode == 111


def test_the_table_for_people(doctor: Doctor, in_place: Path) -> None:
    result = doctor.run("--attack", "--", str(in_place), references=SECRET)
    assert result.returncode == 0, result.stdout
    assert "\033" not in result.stdout, "no colour in a pipe"
    lines = result.stdout.splitlines()
    heads = next(line for line in lines if "ATTACK" in line)
    columns = [heads.index(head) for head in ("ATTACK", "AS", "RESULT", "WHAT IT MEANS")]
    rows = [line for line in lines if line[:1] in "✓✗\N{EN DASH}!" and "  " in line]
    assert len(rows) == 2 * len(EVERY_ATTACK) - 3
    for row in rows:
        assert all(row[column - 1] == " " and row[column] != " " for column in columns), row
    assert any(row.startswith("! code injection by ptrace") and "NOT stopped" in row for row in rows)
    assert "! 1 not stopped, as docs/threat-model.md says" in lines


def test_a_supervisor_is_told_apart_from_the_application(doctor: Doctor, launcher: Launcher, in_place: Path) -> None:
    with ended(bare("sh", "-c", '"$@"; true', "sh", "env", *_assignments(launcher), *_run(in_place))) as process:
        result = doctor.run("--attack", str(process.pid))
    assert "has secret memory: strongroom doctor --attack" in result.stdout


def _assignments(launcher: Launcher) -> list[str]:
    return [f"{name}={value}" for name, value in launcher.environ(SECRET).items()]


def _run(program: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("strongroom")), "run", "--quiet", "1", "--", str(program)]

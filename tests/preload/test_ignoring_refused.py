"""Programs that ignore the library and cannot have their secrets otherwise do not start, and one line says why."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.preload.launch import EXEC, SH, WITHOUT_PRIVILEGES, Build, Launcher, is_told
from tests.preload.test_children import PYTHON, STARTERS
from tests.support.process.privileges import is_root
from tests.support.tree import ROOT

EPERM, ENOSYS = 1, 38
# ptrace, process_vm_readv, process_vm_writev
CALLS = {"x86_64": (101, 310, 311), "aarch64": (117, 270, 271)}[os.uname().machine]
SANDBOX = [sys.executable, str(ROOT / "tests" / "support" / "launch" / "sandbox.py")]
needs_root = pytest.mark.skipif(not is_root(), reason="file capabilities, users and namespaces need root")


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Programs of other machines and word sizes, down to their headers."""
    folder = tmp_path_factory.mktemp("foreign")
    programs = {}
    for name, (word, order, machine) in {
        "i386": (1, 1, 3),
        "x32": (1, 1, 62),
        "arm64": (2, 1, 183 if os.uname().machine == "x86_64" else 62),
        "s390x": (2, 2, 22),
    }.items():
        endian = "<" if order == 1 else ">"
        sizes = (52, 32, 1, 0, 0, 0) if word == 1 else (64, 56, 1, 0, 0, 0)
        middle = struct.pack(endian + ("III" if word == 1 else "QQQ"), 0x1000, sizes[0], 0)
        header = bytes([0x7F, *b"ELF", word, order, 1, *bytes(9)]) + struct.pack(endian + "HHI", 2, machine, 1)
        header += middle + struct.pack(endian + "I6H", 0, *sizes)
        programs[name] = folder / name
        programs[name].write_bytes(header + bytes(200))
        programs[name].chmod(0o755)
    return programs


class TestRefusals:
    """What cannot have its secrets does not start."""

    @pytest.mark.parametrize("starter", [SH, EXEC, ["env"], STARTERS["python-posix-spawn"]], ids=str)
    @pytest.mark.parametrize("name", ["i386", "x32", "arm64", "s390x"])
    def test_program_of_another_machine(
        self, launcher: Launcher, foreign: dict[str, Path], name: str, starter: list[str]
    ) -> None:
        is_told(launcher.run([*starter, foreign[name]]), foreign[name], "not a program of this machine")

    @pytest.mark.parametrize("name", ["line\nstrongroom: error: forged\x1b[2J", "long" * 60])
    def test_name_of_any_kind_stays_in_one_line(
        self, launcher: Launcher, foreign: dict[str, Path], tmp_path: Path, name: str
    ) -> None:
        program = tmp_path / name
        shutil.copy(foreign["i386"], program)
        result = launcher.run([*EXEC, program])

        assert (result.returncode, result.stdout) == (120, b"")
        (line,) = result.stderr.decode().splitlines()
        assert line.isprintable()
        assert line.endswith("--children allow:NAME")

    def test_program_of_another_machine_without_secrets_is_the_kernels_to_judge(
        self, launcher: Launcher, foreign: dict[str, Path]
    ) -> None:
        result = launcher.run(["env", "-i", "/bin/sh", "-c", f"{foreign['arm64']}; echo $?"])
        assert result.stdout == b"126\n"

    @needs_root
    def test_program_that_cannot_be_read(self, launcher: Launcher, build: Build) -> None:
        program = build("print", "gcc", "-static")
        secret = program.parent / "unreadable"
        shutil.copy(program, secret)
        secret.chmod(0o711)
        os.chown(secret, 0, 0)
        is_told(launcher.run([*WITHOUT_PRIVILEGES, *SH, secret, "DB_PASSWORD"]), secret, "cannot be read")

    @pytest.mark.parametrize("number", [EPERM, ENOSYS])
    @pytest.mark.parametrize("call", CALLS)
    def test_where_ptrace_is_forbidden(self, launcher: Launcher, build: Build, call: int, number: int) -> None:
        program = build("print", "gcc", "-static")
        result = launcher.run([*SANDBOX, f"refuse={call}:{number}", "--", "/bin/sh", *EXEC[1:], program, "DB_PASSWORD"])
        is_told(result, program, "seccomp profile")

    def test_where_a_debugger_traces_it_already(self, launcher: Launcher, build: Build) -> None:
        program = build("print", "gcc", "-static")
        tracer = ["strace", "-f", "-o", "/dev/null"]
        is_told(launcher.run([*tracer, *EXEC, program, "DB_PASSWORD"]), program, "another process traces it already")

    @needs_root
    @pytest.mark.parametrize("options", [("gcc", "-static"), ("musl-gcc",)])
    def test_behind_a_chroot_without_library_and_tracer(
        self, launcher: Launcher, build: Build, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        # Without the library the loader would warn and go on.
        (tmp_path / "lib").mkdir()
        shutil.copy(build("print", *options), tmp_path / "print")
        if options == ("musl-gcc",):
            shutil.copy("/lib/ld-musl-x86_64.so.1", tmp_path / "lib")
        is_told(
            launcher.run(["/usr/sbin/chroot", tmp_path, "/print", "DB_PASSWORD"]),
            "/print",
            "does not load the library here",
        )

    @needs_root
    def test_behind_a_chroot_by_posix_spawn_the_call_fails(
        self, launcher: Launcher, build: Build, tmp_path: Path
    ) -> None:
        shutil.copy(build("print", "gcc", "-static"), tmp_path / "print")
        code = "import os, sys; os.chroot(sys.argv[1]); os.posix_spawn('/print', ['print'], os.environ)"
        result = launcher.run([PYTHON, "-c", code, tmp_path])

        assert b"strongroom: error: /print: does not load the library here" in result.stderr
        assert b"PermissionError" in result.stderr

    @needs_root
    def test_behind_a_chroot_with_library_and_tracer(self, launcher: Launcher, build: Build, tmp_path: Path) -> None:
        folder = Path(launcher.library).parent
        inside = tmp_path / folder.relative_to("/")
        inside.mkdir(parents=True)
        for name in ("libstrongroom.so", "strongroom-tracer"):
            shutil.copy(folder / name, inside)
        shutil.copy(build("print", "gcc", "-static"), tmp_path / "print")
        result = launcher.run(["/usr/sbin/chroot", tmp_path, "/print", "DB_PASSWORD"])

        assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")

    @needs_root
    def test_without_a_process_to_spare(self, launcher: Launcher, build: Build) -> None:
        program = build("print", "gcc", "-static")
        code = (
            "import os, resource, sys; os.setresgid(4711, 4711, 4711); os.setresuid(4711, 4711, 4711)\n"
            "resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)); os.execv(sys.argv[1], sys.argv[1:])\n"
        )
        is_told(launcher.run([PYTHON, "-c", code, program]), program, "the limit on processes")

    def test_tracer_by_hand(self, launcher: Launcher) -> None:
        tracer = Path(launcher.library).parent / "strongroom-tracer"
        for words in ([], ["-"], ["-", "/bin/true"]):
            result = subprocess.run([tracer, *words], env={}, capture_output=True, check=False)
            assert (result.returncode, result.stdout) == (120, b"")
            assert b"not by hand" in result.stderr

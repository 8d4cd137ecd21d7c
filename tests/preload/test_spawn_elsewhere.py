"""posix_spawn() with actions that change what a name leads to in the child: it has its secrets all the same."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.preload.launch import PLAIN, Build, Launcher, Programs
from tests.preload.test_children import PYTHON, assert_ok
from tests.preload.test_ignoring_refused import CALLS, EPERM, SANDBOX, needs_root

STATIC = [("gcc", "-static"), ("musl-gcc", "-static")]
SECRET = b"DB_PASSWORD=s3cret\n"
NOT_FOUND = b"No such file or directory\n"
OPENAT2 = 437
ENOSYS = 38

Place = Callable[..., Path]  # of the fixture ``place``


@dataclass(frozen=True)
class Caller:
    """Starts programs by ``spawn_elsewhere``, which has the library."""

    launcher: Launcher
    program: Path

    def spawn(
        self, call: str, action: str, *words: str | Path, before: Sequence[str] = (), extra: Mapping[str, str] = PLAIN
    ) -> subprocess.CompletedProcess[bytes]:
        """``before`` is a command before it, ``extra`` what it has in its environment."""
        return self.launcher.run([*before, self.program, call, action, *words], extra=extra)


@pytest.fixture
def caller(launcher: Launcher, programs: Programs) -> Caller:
    return Caller(launcher, programs.build("spawn_elsewhere"))


@pytest.fixture(params=[None, ("gcc",), ("gcc", "-static")], ids=str)
def here(request: pytest.FixtureRequest, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the caller, with a program of the same name that is of another kind, or without one."""
    folder = tmp_path / "here"
    folder.mkdir()
    if request.param:
        shutil.copy(build("print", *request.param), folder / "program")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The directory of the child."""
    folder = tmp_path / "there"
    (folder / "bin").mkdir(parents=True)
    return folder


@pytest.fixture
def place(build: Build, there: Path) -> Place:
    """Put a program there: ``place("program", "gcc", "-static")``; it prints variables."""

    def copy(name: str, *options: str) -> Path:
        return Path(shutil.copy(build("print", *options), there / name))

    return copy


@pytest.fixture(params=["chdir", "fchdir"])
def move(request: pytest.FixtureRequest, there: Path) -> str:
    """The action that makes it the directory of the child."""
    return f"{request.param}:{there}"


def assert_served(result: subprocess.CompletedProcess[bytes]) -> None:
    assert (result.returncode, result.stdout, result.stderr) == (0, SECRET, b"")


def looked_in(trace: Path) -> set[str]:
    """Return the directories in which a program called ``missing`` was looked for."""
    return set(re.findall(r'"(/[^"]*)/missing"', trace.read_text()))


class TestAnotherDirectory:
    """The name leads elsewhere in the directory of the child."""

    @pytest.mark.usefixtures("here")
    @pytest.mark.parametrize("options", [*STATIC, ("gcc",), ("musl-gcc",)], ids=str)
    @pytest.mark.parametrize("call", ["posix_spawn", "posix_spawnp"])
    def test_relative_path(self, caller: Caller, place: Place, move: str, call: str, options: Sequence[str]) -> None:
        place("program", *options)
        assert_served(caller.spawn(call, move, "./program", "DB_PASSWORD"))

    @pytest.mark.usefixtures("here")
    @pytest.mark.parametrize("options", STATIC, ids=str)
    @pytest.mark.parametrize("path", ["bin:/usr/bin", "/usr/bin:bin", "/usr/bin::bin", "/none:.:/usr/bin", "", ":"])
    def test_relative_directories_of_path(
        self, caller: Caller, place: Place, there: Path, path: str, options: Sequence[str]
    ) -> None:
        place("program", *options)
        place("bin/program", *options)
        assert_served(caller.spawn("posix_spawnp", f"chdir:{there}", "program", "DB_PASSWORD", extra={"PATH": path}))

    @pytest.mark.parametrize("call", ["pidfd_spawn", "pidfd_spawnp"])
    def test_child_with_a_descriptor_for_its_handle(
        self, launcher: Launcher, place: Place, tmp_path: Path, call: str
    ) -> None:
        # Of glibc 2.39; where the libc is older, another library stands in for it.
        programs = Programs("glibc", tmp_path)
        stand_in = programs.build_library("pidfd_stand_in")
        program = programs.build("spawn_elsewhere", "-Wl,--no-as-needed", stand_in, f"-Wl,-rpath,{stand_in.parent}")
        caller = Caller(launcher, program)
        action = f"chdir:{place('program', 'gcc', '-static').parent}"

        assert_served(caller.spawn(call, action, "./program", "DB_PASSWORD"))
        missing = caller.spawn(call, action, "./missing")
        assert (missing.stdout, missing.stderr) == (NOT_FOUND, b"")

    @pytest.mark.usefixtures("here")
    def test_script_whose_interpreter_is_relative(
        self, caller: Caller, place: Place, move: str, tmp_path: Path
    ) -> None:
        place("program", "gcc", "-static")
        script = tmp_path / "script"
        script.write_text("#!program DB_PASSWORD\n")
        script.chmod(0o755)
        result = caller.spawn("posix_spawn", move, script)

        assert (result.returncode, result.stderr) == (0, b"")
        assert result.stdout.startswith(SECRET)

    @pytest.mark.usefixtures("here")
    def test_absolute_path_by_way_of_the_working_directory(
        self, caller: Caller, place: Place, move: str, tmp_path: Path
    ) -> None:
        place("program", "gcc", "-static")
        (tmp_path / "link").symlink_to("/proc/self/cwd")
        assert_served(caller.spawn("posix_spawn", move, tmp_path / "link" / "program", "DB_PASSWORD"))

    @pytest.mark.parametrize("options", [("gcc",), ("gcc", "-static")], ids=str)
    def test_does_not_show_the_secret(
        self, caller: Caller, build: Build, there: Path, move: str, options: Sequence[str]
    ) -> None:
        shutil.copy(build("own_environ", *options), there / "program")
        assert_ok(caller.spawn("posix_spawn", move, "./program"))

    def test_leaves_no_descriptor_in_the_child(self, caller: Caller, build: Build, there: Path, move: str) -> None:
        shutil.copy(build("open_descriptors", "gcc"), there / "program")
        assert caller.spawn("posix_spawn", move, "./program").stdout == b"0 1 2 \n"

    def test_absolute_path_takes_no_other_way(self, caller: Caller, move: str, tmp_path: Path) -> None:
        trace = tmp_path / "trace"
        before = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", str(trace)]
        caller.spawn("posix_spawn", move, "/bin/true", before=before)

        assert "/bin/true" in trace.read_text()
        assert "tracer" not in trace.read_text()

    @pytest.mark.parametrize("more", ["", "preexec_fn=lambda: None", "close_fds=False", "start_new_session=True"])
    def test_subprocess_of_python(self, launcher: Launcher, build: Build, there: Path, more: str) -> None:
        shutil.copy(build("own_environ", "gcc", "-static"), there / "program")
        code = f"import subprocess, sys; subprocess.run(['./program'], cwd=sys.argv[1], check=True, {more})"
        assert_ok(launcher.run([PYTHON, "-c", code, there]))

    def test_older_kernel_without_openat2(self, caller: Caller, place: Place, build: Build, move: str) -> None:
        before = [*SANDBOX, f"refuse={OPENAT2}:{ENOSYS}", "--"]
        place("program", "gcc", "-static")
        for name in ("./program", build("print", "gcc")):
            assert_served(caller.spawn("posix_spawn", move, name, "DB_PASSWORD", before=before))

    @pytest.mark.parametrize("options", [("gcc",), ("gcc", "-static")], ids=str)
    @pytest.mark.parametrize("before", [[], ["env", "-u", "PATH"]], ids=str)
    def test_name_that_is_not_on_path_is_not_that_of_a_file_there(
        self, caller: Caller, place: Place, move: str, options: Sequence[str], before: Sequence[str]
    ) -> None:
        place("program", *options)
        result = caller.spawn("posix_spawnp", move, "program", "DB_PASSWORD", before=before)
        assert (result.stdout, result.stderr) == (NOT_FOUND, b"")

    def test_without_path_is_searched_for_where_the_libc_does(self, caller: Caller, tmp_path: Path) -> None:
        # What is found elsewhere is not what is executed, and may be what a policy allows.
        trace = tmp_path / "trace"
        calls = "trace=execve,faccessat,faccessat2"
        before = ["env", "-u", "PATH", "strace", "-f", "-qq", "-e", calls, "-o", str(trace)]
        command = [*before, str(caller.program), "posix_spawnp", "none", "missing"]
        subprocess.run(["/usr/bin/env", *command[1:3], shutil.which("strace") or "", *command[4:]], check=False)
        places = looked_in(trace)
        caller.spawn("posix_spawnp", "none", "missing", before=before)

        assert places
        assert looked_in(trace) == places


class TestOtherDescriptors:
    """The name leads to a descriptor that the child has otherwise."""

    @pytest.mark.parametrize("options", [*STATIC, ("gcc",)], ids=str)
    @pytest.mark.parametrize("name", ["/proc/self/fd/30", "/dev/fd/30"])
    @pytest.mark.parametrize("action", ["open", "dup", "has"])
    def test_file_behind_it(self, caller: Caller, place: Place, action: str, name: str, options: Sequence[str]) -> None:
        program = place("program", *options)
        assert_served(caller.spawn("posix_spawn", f"{action}:30:{program}", name, "DB_PASSWORD"))

    def test_this_very_program(self, caller: Caller) -> None:
        words = ["posix_spawn", "none", "/usr/bin/printenv", "DB_PASSWORD"]
        result = caller.spawn("posix_spawn", "none", "/proc/self/exe", *words)
        assert (result.stdout, result.stderr) == (b"s3cret\n", b"")

    def test_descriptor_that_exec_closes(self, launcher: Launcher, build: Build) -> None:
        code = (
            "import os, sys; fd = os.open(sys.argv[1], os.O_RDONLY)\n"
            "os.execv(f'/proc/self/fd/{fd}', ['name', 'DB_PASSWORD'])\n"
        )
        assert_served(launcher.run([PYTHON, "-c", code, build("print", "gcc", "-static")]))


class TestErrors:
    """The caller is told as by a libc without the library, and of what cannot have its secrets."""

    @pytest.mark.parametrize("call", ["posix_spawn", "posix_spawnp"])
    @pytest.mark.parametrize("name", ["./missing", "./folder", "./plain", "./text", "missing"])
    def test_same_error(self, caller: Caller, there: Path, move: str, name: str, call: str) -> None:
        (there / "folder").mkdir()
        (there / "plain").write_text("no program")
        (there / "text").write_text("no program")
        (there / "text").chmod(0o755)
        command = [str(caller.program), call, move, name]
        without = subprocess.run(command, env=PLAIN, capture_output=True, check=False)
        with_library = caller.spawn(call, move, name)

        assert (with_library.stdout, with_library.stderr) == (without.stdout, without.stderr)
        assert (with_library.returncode, without.returncode) == (1, 1)

    def test_program_that_policy_excludes_by_its_path(
        self, caller: Caller, place: Place, build: Build, move: str, tmp_path: Path
    ) -> None:
        # The parent finds the one that may have them, the child another one.
        allowed = shutil.copy(build("print", "gcc"), tmp_path / "program")
        place("program", "gcc")
        extra = {"PATH": f".:{tmp_path}", "STRONGROOM_CHILDREN": f"allow:{allowed}"}
        result = caller.spawn("posix_spawnp", move, "program", "DB_PASSWORD", extra=extra)

        assert result.stdout == b"Permission denied\n"
        assert b"may not have secrets, as --children says" in result.stderr

    @needs_root
    def test_program_that_would_gain_privileges(self, caller: Caller, place: Place, move: str) -> None:
        program = place("program", "gcc")
        os.chown(program, 1, 1)
        program.chmod(0o6755)
        result = caller.spawn("posix_spawn", move, "./program", "DB_PASSWORD")

        assert result.stdout == b"Permission denied\n"
        assert b"would gain privileges and may not have secrets" in result.stderr

    @pytest.mark.parametrize("call", CALLS)
    def test_only_static_programs_where_ptrace_is_forbidden(
        self, caller: Caller, place: Place, move: str, call: int
    ) -> None:
        before = [*SANDBOX, f"refuse={call}:{EPERM}", "--"]
        place("dynamic", "gcc")
        place("static", "gcc", "-static")
        assert_served(caller.spawn("posix_spawn", move, "./dynamic", "DB_PASSWORD", before=before))
        result = caller.spawn("posix_spawn", move, "./static", "DB_PASSWORD", before=before)

        assert (result.returncode, result.stdout) == (120, b"")
        assert b"seccomp profile" in result.stderr


class TestReport:
    """The new process reports what it has found; neither side depends on the other one being there."""

    @pytest.mark.parametrize(("outcome", "told"), [("fails", b"Resource temporarily unavailable\n"), ("ends", b"")])
    def test_is_not_waited_for_where_nobody_will_report(
        self, launcher: Launcher, there: Path, tmp_path: Path, outcome: str, told: bytes
    ) -> None:
        programs = Programs("glibc", tmp_path)
        libc = programs.build_library("spawn_beside_holder")
        program = programs.build("spawn_elsewhere", "-Wl,--no-as-needed", libc, f"-Wl,-rpath,{libc.parent}")
        trace = tmp_path / "trace"
        before = ["strace", "-f", "-qq", "-e", "trace=ppoll", "-o", str(trace)]
        caller = Caller(launcher, program)
        result = caller.spawn("posix_spawn", f"chdir:{there}", "./program", before=before, extra={"SPAWN": outcome})

        assert (result.returncode, result.stdout, result.stderr) == (1, told, b"")
        assert "Timeout" not in trace.read_text()

    @pytest.mark.parametrize("options", [("gcc",), ("gcc", "-static")], ids=str)
    def test_program_starts_where_nobody_listens_any_more(
        self, launcher: Launcher, build: Build, options: Sequence[str]
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        tracer = Path(launcher.library).with_name("strongroom-tracer")
        words: list[str | Path] = [
            tracer,
            "look",
            str(writer),
            "-",
            "-",
            build("print", *options),
            "print",
            "DB_PASSWORD",
        ]
        try:
            assert_served(launcher.run(words, also=[writer]))
        finally:
            os.close(writer)

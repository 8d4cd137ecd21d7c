"""Programs that ignore the library, started by programs that have it: they have the secrets all the same."""

import errno
import os
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from tests.preload.launch import (
    COMPILERS,
    EXEC,
    NATIVE,
    PASSWORD,
    SECRETS,
    SH,
    WITHOUT_PRIVILEGES,
    Build,
    Launcher,
    is_told,
)
from tests.preload.test_children import PYTHON, STARTERS, assert_ok
from tests.support.launch.loaders import build_without_libraries
from tests.support.process.privileges import is_root
from tests.support.tree import ROOT
from tests.wrapper.static_programs import COMMANDS

SANDBOX = ROOT / "tests" / "support" / "launch" / "sandbox.py"
REFUSED_FLAGS = {0x100: b"Too many levels of symbolic links", 0x4000: b"Invalid argument"}  # AT_SYMLINK_NOFOLLOW, none
EXECVEAT = {"x86_64": 322, "aarch64": 281}[os.uname().machine]
needs_root = pytest.mark.skipif(not is_root(), reason="file capabilities, users and namespaces need root")


class TestStatic:
    """Programs without a dynamic loader."""

    @pytest.mark.parametrize("options", [("gcc", "-static"), ("gcc", "-static-pie"), ("musl-gcc", "-static")])
    @pytest.mark.parametrize("starter", STARTERS)
    def test_has_the_secret_and_does_not_show_it(
        self, launcher: Launcher, build: Build, starter: str, options: tuple[str, ...]
    ) -> None:
        command: list[str | Path] = [*STARTERS[starter], build("own_environ", *options)]
        if starter == "find":
            command.append(";")
        assert_ok(launcher.run(command, stdin=b"\n" if starter == "xargs" else b""))

    @pytest.mark.parametrize("rung", ["locked", "any"])
    def test_has_the_secret_in_other_memory(self, launcher: Launcher, build: Build, rung: str) -> None:
        assert_ok(launcher.run([*EXEC, build("own_environ", "gcc", "-static")], rung=rung))

    @pytest.mark.parametrize("depth", [0, 6])  # of a loader's name that is longer than what is read of a file at first
    def test_whose_loader_loads_no_libraries(self, launcher: Launcher, tmp_path: Path, depth: int) -> None:
        folder = tmp_path.joinpath(*["a" * 50] * depth)
        folder.mkdir(parents=True, exist_ok=True)
        program = build_without_libraries(folder)
        result = launcher.run([*EXEC, program, "DB_PASSWORD", "PLAIN"])

        assert (result.returncode, result.stdout, result.stderr) == (0, b"DB_PASSWORD=s3cret\nPLAIN=plain\n", b"")

    def test_go(self, launcher: Launcher, tmp_path: Path) -> None:
        program = tmp_path / "report"
        environ = {**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off"}
        subprocess.run([*COMMANDS["go"], program, NATIVE / "static" / "report.go"], check=True, env=environ)
        result = launcher.run([*EXEC, program, "DB_PASSWORD", "PLAIN"])

        assert b"getenv\tDB_PASSWORD=s3cret\nenviron\tDB_PASSWORD=s3cret\n" in result.stdout, result
        assert b"getenv\tPLAIN=plain\n" in result.stdout

    @pytest.mark.parametrize(
        "init", [["tini", "--"], ["dumb-init", "--"], ["bash", "-c", 'exec "$@"', "bash"], ["env"], ["nohup"]], ids=str
    )
    def test_behind_an_entrypoint_and_an_init(
        self, launcher: Launcher, build: Build, tmp_path: Path, init: list[str]
    ) -> None:
        entrypoint = tmp_path / "docker-entrypoint.sh"
        entrypoint.write_text('#!/bin/sh\nset -e\nexec "$@"\n')
        entrypoint.chmod(0o755)
        result = launcher.run([entrypoint, *init, build("print", "musl-gcc", "-static"), "DB_PASSWORD", "PLAIN"])

        assert result.returncode == 0, result
        assert result.stdout == b"DB_PASSWORD=s3cret\nPLAIN=plain\n"

    @pytest.mark.parametrize("build_options", [("gcc",), ("gcc", "-static")], ids=str)
    @pytest.mark.parametrize("wrapper", [["env"], ["setsid"], ["timeout", "20"]], ids=str)
    def test_behind_a_static_wrapper(
        self, launcher: Launcher, build: Build, wrapper: list[str], build_options: tuple[str, ...]
    ) -> None:
        # As su-exec, gosu and s6's tools are: they exec by themselves, past the library.
        command = [*EXEC, "busybox", *wrapper, build("print", *build_options), "DB_PASSWORD"]
        result = launcher.run(command, secrets={"DB_PASSWORD": PASSWORD})

        assert result.stdout == b"DB_PASSWORD=s3cret\n", result

    def test_script_of_a_static_shell(self, launcher: Launcher, tmp_path: Path) -> None:
        script = tmp_path / "script"
        script.write_text(f'#!{shutil.which("busybox")} sh\necho "$0 $1 $DB_PASSWORD"\n')
        script.chmod(0o755)
        result = launcher.run([*SH, script, "argument"], secrets={"DB_PASSWORD": PASSWORD})

        assert (result.stdout, result.stderr) == (f"{script} argument s3cret\n".encode(), b"")

    @needs_root
    def test_file_without_a_first_line_behind_execvp(self, launcher: Launcher, tmp_path: Path) -> None:
        # execvp() of glibc has /bin/sh interpret it: here a static one, in a mount namespace of its own.
        script = tmp_path / "script"
        script.write_text('echo "$0 $1 $DB_PASSWORD"\n')
        script.chmod(0o755)
        busybox = shutil.which("busybox")
        inside = f'mount --bind {busybox} "$(realpath /bin/sh)"; exec env {script} argument'
        result = launcher.run(["unshare", "-m", "bash", "-c", inside], secrets={"DB_PASSWORD": PASSWORD})

        assert (result.stdout, result.stderr) == (f"{script} argument s3cret\n".encode(), b"")

    def test_dynamic_loader_run_as_a_program(self, launcher: Launcher, build: Build) -> None:
        loaders = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        loader = next(path for path in loaders if Path(path).exists())
        assert_ok(launcher.run([*SH, loader, build("own_environ", "gcc")]))

    def test_is_what_it_would_be_without_us(self, launcher: Launcher, build: Build) -> None:
        # Number, arguments, name, path, descriptors, signals; a child it never started; being traced.
        program = build("static/report", "gcc", "-static")
        code = (
            "import os, sys; pid = os.fork()\n"
            "if not pid: os.execv(sys.argv[1], ['other name', 'DB_PASSWORD'])\n"
            "print('was', pid, flush=True); os.waitpid(pid, 0)\n"
        )
        output = launcher.run([PYTHON, "-c", code, program]).stdout.decode()
        said = {line.split("\t")[0]: line.split("\t")[1:] for line in output.splitlines() if "\t" in line}

        assert f"was {said['pid'][0]}\n" in output
        assert said["envp"] == ["DB_PASSWORD=s3cret"]
        assert said["children"] == ["none"]
        assert said["dumpable"] == ["0"]
        assert said["TracerPid"][-1] == "0"
        assert {said[name][-1] for name in ("SigBlk", "SigPnd", "ShdPnd")} == {"0" * 16}
        descriptors = [line.split("\t")[1] for line in output.splitlines() if line.startswith("descriptor")]
        assert len(descriptors) == 4  # its region stays open for what it starts (docs/adr/0004)

    def test_finds_itself_by_proc_self_exe_and_its_first_argument(self, launcher: Launcher, build: Build) -> None:
        program = build("identity", "gcc", "-static")
        code = "import os, sys; os.execv(sys.argv[1], ['zero', 'one', ''])"
        result = launcher.run([PYTHON, "-c", code, program])

        assert result.stdout.decode().splitlines() == [str(program), program.name[:15], "zero", "one", ""]

    def test_what_was_blocked_and_ignored_stays_so(self, launcher: Launcher, build: Build) -> None:
        code = (
            "import os, signal, sys\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGUSR1])\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "os.execv(sys.argv[1], sys.argv[1:])\n"
        )
        output = launcher.run([PYTHON, "-c", code, build("static/report", "gcc", "-static")]).stdout.decode()
        said = {line.split("\t")[0]: line.split("\t")[-1] for line in output.splitlines()}
        masks = {name: int(said[name], 16) for name in ("SigBlk", "SigPnd", "ShdPnd", "SigIgn")}

        assert masks["SigBlk"] == 1 << signal.SIGCHLD - 1 | 1 << signal.SIGUSR1 - 1
        assert (masks["SigPnd"], masks["ShdPnd"]) == (0, 0)
        assert masks["SigIgn"] & 1 << signal.SIGTERM - 1

    def test_stays_open_to_debuggers_where_the_operator_wants_it(self, launcher: Launcher, build: Build) -> None:
        command: list[str | Path] = [*EXEC, build("static/report", "gcc", "-static"), "DB_PASSWORD"]
        result = launcher.run(command, extra={"STRONGROOM_DUMPABLE": "1"})

        assert b"getenv\tDB_PASSWORD=s3cret\n" in result.stdout, result
        assert b"dumpable\t1\n" in result.stdout

    def test_by_descriptor(self, launcher: Launcher, build: Build) -> None:
        code = "import os, sys; os.execve(os.open(sys.argv[1], os.O_PATH | {}), sys.argv[1:], os.environ)"
        for flag in ("0", "os.O_CLOEXEC"):
            command: list[str | Path] = [
                PYTHON,
                "-c",
                code.format(flag),
                build("print", "gcc", "-static"),
                "DB_PASSWORD",
            ]
            result = launcher.run(command)
            assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")

    def test_relative_to_a_directory(self, launcher: Launcher, build: Build) -> None:
        program = build("print", "gcc", "-static")
        caller = build("execveat", "gcc")
        result = launcher.run([caller, program.parent, program.name, "DB_PASSWORD"])

        assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")

    def test_script_relative_to_a_directory(self, launcher: Launcher, build: Build, tmp_path: Path) -> None:
        (tmp_path / "script").write_text(f"#!{build('print', 'gcc', '-static')} DB_PASSWORD\n")
        (tmp_path / "script").chmod(0o755)
        result = launcher.run([build("execveat", "gcc"), tmp_path, "script"])

        assert result.stdout.startswith(b"DB_PASSWORD=s3cret\n"), result

    # Before Linux 6.14 there is no AT_EXECVE_CHECK to ask by.
    @pytest.mark.parametrize(
        "sandbox", [[], [PYTHON, str(SANDBOX), f"refuse={EXECVEAT}:{errno.EINVAL}", "--"]], ids=len
    )
    @pytest.mark.parametrize("flags", REFUSED_FLAGS)
    def test_flags_of_execveat_count(
        self, launcher: Launcher, build: Build, tmp_path: Path, sandbox: list[str], flags: int
    ) -> None:
        link = tmp_path / "link"
        link.symlink_to(build("print", "gcc", "-static"))
        for name in (link, link.name):
            command = [*sandbox, build("execveat", "gcc"), tmp_path, name, "DB_PASSWORD"]
            result = launcher.run(command, extra={"FLAGS": str(flags)})
            assert (result.stdout, result.stderr) == (b"", b"execveat: " + REFUSED_FLAGS[flags] + b"\n")

    @pytest.mark.parametrize(
        "sandbox", [[], [PYTHON, str(SANDBOX), f"refuse={EXECVEAT}:{errno.EINVAL}", "--"]], ids=len
    )
    def test_no_path_is_none_without_the_flag(self, launcher: Launcher, build: Build, sandbox: list[str]) -> None:
        code = (
            "import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True)\n"
            "argv = (ctypes.c_char_p * 3)(b'name', b'DB_PASSWORD', None)\n"
            "environ = ctypes.c_void_p.in_dll(libc, 'environ')\n"
            "libc.execveat(os.open(sys.argv[1], os.O_RDONLY), b'', argv, environ, 0)\n"
            "print(os.strerror(ctypes.get_errno()))\n"
        )
        result = launcher.run([*sandbox, PYTHON, "-c", code, build("print", "gcc", "-static")])
        assert (result.stdout, result.stderr) == (b"No such file or directory\n", b"")

    def test_program_that_must_be_no_link(self, launcher: Launcher, build: Build) -> None:
        program = build("print", "gcc", "-static")
        command: list[str | Path] = [build("execveat", "gcc"), program.parent, program, "DB_PASSWORD"]
        result = launcher.run(command, extra={"FLAGS": "256"})

        assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")

    def test_hands_on_what_its_caller_changed(self, launcher: Launcher, build: Build) -> None:
        script = 'DB_PASSWORD=changed; API_KEY=; unset EMPTY_SECRET; export NEW=new; "$@"'
        names = ["DB_PASSWORD", "API_KEY", "EMPTY_SECRET", "NEW"]
        result = launcher.run(["bash", "-c", script, "bash", build("print", "gcc", "-static"), *names])

        assert result.stdout == b"DB_PASSWORD=changed\nAPI_KEY=\nEMPTY_SECRET\nNEW=new\n", result

    def test_has_secrets_only_as_the_policy_allows(self, launcher: Launcher, build: Build) -> None:
        program = build("print", "gcc", "-static")
        names = ["DB_PASSWORD", "LD_PRELOAD", "STRONGROOM_REGION"]
        for policy, first in (
            ("deny", b"DB_PASSWORD\nLD_PRELOAD\nSTRONGROOM_REGION\n"),
            ("allow:other", b"DB_PASSWORD\nLD_PRELOAD\nSTRONGROOM_REGION\n"),
            (f"allow:{program.name}", b"DB_PASSWORD=s3cret\n"),
        ):
            result = launcher.run([*SH, program, *names], extra={"STRONGROOM_CHILDREN": policy})
            assert result.stdout.startswith(first), policy

    def test_value_longer_than_execve_carries(self, launcher: Launcher, build: Build) -> None:
        result = launcher.run([*EXEC, build("print", "gcc", "-static"), "LONG_SECRET"])
        assert result.stdout == b"LONG_SECRET=" + SECRETS["LONG_SECRET"] + b"\n"

    def test_thousands_of_variables_and_arguments(self, launcher: Launcher, build: Build) -> None:
        secrets = {f"SECRET_{number:05}": f"value-{number}".encode() for number in range(3000)}
        plain = {f"VARIABLE_{number:05}": "x" * 100 for number in range(6000)}
        names = ["SECRET_00000", "SECRET_02999", "VARIABLE_05999", *["PLAIN"] * 5000]
        result = launcher.run(["env", build("print", "gcc", "-static"), *names], secrets=secrets, extra=plain)

        assert result.stdout.startswith(b"SECRET_00000=value-0\nSECRET_02999=value-2999\nVARIABLE_05999=xxx")
        assert result.stdout.endswith(b"PLAIN=plain\n" * 5000)

    @needs_root
    def test_keeps_ambient_capabilities(self, launcher: Launcher) -> None:
        given = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service", "--no-new-privs"]
        script = 'echo "$DB_PASSWORD"; while read -r line; do echo "$line"; done < /proc/$$/status'
        command = [*WITHOUT_PRIVILEGES, *given, *EXEC, "busybox", "sh", "-c", script]
        result = launcher.run(command, secrets={"DB_PASSWORD": PASSWORD})

        lines = result.stdout.decode().splitlines()
        assert lines[0] == "s3cret", result
        assert {"CapEff:\t0000000000000400", "CapAmb:\t0000000000000400"} <= set(lines)

    @needs_root
    def test_with_64_kib_of_lockable_memory_and_without_privileges(self, launcher: Launcher, build: Build) -> None:
        poor = ["prlimit", "--memlock=65536", *WITHOUT_PRIVILEGES]
        command = [*poor, *EXEC, build("print", "gcc", "-static"), "DB_PASSWORD"]
        result = launcher.run(command, secrets={"DB_PASSWORD": PASSWORD})

        assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")


class TestSecureExecution:
    """Programs whose loader is told not to trust the environment."""

    @pytest.fixture(params=sorted(COMPILERS))
    def capable(self, request: pytest.FixtureRequest, build: Build) -> Path:
        """``print`` with a file capability."""
        program = build("print", COMPILERS[request.param])
        copy = program.parent / f"capable-{program.name}"
        shutil.copy(program, copy)
        os.setxattr(copy, "security.capability", struct.pack("<5I", 0x0200_0001, 1 << 10, 0, 0, 0))
        return copy

    @needs_root
    @pytest.mark.parametrize("starter", ["dash-exec", "python-posix-spawn", "python-system", "python-popen", "env"])
    def test_program_with_file_capabilities_has_the_secret(
        self, launcher: Launcher, capable: Path, starter: str
    ) -> None:
        command = EXEC if starter == "dash-exec" else STARTERS[starter]
        in_shell = starter in {"python-system", "python-popen"}
        words = [f"{capable} DB_PASSWORD"] if in_shell else [capable, "DB_PASSWORD"]
        result = launcher.run([*WITHOUT_PRIVILEGES, "--no-new-privs", *command, *words])

        assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")

    @needs_root
    def test_program_that_could_gain_by_file_capabilities_gets_nothing(self, launcher: Launcher, capable: Path) -> None:
        words: list[str | Path] = [*WITHOUT_PRIVILEGES, *SH, capable, "DB_PASSWORD", "PLAIN"]
        result = launcher.run(words)

        assert (result.stdout, result.stderr) == (b"DB_PASSWORD\nPLAIN=plain\n", b"")

    @needs_root
    def test_program_of_root_with_file_capabilities_loads_the_library(self, launcher: Launcher, capable: Path) -> None:
        result = launcher.run([*SH, capable, "DB_PASSWORD"])
        assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")

    @needs_root
    @pytest.mark.parametrize("options", ["", "no-new-privs"])
    def test_program_started_under_another_effective_user(self, launcher: Launcher, build: Build, options: str) -> None:
        # Real and effective user differ, as in a server that lowered itself for a while.
        code = "import os, sys; os.setresuid(0, 65534, 0); os.execv(sys.argv[1], sys.argv[1:])"
        if options:
            code = "import ctypes; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0); " + code
        result = launcher.run([PYTHON, "-c", code, build("print", "gcc"), "DB_PASSWORD"])

        if result.returncode == 0:
            assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")
        else:
            is_told(result, build("print", "gcc"), "ptrace")

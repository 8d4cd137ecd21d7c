"""Programs that start programs: the child has the secrets, and nobody can read them in its /proc/PID/environ."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.preload.launch import COMPILERS, PASSWORD, SECRETS, WITHOUT_PRIVILEGES, Build, Launcher, Programs
from tests.support.process.privileges import is_root
from tests.support.tree import ROOT

PYTHON = os.path.realpath(sys.executable)
# Each starts the program of its first argument. `own_environ` then checks what it has and what can be seen of it.
STARTERS: dict[str, list[str]] = {
    "python-subprocess": [PYTHON, "-c", "import subprocess, sys; subprocess.run([sys.argv[1]], check=True)"],
    "python-subprocess-env": [
        PYTHON,
        "-c",
        "import os, subprocess, sys; subprocess.run([sys.argv[1]], env=dict(os.environ), check=True)",
    ],
    "python-keeps-descriptors": [
        PYTHON,
        "-c",
        "import subprocess, sys; subprocess.run([sys.argv[1]], close_fds=False, check=True)",
    ],
    "python-preexec": [
        PYTHON,
        "-c",
        "import subprocess, sys; subprocess.run([sys.argv[1]], preexec_fn=lambda: None, check=True)",
    ],
    "python-shell": [PYTHON, "-c", "import subprocess, sys; subprocess.run(sys.argv[1], shell=True, check=True)"],
    "python-system": [PYTHON, "-c", "import os, sys; sys.exit(os.system(sys.argv[1]))"],
    "python-popen": [PYTHON, "-c", "import os, sys; print(os.popen(sys.argv[1]).read(), end='')"],
    "python-posix-spawn": [
        PYTHON,
        "-c",
        """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    ],
    "python-execv": [PYTHON, "-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"],
    "python-fexecve": [
        PYTHON,
        "-c",
        "import os, sys; os.execve(os.open(sys.argv[1], os.O_RDONLY), sys.argv[1:], os.environ)",
    ],
    "node-spawn": [
        "node",
        "-e",
        "process.exit(require('child_process').spawnSync(process.argv[1], [], {stdio: 'inherit'}).status)",
    ],
    "node-exec": ["node", "-e", "process.stdout.write(require('child_process').execSync(process.argv[1]))"],
    "bash": ["bash", "-c", '"$1"; exit $?', "bash"],
    "bash-exec": ["bash", "-c", 'exec "$1"', "bash"],
    "bash-subshell": ["bash", "-c", 'echo "$("$1")"', "bash"],
    "dash": ["dash", "-c", '"$1"; exit $?', "dash"],
    "dash-exec": ["dash", "-c", 'exec "$1"', "dash"],
    "perl-system": ["perl", "-e", "exit(system($ARGV[0]) >> 8)"],
    "perl-backticks": ["perl", "-e", "print `$ARGV[0]`"],
    "perl-exec": ["perl", "-e", "exec {$ARGV[0]} @ARGV"],
    "env": ["env"],
    "env-plus": ["env", "MORE=1"],
    "nice": ["nice"],
    "timeout": ["timeout", "20"],
    "xargs": ["xargs", "-n1"],
    "find": ["find", "/dev/null", "-exec"],
    "awk": ["awk", "BEGIN { exit system(ARGV[1]) }"],
    "make": ["sh", "-c", 'printf "all:\\n\\t@%s\\n" "$1" | make -s -f -', "sh"],
}


def assert_ok(result: subprocess.CompletedProcess[bytes]) -> None:
    """The innermost program found everything as it should be, and nobody complained."""
    assert (result.returncode, result.stdout, result.stderr) == (0, b"ok\n", b"")


@pytest.mark.parametrize("rung", ["memfd-secret", "locked"])
@pytest.mark.parametrize("starter", STARTERS)
def test_child_has_the_secret_and_does_not_show_it(
    launcher: Launcher, programs: Programs, starter: str, rung: str
) -> None:
    command: list[str | Path] = [*STARTERS[starter], programs.build("own_environ")]
    if starter == "find":
        command.append(";")
    assert_ok(launcher.run(command, rung=rung, stdin=b"\n" if starter == "xargs" else b""))


@pytest.mark.parametrize("call", ["pidfd_spawn", "pidfd_spawnp"])
def test_child_with_a_descriptor_for_its_handle(launcher: Launcher, glibc_programs: Programs, call: str) -> None:
    # Of glibc 2.39; where the libc is older, another library stands in for it.
    stand_in = glibc_programs.build_library("pidfd_stand_in")
    program = glibc_programs.build("pidfd_spawn", stand_in, f"-Wl,-rpath,{stand_in.parent}")
    assert_ok(launcher.run([program, call, glibc_programs.build("own_environ")]))


@pytest.mark.parametrize("call", ["pidfd_spawn", "pidfd_spawnp"])
def test_libc_without_such_calls_is_told_of(launcher: Launcher, programs: Programs, call: str) -> None:
    program = programs.build("pidfd_spawn", launcher.library)
    result = launcher.run([program, call, "/bin/true"], extra={"LD_LIBRARY_PATH": str(Path(launcher.library).parent)})
    has_it = programs.libc == "glibc" and hasattr(ctypes.CDLL("libc.so.6"), call)
    assert result.stdout == (b"" if has_it else b"Function not implemented\n")


def test_five_programs_deep(launcher: Launcher, programs: Programs) -> None:
    python = [PYTHON, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"]
    bash = ["bash", "-c", '"$@"; exit $?', "bash"]
    node = ["node", "-e", "process.exit(require('child_process').spawnSync(process.argv[1], process.argv.slice(2), "]
    node[2] += "{stdio: 'inherit'}).status)"
    perl = ["perl", "-e", "exit(system(@ARGV) >> 8)"]
    assert_ok(launcher.run([*bash, *python, *node, *perl, *bash, programs.build("own_environ")]))


def test_script_that_closes_and_reuses_descriptors(launcher: Launcher, programs: Programs) -> None:
    closing = 'for fd in 3 4 5 6 7 8 9 100 101 102; do eval "exec $fd>&-"; done; exec 3</dev/null 100</dev/null;'
    assert_ok(launcher.run(["bash", "-c", f'{closing} exec "$1"', "bash", programs.build("own_environ")]))


def test_child_has_no_descriptor_left_from_the_launch(launcher: Launcher, programs: Programs) -> None:
    program = programs.build("open_descriptors")
    assert launcher.run([program]).stdout == b"0 1 2 \n"
    assert launcher.run(["sh", "-c", '"$1"; exit 0', "sh", program]).stdout == b"0 1 2 \n"


def test_thousands_of_variables(launcher: Launcher, programs: Programs) -> None:
    # More than the stack is used for.
    secrets = {f"SECRET_{number:05}": b"value" for number in range(3000)}
    plain = {f"VARIABLE_{number:05}": "x" for number in range(6000)}
    names = ["SECRET_00000", "SECRET_02999", "VARIABLE_05999"]
    result = launcher.run(["env", programs.build("print"), *names], secrets=secrets, extra=plain)
    assert result.stdout == b"SECRET_00000=value\nSECRET_02999=value\nVARIABLE_05999=x\n"
    assert result.stderr == b""


def test_what_the_parent_changed_is_what_the_child_gets(launcher: Launcher, programs: Programs) -> None:
    program = programs.build("print")
    names = ["DB_PASSWORD", "API_KEY", "EMPTY_SECRET", "NEW"]
    script = 'DB_PASSWORD=changed; API_KEY=; unset EMPTY_SECRET; export NEW=new; "$@"'
    result = launcher.run(["bash", "-c", script, "bash", program, *names])
    assert result.stdout == b"DB_PASSWORD=changed\nAPI_KEY=\nEMPTY_SECRET\nNEW=new\n"
    assert result.stderr == b""


def test_secret_dropped_on_the_way_is_not_in_the_region_of_the_child(launcher: Launcher, programs: Programs) -> None:
    # Asked for again by a placeholder: the child's region does not have it, so it stays empty.
    script = 'unset DB_PASSWORD; exec env DB_PASSWORD= "$1" DB_PASSWORD API_KEY'
    result = launcher.run(["bash", "-c", script, "bash", programs.build("print")])
    assert result.stdout == b"DB_PASSWORD=\nAPI_KEY=k-0123456789\n"


def test_wiped_value_reaches_the_child_wiped(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("wipe_and_exec"), programs.build("print")])
    assert result.stdout == b"DB_PASSWORD=\nAPI_KEY=k-0123456789\n"


def test_secret_with_a_name_of_one_letter_stays_out_of_the_environ_of_children(launcher: Launcher) -> None:
    secrets = {"X": b"one letter", "Y": b"another"}
    shown = launcher.run(["bash", "-c", '"$@"; exit $?', "bash", "/usr/bin/cat", "/proc/self/environ"], secrets=secrets)
    assert {b"X=", b"Y="} <= set(shown.stdout.split(b"\0"))
    assert not any(value in shown.stdout for value in secrets.values())


def test_empty_environment_stays_empty(launcher: Launcher) -> None:
    assert launcher.run(["env", "-i", "/usr/bin/env"]).stdout == b""
    assert launcher.run(["env", "-i", "A=1", "/usr/bin/env"]).stdout == b"A=1\n"


def test_chosen_variables_in_an_empty_environment_are_passed_on_protected(
    launcher: Launcher, programs: Programs
) -> None:
    code = "import os, sys; os.execve(sys.argv[1], sys.argv[1:], {'DB_PASSWORD': os.environ['DB_PASSWORD']})"
    result = launcher.run([PYTHON, "-c", code, programs.build("print"), "DB_PASSWORD", "API_KEY", "PATH"])
    assert result.stdout == b"DB_PASSWORD=s3cret\nAPI_KEY\nPATH\n"
    shown = launcher.run([PYTHON, "-c", code, "/usr/bin/cat", "/proc/self/environ"]).stdout
    assert shown.split(b"\0")[1] == b"DB_PASSWORD="  # behind the region, which comes first in all
    assert PASSWORD not in shown


@pytest.mark.parametrize("linkage", [[], ["-static"]], ids=["dynamic", "static"])
class TestDumpable:
    """STRONGROOM_DUMPABLE, which is for the operator of the launch, and not for those who may add to an environment."""

    def seen(self, launcher: Launcher, program: Path, given: str, extra: dict[str, str]) -> bytes:
        """Return what a child says to which the variable was given, and which may have secrets."""
        result = launcher.run(["env", *given.split(), program, "DB_PASSWORD", "STRONGROOM_DUMPABLE"], extra=extra)
        assert (result.returncode, result.stderr) == (42, b""), result
        assert b"getenv\tDB_PASSWORD=s3cret\n" in result.stdout
        return result.stdout

    @pytest.mark.parametrize("policy", ["inherit", "allow:{}"])
    def test_child_is_not_opened_by_what_is_added_for_it(
        self, launcher: Launcher, programs: Programs, build: Build, linkage: list[str], policy: str
    ) -> None:
        program = build("static/report", COMPILERS[programs.libc], *linkage)
        extra = {"STRONGROOM_CHILDREN": policy.format(program)}
        for given in ("1", "yes"):
            seen = self.seen(launcher, program, f"STRONGROOM_DUMPABLE={given}", extra)
            assert b"\ndumpable\t0\n" in seen
            assert b"getenv\tSTRONGROOM_DUMPABLE=(none)\n" in seen

    def test_child_of_a_program_that_was_launched_so_stays_open(
        self, launcher: Launcher, programs: Programs, build: Build, linkage: list[str]
    ) -> None:
        program = build("static/report", COMPILERS[programs.libc], *linkage)
        extra = {"STRONGROOM_DUMPABLE": "1"}
        assert b"\ndumpable\t1\n" in self.seen(launcher, program, "PLAIN=1", extra)
        assert b"\ndumpable\t0\n" in self.seen(launcher, program, "-u STRONGROOM_DUMPABLE", extra)


def test_static_program_in_between(launcher: Launcher, programs: Programs) -> None:
    # As su-exec, gosu or tini do it, by a raw system call: it has the secrets itself, and so has what it starts.
    secrets = {name: value for name, value in SECRETS.items() if name != "LONG_SECRET"}  # which execve does not carry
    static = programs.build("exec_raw", "-static")
    names = ["DB_PASSWORD", "API_KEY"]
    command: list[str | Path] = ["bash", "-c", '"$@"; exit $?', "bash", static]
    result = launcher.run([*command, programs.build("print"), *names], secrets=secrets)
    assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\nAPI_KEY=k-0123456789\n", b"")
    shown = launcher.run([*command, "/usr/bin/cat", "/proc/self/environ"], secrets=secrets).stdout
    assert b"DB_PASSWORD=\0" in shown
    assert not any(value in shown for value in secrets.values() if value)


def test_static_program_does_not_show_the_secret(launcher: Launcher, programs: Programs) -> None:
    static = programs.build("show_environ", "-static")
    shown = launcher.run(["bash", "-c", '"$@"; exit $?', "bash", static]).stdout
    assert b"DB_PASSWORD=\0" in shown
    assert not any(value in shown for value in SECRETS.values() if value)


def test_raw_system_call_passes_plaintext_and_does_not_break_the_child(launcher: Launcher, programs: Programs) -> None:
    # What cannot be wrapped. The child must work; that its environment shows the secret is documented.
    secrets = {"DB_PASSWORD": PASSWORD}
    result = launcher.run([programs.build("exec_raw"), programs.build("print"), "DB_PASSWORD"], secrets=secrets)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"DB_PASSWORD=s3cret\n", b"")


@pytest.mark.skipif(not is_root(), reason="only root can make a set-user-ID program of another user")
def test_privileged_program_gets_nothing(launcher: Launcher, glibc_programs: Programs, tmp_path: Path) -> None:
    program = tmp_path / "privileged"
    shutil.copy(glibc_programs.build("print"), program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    names = ["PLAIN", "DB_PASSWORD", "API_KEY", "LD_PRELOAD", "STRONGROOM_REGION"]
    result = launcher.run(["bash", "-c", '"$@"; exit $?', "bash", program, *names])
    assert result.stdout == b"PLAIN=plain\nDB_PASSWORD\nAPI_KEY\nLD_PRELOAD\nSTRONGROOM_REGION\n"
    assert result.stderr == b""


@pytest.mark.skipif(not is_root(), reason="only root can make a program of another group")
def test_group_bit_without_the_right_to_execute_raises_no_privileges(
    launcher: Launcher, glibc_programs: Programs, tmp_path: Path
) -> None:
    # It once stood for mandatory locking (bprm_fill_uid() in fs/exec.c).
    program = tmp_path / "locked"
    shutil.copy(glibc_programs.build("print"), program)
    os.chown(program, 0, 65534)
    program.chmod(0o2745)
    result = launcher.run(["bash", "-c", '"$@"; exit $?', "bash", program, "DB_PASSWORD"])
    assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")


def test_launch_inside_a_launch_passes_on_only_its_own_secrets(launcher: Launcher, programs: Programs) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.preload.launch import image_of
from tests.preload import secretmem
descriptor = secretmem.secret_descriptor(image_of({{"INNER": b"deep", "EMPTY_SECRET": b"filled"}}))
region = f"memfd-secret:{{descriptor}}"
os.execve(sys.argv[1], sys.argv[1:], {{**os.environ, "INNER": "", "STRONGROOM_REGION": region}})
"""
    names = ["INNER", "DB_PASSWORD", "EMPTY_SECRET", "PLAIN"]
    result = launcher.run([PYTHON, "-c", code, programs.build("print"), *names])
    assert result.stdout == b"INNER=deep\nDB_PASSWORD\nEMPTY_SECRET=filled\nPLAIN=plain\n"
    assert result.stderr == b""


def test_no_descriptor_and_no_mapping_is_left_in_the_parent(launcher: Launcher, programs: Programs) -> None:
    assert_ok(launcher.run([programs.build("spawn_often"), programs.build("print")]))


def test_exec_fails_closed_when_no_region_can_be_made(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("exec_without_descriptors"), programs.build("print")])
    assert_ok(result)


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_child_over_the_limit_of_locked_memory_is_told_of(launcher: Launcher) -> None:
    # 40 kB fit into 64 KiB, and while a child is started with as much they do not; root is not bound by the limit.
    code = """
import os, resource
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
try:
    os.posix_spawn("/bin/true", ["true"], os.environ)
except BlockingIOError as error:
    print(error.strerror)
"""
    secrets = {"SECRET": b"x" * 40_000}
    result = launcher.run([*WITHOUT_PRIVILEGES, "/usr/bin/python3", "-c", code], secrets=secrets)
    assert result.stdout == b"Resource temporarily unavailable\n"
    assert result.stderr.startswith(b"strongroom: error: /bin/true: is not started: ")
    assert b"ulimit -l" in result.stderr

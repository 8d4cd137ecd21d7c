"""Launches of static programs: what they see, what others see of them, and that nothing else is left."""

import ctypes
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import SANDBOX, Launches
from tests.support.launch.loaders import build_without_libraries
from tests.support.process.folders import open_to_all
from tests.support.process.privileges import PREFIX, is_root, what_its_user_can_open
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from tests.wrapper.static_programs import StaticPrograms, busybox, running

PASSWORD = "s3cret-static"
SECRET = {"SECRET": "bao:kv/db#key"}
KINDS = ["glibc", "static-pie", "musl", "go"]

# As a launch does before it closes itself to others, and before it fetches anything.
ATTACH = """
import os, sys
from wrapper.static.start import start_tracer
tracer = start_tracer()
own = [name for name in os.listdir("/proc/self/fd") if int(name) > 2 and os.path.lexists(f"/proc/self/fd/{name}")]
print(*(f"fd/{name}" for name in own), flush=True)
tracer.wait_attached()
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> StaticPrograms:
    return StaticPrograms(tmp_path_factory.mktemp("static"))


@pytest.fixture(scope="module")
def bridge(certificates: Certificates) -> Iterator[str]:
    with FakeBridge(certificates.server(), bundle({"SECRET": PASSWORD.encode(), "LONG": b"x" * 200_000})) as serving:
        yield serving.url


def test_dynamic_program_that_a_static_one_replaces_meanwhile_does_not_start_without_its_secrets(
    certificates: Certificates, launches: Launches, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.symlink_to("/usr/bin/printenv")
    send = bundle({"SECRET": PASSWORD.encode()})

    def replace_and_send(connection: ssl.SSLSocket) -> None:
        program.unlink()
        program.symlink_to(busybox())
        send(connection)

    with FakeBridge(certificates.server(), replace_and_send) as bridge:
        done = launches.run([str(program), "SECRET"], SECRET, bridge=bridge.url)

    assert (done.returncode, done.stdout) == (117, b"")
    assert b"was replaced by a program of another kind" in done.stderr


def test_program_whose_loader_loads_no_libraries_has_its_secret(
    launches: Launches, bridge: str, tmp_path: Path
) -> None:
    done = launches.run([str(build_without_libraries(tmp_path)), "SECRET"], SECRET, bridge=bridge)

    assert (done.returncode, done.stdout) == (0, f"SECRET={PASSWORD}\n".encode())
    assert b" by ptrace, " in done.stderr


class TestTheProgram:
    @pytest.mark.parametrize("kind", KINDS)
    def test_sees_its_secret_in_every_way(
        self, kind: str, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        with running(
            launches, [programs.build(kind), "SECRET", "PLAIN"], {**SECRET, "PLAIN": "p"}, bridge=bridge
        ) as app:
            said = app.said

        entries = [f"SECRET={PASSWORD}", "PLAIN=p"]
        assert said["getenv"] == entries
        assert said["environ"] == entries
        assert said.get("envp", entries) == entries
        assert app.process.returncode == 42

    @pytest.mark.parametrize("kind", KINDS)
    def test_is_the_process_that_the_wrapper_was_and_has_no_child(
        self, kind: str, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        with running(launches, [programs.build(kind), "SECRET"], SECRET, bridge=bridge) as app:
            assert app.said["pid"] == [str(app.process.pid)]
            assert app.said.get("children", ["none"]) == ["none"]
            assert app.proc(f"task/{app.pid}/children") == b""
            assert b"TracerPid:\t0\n" in app.proc("status")

    @pytest.mark.parametrize("kind", KINDS)
    def test_shows_a_placeholder_and_keeps_no_page_of_ours(
        self, kind: str, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        program = programs.build(kind)
        with running(launches, [program, "SECRET"], SECRET, bridge=bridge) as app:
            environ, maps = app.proc("environ"), app.proc("maps").decode()

        assert PASSWORD.encode() not in environ
        assert b"SECRET=\0" in environ
        code = [line.split()[-1] for line in maps.splitlines() if " r-xp " in line]
        assert {*code} <= {program, "[vdso]"}
        assert maps.count("secretmem") == 1

    def test_finds_signals_and_descriptors_as_they_were(
        self, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        with running(launches, [programs.build("glibc"), "SECRET"], SECRET, bridge=bridge) as app:
            said = app.said

        sets = {name: said[name] for name in ("SigBlk", "SigPnd", "ShdPnd", "SigIgn", "SigCgt")}
        assert {mask for masks in sets.values() for mask in masks} == {"0" * 16}, sets
        assert sorted(said["descriptor"], key=int) == ["0", "1", "2", "100"]
        assert said["dumpable"] == ["0"]

    def test_finds_what_was_blocked_blocked_and_no_sigchld_of_ours(
        self, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        with running(
            launches, [programs.build("glibc"), "SECRET"], SECRET, bridge=bridge, sandbox=["block=17", "block=10"]
        ) as app:
            said = app.said

        assert [int(mask, 16) for mask in said["SigBlk"]] == [1 << 16 | 1 << 9]
        assert {*said["SigPnd"], *said["ShdPnd"]} == {"0" * 16}

    @pytest.mark.parametrize("ignored", ["17", "15"])
    def test_finds_what_was_ignored_ignored(
        self, ignored: str, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        sandbox = [f"ignore={ignored}"]
        with running(launches, [programs.build("musl"), "SECRET"], SECRET, bridge=bridge, sandbox=sandbox) as app:
            assert [int(mask, 16) for mask in app.said["SigIgn"]] == [1 << int(ignored) - 1]
            assert app.said["getenv"] == [f"SECRET={PASSWORD}"]
            assert app.said["children"] == ["none"]

    def test_gets_a_value_that_execve_alone_could_not_carry(
        self, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        with running(launches, [programs.build("musl"), "LONG"], {"LONG": "bao:kv/db#long"}, bridge=bridge) as app:
            assert app.said["environ"] == ["LONG=" + "x" * 200_000]

    def test_gets_5000_secrets(self, launches: Launches, certificates: Certificates) -> None:
        values = {f"SECRET_{i}": f"value-{i}".encode() for i in range(5000)}
        with FakeBridge(certificates.server(), bundle(values)) as bridge:
            done = launches.run([busybox(), "env"], {"STRONGROOM_FROM_PATH": "bao:kv/all"}, bridge=bridge.url)

        assert done.returncode == 0, done.stderr
        seen = dict(line.partition(b"=")[::2] for line in done.stdout.splitlines())
        assert {name: seen.get(name.encode()) for name in values} == values

    def test_gets_its_secret_behind_many_plain_variables(self, launches: Launches, bridge: str) -> None:
        variables = {f"PLAIN_{i}": "x" * 1000 for i in range(500)}
        done = launches.run([busybox(), "sh", "-c", "echo $SECRET"], {**variables, **SECRET}, bridge=bridge)

        assert done.stdout.decode() == f"{PASSWORD}\n"

    def test_may_be_the_interpreter_of_a_script(self, launches: Launches, bridge: str, tmp_path: Path) -> None:
        script = tmp_path / "script"
        script.write_text(f'#!{busybox()} sh\necho "$1 $SECRET"\n')
        script.chmod(0o755)
        done = launches.run([str(script), "argument"], SECRET, bridge=bridge)

        assert done.stdout.decode() == f"argument {PASSWORD}\n", done.stderr

    def test_may_be_the_dynamic_loader(self, launches: Launches, bridge: str) -> None:
        loaders = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        loader = next(path for path in loaders if Path(path).exists())
        done = launches.run([loader, "/usr/bin/printenv", "SECRET"], SECRET, bridge=bridge)

        assert done.stdout.decode() == f"{PASSWORD}\n", done.stderr

    def test_gives_its_secret_to_dynamic_children_whose_environ_is_clean(self, launches: Launches, bridge: str) -> None:
        script = '/usr/bin/printenv SECRET; /bin/cat /proc/self/environ | grep -c "$SECRET"; exit 3'
        done = launches.run([busybox(), "sh", "-c", script], SECRET, bridge=bridge)

        assert done.stdout.decode() == f"{PASSWORD}\n0\n", done.stderr
        assert done.returncode == 3

    def test_finds_neither_library_nor_region_where_children_get_nothing(
        self, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        names = ["SECRET", "LD_PRELOAD", "STRONGROOM_REGION"]
        variables = {**SECRET, "STRONGROOM_CHILDREN": "deny"}
        with running(launches, [programs.build("glibc"), *names], variables, bridge=bridge) as app:
            assert app.said["environ"] == [f"SECRET={PASSWORD}"]
            assert sorted(app.said["descriptor"], key=int) == ["0", "1", "2"]

    def test_has_the_bridges_wait_and_its_own_children_apart(self, launches: Launches, bridge: str) -> None:
        # A child that the wrapper inherits is not taken for the tracer, nor reaped by us.
        script = f'sleep 0.2 & exec "$@" sh -c "wait; echo $! {"{}"}"'.replace("{}", "done")
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *launches.command([busybox()])],
            env=launches.environ(bridge, SECRET),
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=30,
        )

        assert done.stdout.endswith(b" done\n"), done.stderr


@pytest.mark.skipif(not is_root(), reason="namespaces need root")
class TestAsPid1:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_program_is_pid_1_and_alone(
        self, kind: str, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        with running(launches, [programs.build(kind), "SECRET"], SECRET, bridge=bridge, prefix=prefix) as app:
            assert app.said["pid"] == ["1"]
            assert app.said["getenv"] == [f"SECRET={PASSWORD}"]
            inside = Path(f"/proc/{app.pid}/task/{app.pid}/children").read_text().split()
            assert len(inside) == 1
            assert Path(f"/proc/{inside[0]}/task/{inside[0]}/children").read_text() == ""


class TestAttacks:
    def test_others_of_its_user_cannot_open_what_leads_to_its_tracer(self) -> None:
        """They could answer in the tracer's place, or change what it is told: where a secret goes, who may look in."""
        with subprocess.Popen(
            [*PREFIX, sys.executable, "-c", ATTACH], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            names = process.stdout.readline().split()
            opened = what_its_user_can_open(process.pid, ("fd/0", *names))

        assert names
        assert opened == {"fd/0"}

    def test_the_value_cannot_be_read_through_proc_nor_process_vm_readv(
        self, launches: Launches, programs: StaticPrograms, bridge: str
    ) -> None:
        with running(launches, [programs.build("glibc"), "SECRET"], SECRET, bridge=bridge) as app:
            address = int(app.said["address"][0], 16)
            with Path(f"/proc/{app.pid}/mem").open("rb", buffering=0) as memory:
                memory.seek(address)
                with pytest.raises(OSError, match="Input/output error"):
                    memory.read(8)
            buffer = ctypes.create_string_buffer(8)
            ours = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
            theirs = (ctypes.c_size_t * 2)(address, 8)
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.process_vm_readv(app.pid, ours, 1, theirs, 1, 0) == -1
            assert buffer.raw == bytes(8)


@pytest.mark.skipif(not is_root(), reason="only root can become somebody else")
def test_without_any_privilege_and_with_64_kib_of_lockable_memory(programs: StaticPrograms) -> None:
    program = Path(programs.build("musl"))
    open_to_all(program.parent)
    done = subprocess.run(
        [
            *(sys.executable, SANDBOX, "memlock=65536", "--", sys.executable, "-m", "tests.wrapper.static_launch"),
            *("--nobody", f"SECRET={PASSWORD}", "--", program, "SECRET"),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 42, done.stderr
    assert f"environ\tSECRET={PASSWORD}\n".encode() in done.stdout


@pytest.mark.timeout(600)
def test_200_launches_in_a_row_leave_no_process_behind(programs: StaticPrograms) -> None:
    program = programs.build("musl")
    script = (
        "import os, subprocess, sys\n"
        "for _ in range(200):\n"
        "    done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True)\n"
        "    assert done.returncode == 42, done\n"
        "    assert b'environ\\tSECRET=x\\n' in done.stdout, done\n"
        "    try:\n"
        "        os.waitpid(-1, os.WNOHANG)\n"
        "    except ChildProcessError:\n"
        "        continue\n"
        "    sys.exit('a process was left to us')\n"
    )
    launch = [sys.executable, "-m", "tests.wrapper.static_launch", "SECRET=x", "--", program, "SECRET"]
    # As a subreaper this process would inherit whatever a launch leaves behind.
    reaper = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); exec(sys.argv.pop(1))"
    done = subprocess.run(
        [sys.executable, "-c", reaper, script, *launch],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=500,
    )

    assert done.returncode == 0, done.stderr

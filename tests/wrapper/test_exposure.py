"""What a launch refuses because others could learn its secrets, and what its settings give up on purpose."""

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import SANDBOX, Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from wrapper import exit_status
from wrapper.exposure import yama_scope

SECRET = {"SECRET": "bao:kv/db#key"}
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
SHOW_DUMPABLE = ["python3", "-c", "import ctypes; print(ctypes.CDLL(None).prctl(3))"]  # PR_GET_DUMPABLE

APPLICATION_WITH_A_JOB = """
import os, subprocess, sys
read, write = os.pipe()
os.dup2(write, 1)
job = ["sh", "-c", f"echo line > /proc/{os.getpid()}/fd/1"]
done = subprocess.run(job, env={}, stderr=subprocess.PIPE, text=True)
print(done.stderr or os.read(read, 10).decode(), end="", file=sys.stderr)
"""

needs_root = pytest.mark.skipif(not is_root(), reason="changing users and mounts needs root")


def launch(
    launches: Launches, certificates: Certificates, command: list[str], *options: str, **variables: str
) -> tuple[int, str, str]:
    with FakeBridge(certificates.server(), bundle({"SECRET": b"value"})) as bridge:
        done = launches.run(command, SECRET | variables, bridge=bridge.url, options=options)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class TestDumpable:
    def test_a_program_with_secrets_is_closed_to_others_of_its_user(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        assert launch(launches, certificates, SHOW_DUMPABLE)[:2] == (0, "0\n")

    @pytest.mark.parametrize("option", ["--dumpable", "--dumpable=1"])
    def test_unless_that_is_asked_for(self, launches: Launches, certificates: Certificates, option: str) -> None:
        assert launch(launches, certificates, SHOW_DUMPABLE, option)[:2] == (0, "1\n")

    def test_its_children_likewise(self, launches: Launches, certificates: Certificates) -> None:
        shell = ["sh", "-c", '"$@"; true', "sh", *SHOW_DUMPABLE]

        assert launch(launches, certificates, shell)[1] == "0\n"
        assert launch(launches, certificates, shell, "--dumpable")[1] == "1\n"

    def test_a_static_program_likewise(self, launches: Launches, certificates: Certificates, tmp_path: Path) -> None:
        source, program = tmp_path / "show.c", tmp_path / "show"
        source.write_text('#include <stdio.h>\n#include <sys/prctl.h>\nint main(void) { printf("%d\\n", prctl(3)); }\n')
        subprocess.run(["gcc", "-static", "-o", program, source], check=True, timeout=60)

        assert launch(launches, certificates, [str(program)])[1] == "0\n"
        assert launch(launches, certificates, [str(program)], "--dumpable")[1] == "1\n"

    @needs_root
    def test_a_job_can_then_write_to_the_output_of_the_application(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        """``/proc/1/fd/1`` is how cron jobs write to a container's log."""
        command = [*AS_NOBODY, "python3", "-c", APPLICATION_WITH_A_JOB]

        assert "Permission denied" in launch(launches, certificates, command, "--quiet")[2]
        assert launch(launches, certificates, command, "--quiet", "--dumpable")[2] == "line\n"

    @needs_root
    def test_an_ordinary_user_can_then_make_user_namespaces(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        command = [*AS_NOBODY, "unshare", "--user", "--map-root-user", "id", "-u"]

        assert "Permission denied" in launch(launches, certificates, command)[2]
        assert launch(launches, certificates, command, "--dumpable")[:2] == (0, "0\n")

    @pytest.mark.parametrize("text", ["", "0", "yes"])
    def test_the_library_takes_no_other_word_for_it(
        self, launches: Launches, certificates: Certificates, text: str
    ) -> None:
        shell = ["sh", "-c", 'STRONGROOM_DUMPABLE="$1" "$0" --version; echo $?', sys.executable, text]

        assert launch(launches, certificates, shell, "--dumpable")[1] == "120\n"


SHOW_NO_NEW_PRIVILEGES = ["grep", "NoNewPrivs", "/proc/self/status"]


class TestNewPrivileges:
    @pytest.mark.parametrize("variables", [SECRET, {"SECRET": "plain"}], ids=["with secrets", "without"])
    def test_they_are_given_up_unless_they_are_asked_for(
        self, launches: Launches, certificates: Certificates, variables: dict[str, str]
    ) -> None:
        assert launch(launches, certificates, SHOW_NO_NEW_PRIVILEGES, **variables)[1].split() == ["NoNewPrivs:", "1"]
        assert (
            launch(launches, certificates, SHOW_NO_NEW_PRIVILEGES, "--new-privileges", **variables)[1].split()[1] == "0"
        )

    @needs_root
    def test_a_program_that_gains_them_gets_no_empty_secret_but_is_refused(
        self, launches: Launches, certificates: Certificates, tmp_path: Path
    ) -> None:
        program = tmp_path / "printenv"
        shutil.copy("/usr/bin/printenv", program)
        os.chown(program, 65534, 65534)
        program.chmod(0o4755)

        status, output, errors = launch(launches, certificates, [str(program), "SECRET"], "--new-privileges")
        assert (status, output) == (exit_status.UNPROTECTED, "")
        assert "gains privileges" in errors
        assert "ambient" in errors
        assert launch(launches, certificates, [str(program), "SECRET"])[:2] == (0, "value\n")

    @needs_root
    @pytest.mark.parametrize("value", ["plain", SECRET["SECRET"]])
    def test_a_program_that_would_gain_them_is_named_beforehand(
        self, launches: Launches, certificates: Certificates, tmp_path: Path, value: str
    ) -> None:
        """What it says itself when it fails (`sudo: ... must be owned by uid 0 ...`) does not tell why."""
        program = tmp_path / "true"
        shutil.copy("/usr/bin/true", program)
        os.chown(program, 65534, 65534)

        for mode, what in ((0o4755, "set-user-ID bit"), (0o2755, "set-group-ID bit"), (0o755, "")):
            program.chmod(mode)
            status, _, errors = launch(launches, certificates, [str(program)], SECRET=value)
            assert status == 0
            assert (f"{program}: its {what} will have no effect" in errors) == bool(what)
            assert ("no effect" in errors) == bool(what)
            assert "no effect" not in launch(launches, certificates, [str(program)], "--quiet", SECRET=value)[2]
        program.chmod(0o4755)
        assert launch(launches, certificates, [str(program)], "--new-privileges", SECRET="plain")[0::2] == (0, "")


class TestYama:
    @pytest.mark.parametrize(("content", "scope"), [(b"1\n", 1), (b"0\n", 0), (b"3", 3), (b"", None), (b"x", None)])
    def test_its_scope_is_read(self, tmp_path: Path, content: bytes, scope: int | None) -> None:
        (tmp_path / "ptrace_scope").write_bytes(content)
        assert yama_scope(str(tmp_path / "ptrace_scope")) == scope
        assert yama_scope(str(tmp_path / "missing")) is None

    @needs_root
    @pytest.mark.parametrize(("scope", "status"), [("1", 0), ("2", 0), ("0", exit_status.UNPROTECTED), (None, 117)])
    def test_a_launch_can_insist_on_it(
        self, launches: Launches, certificates: Certificates, tmp_path: Path, scope: str | None, status: int
    ) -> None:
        (tmp_path / "yama").mkdir()
        if scope is not None:
            (tmp_path / "yama" / "ptrace_scope").write_text(f"{scope}\n")
        mount = f'mount --bind {tmp_path} /proc/sys/kernel && exec "$@"'
        variables = SECRET | {"STRONGROOM_REQUIRE_YAMA": "1"}
        with (
            FakeBridge(certificates.server(), bundle({"SECRET": b"value"})) as bridge,
            launches.started(
                ["printenv", "SECRET"],
                variables,
                bridge=bridge.url,
                prefix=["unshare", "--mount", "sh", "-c", mount, "sh"],
            ) as process,
        ):
            output, errors = process.communicate(timeout=30)

        assert (process.returncode, output) == (status, b"" if status else b"value\n"), errors
        assert (b"kernel.yama.ptrace_scope" in errors) == bool(status)

    @needs_root
    def test_a_launch_that_insists_on_it_takes_no_memory_that_can_be_opened_all_the_same(
        self, launches: Launches, certificates: Certificates, tmp_path: Path
    ) -> None:
        """Between exec and the library ``/proc/PID/fd`` leads others to locked memory, and Yama has no say in that."""
        (tmp_path / "yama").mkdir()
        (tmp_path / "yama" / "ptrace_scope").write_text("1\n")
        mount = f'mount --bind {tmp_path} /proc/sys/kernel && exec "$@"'
        without_memfd_secret = [sys.executable, str(SANDBOX), "refuse=38", "--"]
        outcomes = {}
        for insists in ("0", "1"):
            variables = SECRET | {"STRONGROOM_REQUIRE_YAMA": insists, "STRONGROOM_REQUIRE": "locked"}
            with (
                FakeBridge(certificates.server(), bundle({"SECRET": b"value"})) as bridge,
                launches.started(
                    ["printenv", "SECRET"],
                    variables,
                    bridge=bridge.url,
                    prefix=["unshare", "--mount", "sh", "-c", mount, "sh", *without_memfd_secret],
                ) as process,
            ):
                output, errors = process.communicate(timeout=30)
                outcomes[insists] = (process.returncode, output, bridge.connections)
            assert (b"memfd_secret cannot be had" in errors) == (insists == "1"), errors

        assert outcomes == {"0": (0, b"value\n", 1), "1": (exit_status.UNPROTECTED, b"", 0)}


class TestTheFilesOfTheWrapper:
    @pytest.fixture
    def files(self, certificates: Certificates, tmp_path: Path) -> dict[str, str]:
        for name, path in (("key", certificates.key), ("cert", certificates.cert), ("ca", certificates.ca)):
            shutil.copy(path, tmp_path / name)
            (tmp_path / name).chmod(0o600)
        return {f"STRONGROOM_{name.upper()}": str(tmp_path / name) for name in ("key", "cert", "ca")}

    @pytest.mark.parametrize(
        ("name", "mode"), [("key", 0o644), ("key", 0o444), ("key", 0o602), ("cert", 0o666), ("ca", 0o646)]
    )
    def test_one_that_is_open_to_everybody_stops_a_launch_with_secrets(
        self, launches: Launches, certificates: Certificates, files: dict[str, str], name: str, mode: int
    ) -> None:
        path = files[f"STRONGROOM_{name.upper()}"]
        Path(path).chmod(mode)

        status, output, errors = launch(launches, certificates, ["true"], **files)
        assert (status, output) == (exit_status.CONFIG, "")
        what = "written" if mode & stat.S_IWOTH else "read"
        assert f"--{name} {path}: may be {what} by everybody" in errors
        assert "defaultMode" in errors
        assert launch(launches, certificates, ["true"], "--shared-key", **files)[0] == 0
        assert launch(launches, certificates, ["true"], **files, SECRET="plain")[0] == 0

    @pytest.mark.parametrize("mode", [0o400, 0o440, 0o640, 0o660])
    def test_one_for_owner_and_group_does_not(
        self, launches: Launches, certificates: Certificates, files: dict[str, str], mode: int
    ) -> None:
        Path(files["STRONGROOM_KEY"]).chmod(mode)
        assert launch(launches, certificates, ["true"], **files)[0] == 0


class TestFilesThatComeLater:
    """A sidecar writes the certificates, and the containers of a pod start together."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> dict[str, str]:
        (tmp_path / "later").mkdir()
        return {f"STRONGROOM_{name.upper()}": str(tmp_path / "later" / name) for name in ("ca", "cert", "key")}

    @pytest.mark.parametrize("order", [("ca", "cert", "key"), ("key", "ca", "cert")])
    @needs_root
    def test_they_are_waited_for(
        self, launches: Launches, certificates: Certificates, settings: dict[str, str], order: tuple[str, ...]
    ) -> None:
        variables = SECRET | settings | {"STRONGROOM_WAIT": "20"}
        with (
            FakeBridge(certificates.server(), bundle({"SECRET": b"value"})) as bridge,
            launches.started(["printenv", "SECRET"], variables, bridge=bridge.url) as process,
        ):
            for name in order:
                wait_until_asleep(process)
                target = Path(settings[f"STRONGROOM_{name.upper()}"])
                scratch = target.with_suffix(".new")
                shutil.copy(getattr(certificates, name), scratch)
                scratch.chmod(0o600)
                scratch.rename(target)
            output, errors = process.communicate(timeout=30)

        assert (process.returncode, output) == (0, b"value\n"), errors

    @pytest.mark.parametrize("missing", ["ca", "cert", "key"])
    def test_but_no_longer_than_a_bridge_is(
        self, launches: Launches, certificates: Certificates, settings: dict[str, str], missing: str
    ) -> None:
        path = settings[f"STRONGROOM_{missing.upper()}"]
        variables = {f"STRONGROOM_{missing.upper()}": path, "STRONGROOM_WAIT": "0.3"}
        status, _, errors = launch(launches, certificates, ["true"], **variables)

        assert status == exit_status.CONFIG
        assert f"{path}: does not exist" in errors

    def test_one_that_is_wrong_for_good_is_not_waited_for(
        self, launches: Launches, certificates: Certificates, tmp_path: Path
    ) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_text("no certificate\n")
        os.utime(wrong, (1_000_000_000, 1_000_000_000))
        variables = {"STRONGROOM_CA": str(wrong), "STRONGROOM_WAIT": "1000", "STRONGROOM_TIMEOUT": "1000"}

        assert "is not a PEM file" in launch(launches, certificates, ["true"], **variables)[2]


def wait_until_asleep(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the process sleeps by the clock."""
    for _ in range(3000):
        if process.poll() is not None or "nanosleep" in Path(f"/proc/{process.pid}/wchan").read_text():
            return
        time.sleep(0.01)
    pytest.fail("it does not sleep")


def test_plan_says_what_the_settings_give_up(launches: Launches) -> None:
    options = ["--dumpable", "--new-privileges", "--shared-key"]
    done = subprocess.run(
        [sys.executable, "-m", "cli", "plan", *options, "--", "true"],
        env=launches.environ("", {}), cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip

    assert [line.split()[2] for line in done.stdout.splitlines() if line.startswith("gives up")] == [
        f"{option}:" for option in options
    ]


@needs_root
def test_plan_says_what_a_program_will_not_gain(launches: Launches, tmp_path: Path) -> None:
    program = tmp_path / "true"
    shutil.copy("/usr/bin/true", program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    for options, lost in ([], True), (["--new-privileges"], False):
        done = subprocess.run(
            [sys.executable, "-m", "cli", "plan", *options, "--", str(program)],
            env=launches.environ("", {}), cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        assert ("loses     what its set-user-ID bit would give it" in done.stdout) == lost

"""With which status a launch ends, and what it says."""

import shlex
import signal
import stat
import subprocess
from collections.abc import Mapping
from errno import ENOSYS
from pathlib import Path

import pytest

from preload import library_path
from strongroom.launch.region import encode
from tests.support.bridge.fake import FakeBridge, Script, answer, bundle, problem, refusing, response
from tests.support.launch.launches import Launches
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from tests.wrapper.application import CANARY, SECRET, Serving, lines
from wrapper import exit_status


class TestHowALaunchEnds:
    @pytest.mark.parametrize("status", [0, 1, 111, 126, 127, 255])
    def test_with_the_status_of_the_application(self, launches: Launches, serving: Serving, status: int) -> None:
        url, variables = serving

        assert launches.run(["sh", "-c", f"exit {status}"], variables, bridge=url).returncode == status

    def test_with_the_signal_of_the_application(self, launches: Launches, serving: Serving) -> None:
        url, variables = serving

        assert launches.run(["sh", "-c", "kill -9 $$"], variables, bridge=url).returncode == -signal.SIGKILL

    def test_with_127_when_there_is_no_such_command(self, launches: Launches) -> None:
        done = launches.run(["no-such-command"], SECRET)

        assert done.returncode == 127
        assert lines(done.stderr)[0] == "strongroom: error: no-such-command: command not found"

    def test_with_126_when_it_cannot_be_executed(self, launches: Launches, tmp_path: Path) -> None:
        path = tmp_path / "tool"
        path.write_text("#!/bin/sh\n")
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)

        assert launches.run([str(path)], SECRET).returncode == 126
        assert launches.run([str(tmp_path)], {}).returncode == 126

    def test_with_126_when_the_loader_of_the_program_is_missing(self, launches: Launches, tmp_path: Path) -> None:
        source = tmp_path / "main.c"
        source.write_text("int main(void) { return 0; }")
        program = tmp_path / "main"
        linker = "-Wl,--dynamic-linker=/missing/ld.so"
        subprocess.run(["gcc", linker, "-o", program, source], check=True, timeout=60)

        done = launches.run([str(program)], {})

        assert done.returncode == 126
        assert b"No such file" in done.stderr

    @pytest.mark.parametrize(
        ("script", "status", "text"),
        [
            (answer(problem(403, detail="nobody")), exit_status.DENIED, "nobody"),
            (answer(problem(503, detail="sealed")), exit_status.UNAVAILABLE, "sealed"),
            (answer(response(200, b"x" * 64)), exit_status.INTEGRITY, "malformed region image: rule 1"),
            (answer(response(200, encode([]))), exit_status.INTEGRITY, "SECRET: the bridge left out"),
            (
                answer(response(200, encode([("SECRET", CANARY), ("PATH", CANARY)]))),
                exit_status.INTEGRITY,
                "PATH: the bridge sent a secret that was not asked for",
            ),
            (answer(response(200, b"")), exit_status.INTEGRITY, "not the size of a region"),
            (answer(response(200, encode([("SECRET", CANARY)]))[:-1]), exit_status.UNREACHABLE, "cut after"),
            (answer(b"nonsense\r\n\r\n"), exit_status.UNREACHABLE, "not HTTP"),
        ],
    )
    def test_with_a_status_for_what_the_bridge_says_and_without_the_value(
        self, launches: Launches, certificates: Certificates, script: Script, status: int, text: str
    ) -> None:
        with FakeBridge(certificates.server(), script) as bridge:
            done = launches.run(["echo", "started"], SECRET, bridge=bridge.url)

        assert done.returncode == status
        assert text in done.stderr.decode()
        assert lines(done.stderr)[0].startswith("strongroom: error: ")
        assert done.stdout == b""
        assert CANARY not in done.stderr
        assert b"Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("limit", "text"), [("fsize=0", "RLIMIT_FSIZE is 0"), ("nofile=64", "RLIMIT_NOFILE is 64")]
    )
    def test_with_117_and_one_request_when_a_limit_is_too_low(
        self, launches: Launches, certificates: Certificates, limit: str, text: str
    ) -> None:
        variables = {**SECRET, "STRONGROOM_RETRIES": "3"}
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(["echo", "started"], variables, bridge=bridge.url, sandbox=[limit])

        assert (done.returncode, done.stdout) == (exit_status.UNPROTECTED, b"")
        assert text in done.stderr.decode()
        assert bridge.connections == 1

    @pytest.mark.parametrize(
        ("variables", "options", "status", "text"),
        [
            (SECRET, [], exit_status.CONFIG, "STRONGROOM_BRIDGE is not set"),
            ({"SECRET": "bao:kv/db"}, [], exit_status.CONFIG, "SECRET: 'bao:kv/db': has no key"),
            ({"STRONGROOM_X": "1"}, [], exit_status.CONFIG, "STRONGROOM_X: unknown setting"),
            ({}, ["--wait", "x"], exit_status.CONFIG, "--wait=x: must be a number"),
            ({}, ["--nope"], exit_status.CONFIG, "--nope: unknown option"),
            (SECRET, ["--bridge=https://m\u00fcnchen"], exit_status.CONFIG, "must be https://HOST"),
            (SECRET, ["--bridge=https://b", "--ca=/missing"], exit_status.CONFIG, "/missing"),
            (
                {**SECRET, "STRONGROOM_REGION": "memfd-secret:100"},
                ["--bridge=https://b"],
                exit_status.CONFIG,
                "already runs under strongroom",
            ),
            ({"STRONGROOM_REGION": "memfd-secret:---"}, [], exit_status.CONFIG, "already runs under strongroom"),
            ({"STRONGROOM_PADDING": ""}, ["--supervise"], exit_status.CONFIG, "already runs under strongroom"),
        ],
    )
    def test_with_111_and_one_line_when_a_setting_is_wrong(
        self, launches: Launches, variables: Mapping[str, str], options: list[str], status: int, text: str
    ) -> None:
        done = launches.run(["echo", "started"], variables, options=options)

        assert done.returncode == status
        assert text in lines(done.stderr)[0]
        assert done.stdout == b""
        assert b"Traceback" not in done.stderr

    def test_with_111_when_there_is_no_command(self, launches: Launches) -> None:
        done = launches.run([], SECRET)

        assert done.returncode == exit_status.CONFIG
        assert b"usage: strongroom run" in done.stderr

    def test_with_126_and_the_reason_where_the_program_s_loader_is_not_there(
        self, launches: Launches, certificates: Certificates, tmp_path: Path
    ) -> None:
        source, program = tmp_path / "show.c", tmp_path / "show"
        source.write_text("int main(void) { return 0; }\n")
        linking = "-Wl,--dynamic-linker=/lib/ld-of-another-distribution.so.1"
        subprocess.run(["gcc", linking, "-o", program, source], check=True, timeout=60)

        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run([str(program)], SECRET, bridge=bridge.url)

        assert done.returncode == exit_status.CANNOT_EXEC
        assert b"show: No such file or directory" in done.stderr
        assert b"hint: its dynamic loader is not there" in done.stderr

    def test_with_126_and_the_reason_where_the_secrets_do_not_fit_on_the_stack(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": b"x" * 130_000})) as bridge:
            command = launches.command(["echo", "started"])
            done = subprocess.run(
                ["sh", "-c", 'ulimit -s 512 && exec "$@"', "sh", *command],
                env=launches.environ(bridge.url, SECRET | {"MORE": "y" * 1000}),
                cwd=ROOT, capture_output=True, check=False, timeout=60,
            )  # fmt: skip

        assert (done.returncode, done.stdout) == (exit_status.CANNOT_EXEC, b"")
        assert b"Argument list too long" in done.stderr
        assert b"raise ulimit -s" in done.stderr

    def test_with_114_when_nobody_is_at_the_address(self, launches: Launches) -> None:
        with refusing() as port:
            done = launches.run(["echo", "started"], SECRET, bridge=f"https://127.0.0.1:{port}")

        assert done.returncode == exit_status.UNREACHABLE
        assert b"Connection refused" in done.stderr
        assert done.stdout == b""

    def test_with_117_where_secret_memory_cannot_be_had(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(["echo", "x"], SECRET, bridge=bridge.url, sandbox=[f"refuse={ENOSYS}"])

        assert done.returncode == exit_status.UNPROTECTED
        assert b"ENOSYS" in done.stderr
        assert b"hint: allow less with --require locked" in done.stderr
        assert bridge.connections == 0  # nothing is fetched that could not be kept

    @pytest.mark.parametrize("require", ["locked", "any"])
    def test_with_the_application_where_less_is_allowed(
        self, launches: Launches, certificates: Certificates, require: str
    ) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(
                ["printenv", "SECRET"],
                SECRET,
                bridge=bridge.url,
                options=["--require", require],
                sandbox=[f"refuse={ENOSYS}"],
            )

        assert (done.returncode, done.stdout) == (0, CANARY + b"\n")
        assert b"1 secret in locked memory" in done.stderr

    def test_with_the_application_where_nothing_can_be_locked_and_anything_will_do(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(
                ["printenv", "SECRET"],
                SECRET,
                bridge=bridge.url,
                options=["--require", "any"],
                sandbox=["memlock=0", f"refuse={ENOSYS}"],
            )

        assert (done.returncode, done.stdout) == (0, CANARY + b"\n")
        assert b"in any memory" in done.stderr

    def test_with_117_when_the_memory_limit_is_too_small(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": b"x" * 100_000})) as bridge:
            done = launches.run(["echo", "x"], SECRET, bridge=bridge.url, sandbox=["memlock=65536"])

        assert done.returncode == exit_status.UNPROTECTED
        assert b"RLIMIT_MEMLOCK is 65536 bytes" in done.stderr

    def test_with_the_application_when_an_answer_is_lost_and_the_limit_holds_one_region(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        lost = response(200, encode([("SECRET", b"x" * 60_000)]))[:-1]
        with FakeBridge(certificates.server(), answer(lost), bundle({"SECRET": b"y" * 20_000})) as bridge:
            done = launches.run(
                ["printenv", "SECRET"],
                SECRET | {"STRONGROOM_RETRIES": "1"},
                bridge=bridge.url,
                sandbox=["memlock=65536"],
            )

        assert done.returncode == 0, done.stderr
        assert done.stdout == b"y" * 20_000 + b"\n"


class TestWhatIsSaid:
    def test_how_many_secrets_and_how_they_are_protected(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY, "MORE": b"x"})) as bridge:
            variables = {
                **SECRET,
                "MORE": "bao:kv/db#more",
                "STRONGROOM_CHILDREN": "deny",
                "LD_PRELOAD": library_path(),
            }
            done = launches.run(["true"], variables, bridge=bridge.url)

        assert done.stderr.startswith(b"strongroom: 2 secrets in memfd-secret memory by preload, ")

    def test_nothing_when_quiet(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(["true"], SECRET, bridge=bridge.url, options=["--quiet", "1"])

        assert (done.returncode, done.stderr) == (0, b"")

    def test_a_name_that_is_not_utf8_in_a_form_that_can_be_printed(self, launches: Launches) -> None:
        done = launches.run(["\udcff-command"], {})

        assert done.returncode == 127
        assert b"\\udcff-command: command not found" in done.stderr

    @pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
    def test_nobody_to_hear_it_does_not_stop_a_launch(
        self, launches: Launches, serving: Serving, redirection: str
    ) -> None:
        url, variables = serving
        command = shlex.join(launches.command(["echo", "started"]))
        done = subprocess.run(
            ["bash", "-c", f"{command} {redirection}"],
            env=launches.environ(url, variables),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

        assert (done.returncode, done.stdout) == (0, "started\n")

    def test_nobody_to_hear_it_does_not_change_a_status(self, launches: Launches) -> None:
        command = shlex.join(launches.command(["no-such-command"]))
        done = subprocess.run(
            ["bash", "-c", f"{command} 2>&-"], env=launches.environ("", {}), cwd=ROOT, check=False, timeout=30
        )

        assert done.returncode == 127

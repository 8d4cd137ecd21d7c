"""What a launch says on its way: waits, counts, and what would not go as its owner thinks."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.init.container import NAMESPACE
from tests.support.bridge.fake import FakeBridge, bundle, full_backlog, refusing
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from wrapper import exit_status

SECRET = {"DB_PASSWORD": "bao:kv/db#key"}
ANSWER = bundle({"DB_PASSWORD": b"value"})


class TestWaiting:
    @pytest.fixture
    def nobody(self) -> Iterator[str]:
        """The address of a port at which nobody listens."""
        with refusing() as port:
            yield f"127.0.0.1:{port}"

    def test_after_a_moment_it_says_once_what_for(self, launches: Launches, nobody: str) -> None:
        done = launches.run(["true"], SECRET | {"STRONGROOM_WAIT": "3"}, bridge=f"https://{nobody}", with_waits=True)

        assert done.returncode == exit_status.UNREACHABLE
        lines = done.stderr.decode().splitlines()
        assert lines[0] == f"strongroom: waiting for the bridge at {nobody} (3 s)"
        assert done.stderr.count(b"waiting") == 1

    @pytest.mark.parametrize("more", [{"STRONGROOM_QUIET": "1", "STRONGROOM_WAIT": "2"}, {"STRONGROOM_WAIT": "0"}])
    def test_not_where_it_is_to_be_quiet_or_does_not_wait(
        self, launches: Launches, nobody: str, more: dict[str, str]
    ) -> None:
        done = launches.run(["true"], SECRET | more, bridge=f"https://{nobody}", with_waits=True)
        assert (done.returncode, b"waiting" in done.stderr) == (exit_status.UNREACHABLE, False)

    def test_nor_in_a_launch_that_does_not_wait_long(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), ANSWER) as bridge:
            began = time.monotonic()
            done = launches.run(["true"], SECRET | {"STRONGROOM_WAIT": "5"}, bridge=bridge.url, with_waits=True)
            took_s = time.monotonic() - began
        assert done.returncode == 0
        assert b"waiting" not in done.stderr or took_s >= 1, "on a busy machine it waits, too"

    def test_while_packets_are_swallowed(self, launches: Launches) -> None:
        with full_backlog() as port:
            variables = SECRET | {"STRONGROOM_ATTEMPT_TIMEOUT": "2"}
            done = launches.run(["true"], variables, bridge=f"https://127.0.0.1:{port}", with_waits=True)
        assert done.stderr.startswith(f"strongroom: waiting for the bridge at 127.0.0.1:{port} (2 s)".encode())

    def test_for_certificates(self, launches: Launches, tmp_path: Path) -> None:
        variables = SECRET | {"STRONGROOM_WAIT": "2", "STRONGROOM_CERT": str(tmp_path / "tls.crt")}
        done = launches.run(["true"], variables, bridge="https://127.0.0.1:1")
        assert done.returncode == exit_status.CONFIG
        assert done.stderr.startswith(f"strongroom: waiting for its certificates ({tmp_path}/tls.crt)".encode())


class TestCounts:
    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({"A": "bao:kv/db#k"}, b"strongroom: 1 secret in memfd-secret memory by preload, "),
            ({"A": "bao:kv/db#k", "B": "bao:kv/db#k"}, b"strongroom: 2 secrets in memfd-secret memory by preload, "),
            ({"F": "file:bao:kv/db#k"}, b"strongroom: 1 secret in files, "),
            ({"F": "file:bao:kv/db#k", "G": "file:bao:kv/db#k"}, b"strongroom: 2 secrets in files, "),
            (
                {"A": "bao:kv/db#k", "F": "file:bao:kv/db#k"},
                b"strongroom: 1 secret in memfd-secret memory by preload, 1 in",
            ),
        ],
    )
    def test_one_is_one_and_files_alone_are_not_in_memory(
        self, launches: Launches, certificates: Certificates, variables: dict[str, str], said: bytes
    ) -> None:
        with FakeBridge(certificates.server(), bundle(dict.fromkeys(variables, b"v"))) as bridge:
            done = launches.run(["true"], variables, bridge=bridge.url)
        assert done.stderr.startswith(said), done.stderr


class TestChildren:
    def run(self, launches: Launches, certificates: Certificates, policy: str) -> subprocess.CompletedProcess[bytes]:
        with FakeBridge(certificates.server(), ANSWER) as bridge:
            return launches.run(["true"], SECRET, bridge=bridge.url, options=["--children", policy])

    @pytest.mark.parametrize("policy", ["allow:DB_PASSWORD", "allow:sh,DB_PASSWORD", "allow:API_KEY"])
    def test_a_list_of_variables_is_refused(self, launches: Launches, certificates: Certificates, policy: str) -> None:
        done = self.run(launches, certificates, policy)
        assert done.returncode == exit_status.CONFIG
        assert b"is a variable, and the list is of programs" in done.stderr
        assert b"hint: name programs" in done.stderr

    def test_a_program_that_is_not_there_is_a_warning(self, launches: Launches, certificates: Certificates) -> None:
        done = self.run(launches, certificates, "allow:sh,no-such-program,/opt/none")
        assert done.returncode == 0, done.stderr
        assert b"warning: --children allow:no-such-program: there is no such program now" in done.stderr
        assert b"warning: --children allow:/opt/none: " in done.stderr
        assert b"allow:sh:" not in done.stderr

    def test_programs_that_are_there_are_no_matter(self, launches: Launches, certificates: Certificates) -> None:
        done = self.run(launches, certificates, "allow:sh,/bin/sh")
        assert (done.returncode, b"warning" in done.stderr) == (0, False)


@pytest.mark.skipif(not is_root(), reason="a PID namespace needs root")
@pytest.mark.parametrize(
    ("command", "warned"),
    [
        (["sh", "-c", "true; true"], True),
        (["bash", "-e", "-c", "true"], True),
        (["sh", "-c", "exec true"], False),
        (["true", "-c", "x"], False),
    ],
)
def test_a_shell_as_pid_1_is_pointed_to_supervision(launches: Launches, command: list[str], *, warned: bool) -> None:
    def launch(prefix: tuple[str, ...]) -> bytes:
        words = [*prefix, *launches.command(command)]
        done = subprocess.run(
            words, env=launches.environ("", {}), cwd=ROOT, capture_output=True, check=True, timeout=30
        )
        return done.stderr

    assert (b"--supervise" in launch(NAMESPACE)) is warned
    assert launch(()) == b"", "only as PID 1"

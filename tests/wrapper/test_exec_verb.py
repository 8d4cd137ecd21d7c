"""``strongroom exec`` as a process: where it finds what to ask for, and what it refuses."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from strongroom.errors import ConfigError
from tests.support.bridge.fake import FakeBridge, bundle, problem
from tests.support.bridge.fake import answer as answer_with
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from tests.wrapper.application import environment_of
from tests.wrapper.test_imports import imported, imported_by, slow_ones
from wrapper import exit_status
from wrapper.saved_launch import DEFAULT_FILE
from wrapper.verbs.exec import launch_of_init, take_saved_launch

CANARY = b"canary-Lq40Tz"
SECRET = {"SECRET": "bao:kv/db#key"}
ENTRY = [
    sys.executable,
    "-I",
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from cli.main import main; sys.exit(main())",
]


def execute(environ: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``strongroom exec`` with exactly this environment."""
    return subprocess.run([*ENTRY, "exec", *words], env=environ, cwd="/", capture_output=True, check=False, timeout=30)


@pytest.fixture
def saved(launches: Launches, certificates: Certificates, tmp_path: Path) -> Iterator[tuple[FakeBridge, Path]]:
    """A launch that has been saved, and its bridge."""
    path = tmp_path / "launch.json"
    with FakeBridge(certificates.server(), bundle({"SECRET": CANARY, "HOME": b"of the path"})) as bridge:
        variables = SECRET | {"STRONGROOM_FROM_PATH": "bao:kv/env", "HOME": "/root", "PLAIN": "p"}
        done = launches.run(["true"], variables, options=["--save-launch", str(path), "--bridge", bridge.url])
        assert done.returncode == 0, done.stderr
        yield bridge, path


class TestWhereItLooks:
    def test_its_own_environment_as_kubectl_exec_has_it(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            environ = launches.environ(bridge.url, SECRET | {"A": "a", "STRONGROOM_SUPERVISE": "1"})
            done = execute(environ, "--", "env", "-0")

        found = environment_of(done.stdout)
        assert (done.returncode, done.stderr) == (0, b""), "it is quiet"
        assert (found[b"SECRET"], found[b"A"]) == (CANARY, b"a")
        assert {name for name in found if name.startswith(b"STRONGROOM_")} == {
            b"STRONGROOM_REGION",
            b"STRONGROOM_PADDING",
        }

    def test_a_saved_launch_when_the_environment_is_empty(self, saved: tuple[FakeBridge, Path]) -> None:
        done = execute({}, "--saved-launch", str(saved[1]), "--", "env", "-0")

        found = environment_of(done.stdout)
        assert (done.returncode, done.stderr) == (0, b"")
        assert found[b"SECRET"] == CANARY
        assert not found.keys() & {b"PLAIN", b"HOME", b"STRONGROOM_BRIDGE"}, "what the launch had itself is not set"

    @pytest.mark.parametrize("variable", ["STRONGROOM_SAVED_LAUNCH", "STRONGROOM_SAVE_LAUNCH"])
    def test_a_saved_launch_that_a_variable_names(self, saved: tuple[FakeBridge, Path], variable: str) -> None:
        done = execute({variable: str(saved[1]), "SECRET_TOO": "x"}, "printenv", "SECRET")
        assert (done.returncode, done.stdout) == (0, CANARY + b"\n"), done.stderr

    def test_what_the_environment_says_itself_wins(self, saved: tuple[FakeBridge, Path]) -> None:
        environ = {"SECRET": "for a test", "STRONGROOM_SAVED_LAUNCH": str(saved[1]), "STRONGROOM_QUIET": "0"}
        done = execute(environ, "printenv", "SECRET")
        assert done.stdout == b"for a test\n"
        assert done.stderr.startswith(b"strongroom: ")

    def test_its_own_references_with_the_settings_of_the_saved_launch(self, saved: tuple[FakeBridge, Path]) -> None:
        # The launch was given its bridge by a flag, which kubectl exec does not show.
        done = execute(SECRET, "--saved-launch", str(saved[1]), "env", "-0")
        assert environment_of(done.stdout)[b"SECRET"] == CANARY, done.stderr

    @pytest.mark.skipif(not is_root(), reason="a mount namespace needs root")
    def test_the_usual_place_when_nothing_is_named(self, saved: tuple[FakeBridge, Path]) -> None:
        folder = Path(DEFAULT_FILE).parent
        script = f'mount -t tmpfs none /run && mkdir {folder} && cp {saved[1]} {DEFAULT_FILE} && exec env -i "$@"'
        words = ["unshare", "--mount", "sh", "-c", script, "sh", *ENTRY, "exec", "printenv", "SECRET"]
        done = subprocess.run(words, capture_output=True, check=False, timeout=30)
        assert (done.returncode, done.stdout) == (0, CANARY + b"\n"), done.stderr


class TestPid1:
    """The environment and the options of ``strongroom-init``, as /proc has them."""

    @staticmethod
    def process(folder: Path, *, comm: str = "strongroom-init", environ: Mapping[str, str], words: list[str]) -> str:
        (folder / "comm").write_text(comm + "\n")
        (folder / "environ").write_bytes(b"".join(os.fsencode(f"{name}={text}\0") for name, text in environ.items()))
        (folder / "cmdline").write_bytes(b"".join(os.fsencode(f"{word}\0") for word in words))
        return str(folder)

    def test_references_settings_and_flags(self, tmp_path: Path) -> None:
        words = [
            "strongroom-init",
            "-g",
            "--",
            "python",
            "-m",
            "cli",
            "run",
            "--bridge",
            "https://b",
            "--",
            "app",
            "run",
        ]
        process = self.process(tmp_path, environ=SECRET | {"A": "a", "STRONGROOM_WAIT": "3"}, words=words)
        found = launch_of_init(process)

        assert found is not None
        assert found.environment == SECRET | {"STRONGROOM_BRIDGE": "https://b", "STRONGROOM_WAIT": "3"}
        assert found.exclude == {"A"}

    @pytest.mark.parametrize(
        "words", [[], ["strongroom-init", "--", "app", "run", "--fast"], ["strongroom-init", "run"]]
    )
    def test_a_command_line_that_is_no_launch(self, tmp_path: Path, words: list[str]) -> None:
        found = launch_of_init(self.process(tmp_path, environ=SECRET, words=words))
        assert found is not None
        assert found.environment == SECRET

    def test_files_with_variables_are_read_from_where_it_was_started(self, tmp_path: Path) -> None:
        (tmp_path / "cwd").mkdir()
        (tmp_path / "cwd" / "x.env").write_text("SECRET=bao:kv/db#key\nA=plain\n")
        words = ["strongroom-init", "--", "strongroom", "run", "--env-file", "x.env", "--", "app"]
        found = launch_of_init(self.process(tmp_path, environ={"B": "b"}, words=words))

        assert found is not None
        assert found.environment == SECRET
        assert found.exclude == {"A", "B"}

    def test_another_pid_1(self, tmp_path: Path) -> None:
        assert launch_of_init(self.process(tmp_path, comm="sh", environ=SECRET, words=[])) is None
        assert launch_of_init(str(tmp_path / "none")) is None

    @pytest.mark.skipif(not is_root(), reason="changing users needs root")
    def test_one_of_another_user_is_an_error(self, tmp_path: Path) -> None:
        process = self.process(tmp_path, environ=SECRET, words=[])
        (tmp_path / "environ").chmod(0)
        tmp_path.chmod(0o755)
        child = os.fork()
        if not child:
            status = 1
            try:
                os.setresuid(65_534, 65_534, 65_534)
                launch_of_init(process)
            except ConfigError as error:
                status = 0 if "may not read its environment" in error.message else 2
            except PermissionError:
                status = 3
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class TestWhatItRefuses:
    def test_to_run_without_any_launch(self) -> None:
        done = execute({"A": "a"}, "echo", "started")
        assert (done.returncode, done.stdout) == (exit_status.CONFIG, b"")
        assert b"nothing says which secrets: no reference in the environment, no /run/strongroom" in done.stderr
        assert b"hint: start the container with `strongroom run --save-launch" in done.stderr

    def test_a_saved_launch_that_is_named_and_missing(self, tmp_path: Path) -> None:
        done = execute({}, "--saved-launch", str(tmp_path / "none"), "echo", "started")
        assert (done.returncode, done.stdout) == (exit_status.CONFIG, b"")
        assert f"saved launch {tmp_path}/none: no such file".encode() in done.stderr

    def test_to_run_inside_an_application(self, launches: Launches, saved: tuple[FakeBridge, Path]) -> None:
        words = [*ENTRY, "exec", "--saved-launch", str(saved[1]), "--", "printenv", "SECRET"]
        inside = launches.run(words, SECRET, bridge=saved[0].url)
        assert (inside.returncode, inside.stdout) == (exit_status.CONFIG, b"")
        assert b"started by an application that has its secrets" in inside.stderr
        assert CANARY not in inside.stderr
        anew = launches.run(["env", "-i", *words], SECRET, bridge=saved[0].url)
        assert (anew.returncode, anew.stdout) == (0, CANARY + b"\n"), anew.stderr

    def test_what_the_policy_denies(self, launches: Launches, certificates: Certificates) -> None:
        failures = [{"name": "SECRET", "path": "kv/db", "key": "key", "cause": "denied", "detail": "no grant"}]
        with FakeBridge(certificates.server(), answer_with(problem(403, failures=failures))) as bridge:
            done = execute(launches.environ(bridge.url, SECRET), "echo", "started")
        assert (done.returncode, done.stdout) == (exit_status.DENIED, b"")
        assert b"SECRET: kv/db#key: denied (403)" in done.stderr

    @pytest.mark.parametrize("words", [[], ["--"], ["--saved-launch"], ["--saved-launch="], ["--nope", "true"]])
    def test_words_that_make_no_command(self, words: list[str]) -> None:
        done = execute({}, *words)
        assert done.returncode == exit_status.CONFIG
        assert done.stderr.startswith(b"strongroom: error: ")
        assert b"Traceback" not in done.stderr

    def test_a_command_that_does_not_exist(self, launches: Launches) -> None:
        assert execute(launches.environ("https://127.0.0.1:1", SECRET), "no-such-command").returncode == 127


class TestFiles:
    @pytest.fixture
    def memory(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="strongroom-test-", dir="/dev/shm"))
        yield folder
        shutil.rmtree(folder)

    def test_one_without_a_path_is_made_anew(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            environ = launches.environ(bridge.url, {"FILE": "file:bao:kv/db#key"})
            assert execute(environ, "sh", "-c", 'cat "$FILE"').stdout == CANARY

    def test_one_that_the_launch_has_put_in_place_is_left_as_it_is_even_by_a_failure(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        path = memory / "key"
        variables = SECRET | {"FILE": f"file(path={path}):bao:kv/db#key"}
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY, "SECRET": b"s"})) as bridge:
            environ = launches.environ(bridge.url, variables)
            assert launches.run(["true"], variables, bridge=bridge.url).returncode == 0
            before = path.stat()
            done = execute(environ, "sh", "-c", 'cat "$FILE"; echo "$SECRET"')
            assert done.stdout == CANARY + b"s\n", done.stderr
        assert execute(environ | {"STRONGROOM_WAIT": "0"}, "true").returncode == exit_status.UNREACHABLE
        assert (path.stat().st_ino, path.read_bytes()) == (before.st_ino, CANARY)

    @pytest.mark.parametrize("newest", [CANARY + b"2", CANARY.swapcase(), b"", CANARY * 9000], ids=len)
    def test_one_of_another_version_stays_and_the_command_gets_the_newest_as_a_file_of_its_own(
        self, launches: Launches, certificates: Certificates, memory: Path, newest: bytes
    ) -> None:
        path = memory / "key"
        path.write_bytes(CANARY)
        variables = SECRET | {"FILE": f"file(path={path},mode=0440,owner=4242):bao:kv/db#key"}
        with FakeBridge(certificates.server(), bundle({"FILE": newest, "SECRET": b"new"})) as bridge:
            done = execute(launches.environ(bridge.url, variables), "sh", "-c", 'cat "$FILE"; echo " $SECRET $FILE"')
        content, secret, value = done.stdout.split(b" ") if newest else (b"", *done.stdout.split())
        assert (content, secret) == (newest, b"new"), done.stderr
        assert value.startswith(b"/proc/self/fd/")
        assert f"FILE: {path} is of another version".encode() in done.stderr
        assert CANARY not in done.stderr
        assert path.read_bytes() == CANARY

    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_073])
    def test_the_last_byte_counts(
        self, launches: Launches, certificates: Certificates, memory: Path, size: int
    ) -> None:
        path = memory / "key"
        path.write_bytes(b"x" * size)
        environ_of = {"FILE": f"file(path={path}):bao:kv/db#key"}
        for newest, kept in ((b"x" * size, True), (b"x" * size + b"y", False), (b"x" * (size - 1) + b"y", False)):
            with FakeBridge(certificates.server(), bundle({"FILE": newest})) as bridge:
                done = execute(launches.environ(bridge.url, environ_of), "sh", "-c", 'echo "$FILE"')
            assert (done.stdout == f"{path}\n".encode()) is kept, (size, done.stderr)

    def test_a_symbolic_link_in_its_place_is_not_followed(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        (memory / "elsewhere").write_bytes(CANARY)
        (memory / "key").symlink_to(memory / "elsewhere")
        variables = {"FILE": f"file(path={memory}/key):bao:kv/db#key"}
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            done = execute(launches.environ(bridge.url, variables), "sh", "-c", 'echo "$FILE"')
        assert done.stdout.startswith(b"/proc/self/fd/"), done.stderr
        assert b"cannot be compared" in done.stderr

    def test_one_that_is_missing_is_put_in_place(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            environ = launches.environ(bridge.url, {"FILE": f"file(path={memory}/key):bao:kv/db#key"})
            assert execute(environ, "cat", f"{memory}/key").stdout == CANARY


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("", [])),
        (["--saved-launch", "f", "--", "c"], ("f", ["--", "c"])),
        (["--saved-launch=f", "--wait", "1", "c"], ("f", ["--wait", "1", "c"])),
        (["c", "--saved-launch", "f"], ("", ["c", "--saved-launch", "f"])),
    ],
)
def test_saved_launch_is_an_option_that_stands_first(words: list[str], expected: tuple[str, list[str]]) -> None:
    assert take_saved_launch(words) == expected


def test_it_imports_nothing_slow(saved: tuple[FakeBridge, Path]) -> None:
    modules = imported(["-m", "cli", "exec", "--saved-launch", str(saved[1]), "--"], {"PATH": os.environ["PATH"]})
    assert {"wrapper.verbs.exec", "wrapper.saved_launch", "wrapper.fetch.bridge"} <= modules
    by_json = imported_by(["-c", "import json"], {})  # what a saved launch is written in
    assert slow_ones(modules) - by_json == set()


def test_help() -> None:
    done = execute({}, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"usage: strongroom exec" in done.stdout

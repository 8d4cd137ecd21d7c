"""A launch from end to end: real OpenBao, real bridge, real wrapper, real program."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from devstack.authority import Authority
from devstack.stack import IDENTITY, DevStack
from tests.support.launch.launcher import Launcher
from tests.support.tree import ROOT
from wrapper import exit_status


def printed(launcher: Launcher, references: dict[str, str], name: str) -> str:
    result = launcher.run(references, "printenv", name)
    assert result.returncode == 0, result.stderr
    return result.stdout.removesuffix("\n")


class TestWhatIsRead:
    def test_the_newest_version_of_a_v2_secret(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/versions", {"k": "old"})
        stack.openbao.admin.put_v2("kv", "shop/versions", {"k": "new"})
        assert printed(launcher, {"X": "bao:kv/shop/versions#k"}, "X") == "new"

    def test_a_stated_version_of_a_v2_secret(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/pinned", {"k": "first"})
        stack.openbao.admin.put_v2("kv", "shop/pinned", {"k": "second"})
        assert printed(launcher, {"X": "vault:kv/shop/pinned#k#1"}, "X") == "first"

    def test_a_v1_secret_written_the_same_way(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v1("kv1", "shop/plain", {"k": "one"})
        assert printed(launcher, {"X": "bao:kv1/shop/plain#k"}, "X") == "one"

    def test_several_references_inside_a_text(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/inline", {"u": "app", "p": "pa:ss"})
        value = "postgres://${bao:kv/shop/inline#u}:${vault:kv/shop/inline#p}@db/${OTHER}"
        assert printed(launcher, {"X": value}, "X") == "postgres://app:pa:ss@db/${OTHER}"

    def test_a_password_of_any_characters_in_a_url_in_json_and_in_a_script(
        self, launcher: Launcher, stack: DevStack, tmp_path: Path
    ) -> None:
        password = "p@ss/w:rd#1 'x' \"y\" €"
        stack.openbao.admin.put_v2("kv", "shop/typed", {"password": password})
        url = printed(launcher, {"X": "postgres://shop:@{bao:kv/shop/typed#password|url}@db/shop"}, "X")
        assert (urlsplit(url).hostname, unquote(urlsplit(url).password or "")) == ("db", password)
        text = printed(launcher, {"X": '{"p": "${bao:kv/shop/typed#password|json}"}'}, "X")
        assert json.loads(text) == {"p": password}
        template = tmp_path / "script.tmpl"
        template.write_text("printf %s @{bao:kv/shop/typed#password|shell}\n")
        result = launcher.run({"SCRIPT": f"file(template={template}):"}, "sh", "-c", '. "$SCRIPT"')
        assert result.stdout == password, result.stderr

    def test_double_quotes_of_a_shell_leave_the_form_with_an_at_sign_alone(
        self, launcher: Launcher, stack: DevStack
    ) -> None:
        stack.openbao.admin.put_v2("kv", "shop/quoted", {"password": "p@ss"})
        script = 'export X="pg://shop:@{bao:kv/shop/quoted#password|url}@db"; exec "$@"'
        for shell in ("sh", "bash"):
            result = subprocess.run(
                [shell, "-c", script, shell, *launcher.command("printenv", "X")],
                env=launcher.environ({}),
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert result.stdout == "pg://shop:p%40ss@db\n", result.stderr

    def test_every_key_of_a_path(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/all", {"FIRST": "1", "SECOND": "2", "HOME": "from the path"})
        result = launcher.run({"STRONGROOM_FROM_PATH": "bao:kv/shop/all", "HOME": "/mine"}, "env")
        lines = result.stdout.splitlines()
        assert "FIRST=1" in lines
        assert "SECOND=2" in lines
        assert "HOME=/mine" in lines, "what the environment says itself wins over a whole path"

    def test_a_missing_optional_variable_is_left_out(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/partial", {"k": "there"})
        result = launcher.run(
            {
                "GONE": "bao:kv/shop/partial#no?optional",
                "NOWHERE": "bao:kv/shop/nowhere#k?default=fall back?",
                "HERE": "bao:kv/shop/partial#k?optional",
            },
            "env",
        )
        lines = result.stdout.splitlines()
        assert not any(line.startswith("GONE") for line in lines)
        assert "NOWHERE=fall back?" in lines
        assert "HERE=there" in lines

    def test_5000_secrets_in_one_launch(self, launcher: Launcher, stack: DevStack) -> None:
        values = {f"SECRET_{i}": f"value-{i}" for i in range(5000)}
        stack.openbao.admin.put_v2("kv", "shop/many", values)
        result = launcher.run({"STRONGROOM_FROM_PATH": "bao:kv/shop/many"}, "env")
        assert result.returncode == 0, result.stderr
        seen = dict(line.partition("=")[::2] for line in result.stdout.splitlines())
        assert {name: seen.get(name) for name in values} == values

    def test_a_value_of_200_kb_that_execve_alone_could_not_carry(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/large", {"k": "x" * 200_000})
        result = launcher.run({"X": "bao:kv/shop/large#k"}, "python3", "-c", "import os; print(len(os.environ['X']))")
        assert result.stdout == "200000\n", result.stderr

    def test_100_launches_at_once(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/storm", {"k": "calm"})
        with ThreadPoolExecutor(100) as pool:
            references = {"X": "bao:kv/shop/storm#k"}
            results = list(pool.map(lambda _: launcher.run(references, "printenv", "X", timeout=110), range(100)))
        assert [result.stdout for result in results] == ["calm\n"] * 100


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("reference", "status", "words"),
        [
            ("bao:kv/finance/payroll#salary", exit_status.DENIED, ("403", "denied", "kv/finance/payroll")),
            ("bao:kv/shop/nowhere#k", exit_status.NOT_FOUND, ("404", "kv/shop/nowhere")),
            ("bao:kv/shop/refused#no", exit_status.NOT_FOUND, ("404", "kv/shop/refused", "'no'")),
            ("bao:kv/shop/refused#k#7", exit_status.NOT_FOUND, ("404", "kv/shop/refused", "7")),
            ("bao:kv/shop/deleted#k", exit_status.NOT_FOUND, ("404", "deleted")),
            ("bao:kv/shop/refused#binary", exit_status.UNDELIVERABLE, ("binary", "kv/shop/refused")),
            ("bao:kv/shop", exit_status.CONFIG, ("no key",)),
            ("bao:kv/shop/../finance/payroll#salary", exit_status.CONFIG, ("..",)),
        ],
    )
    def test_a_reference_that_cannot_be_served_stops_the_launch(
        self, launcher: Launcher, stack: DevStack, reference: str, status: int, words: tuple[str, ...]
    ) -> None:
        admin = stack.openbao.admin
        admin.put_v2("kv", "shop/refused", {"k": "v", "binary": "a\0b"})
        version = admin.put_v2("kv", "shop/deleted", {"k": "v"})
        admin.delete_versions("kv", "shop/deleted", [version])
        result = launcher.run({"WANTED": reference}, "sh", "-c", "echo started")
        assert result.returncode == status, result.stderr
        assert not result.stdout
        first = result.stderr.splitlines()[0]
        assert first.startswith("strongroom: error: WANTED: ")
        assert all(word in first for word in words), first

    def test_optional_does_not_cover_a_denial(self, launcher: Launcher) -> None:
        result = launcher.run({"X": "bao:kv/finance/payroll#salary?optional"}, "true")
        assert result.returncode == exit_status.DENIED

    def test_an_identity_without_policy(self, stack: DevStack) -> None:
        files = stack.authority.issue_client("nobody", identities=("spiffe://dev.strongroom/ns/shop/sa/nobody",))
        launcher = Launcher(stack, {"STRONGROOM_CERT": str(files.cert), "STRONGROOM_KEY": str(files.key)})
        result = launcher.run({"X": "bao:kv/shop/versions#k"}, "true")
        assert result.returncode == exit_status.DENIED
        assert "sa/nobody" in result.stderr

    def test_a_bridge_whose_authority_is_another_one(self, stack: DevStack, tmp_path: Path) -> None:
        other = Authority(tmp_path / "other")
        launcher = Launcher(stack, {"STRONGROOM_CA": str(other.ca_file)})
        result = launcher.run({"X": "bao:kv/shop/versions#k"}, "true")
        assert result.returncode == exit_status.UNREACHABLE
        assert "certificate" in result.stderr

    def test_a_client_certificate_of_another_authority(self, stack: DevStack, tmp_path: Path) -> None:
        files = Authority(tmp_path / "other").issue_client("app", identities=(IDENTITY,))
        launcher = Launcher(stack, {"STRONGROOM_CERT": str(files.cert), "STRONGROOM_KEY": str(files.key)})
        result = launcher.run({"X": "bao:kv/shop/versions#k"}, "true")
        assert result.returncode == exit_status.UNREACHABLE
        assert "refuses our certificate" in result.stderr

    def test_an_expired_client_certificate(self, stack: DevStack) -> None:
        import datetime as dt  # noqa: PLC0415

        now = dt.datetime.now(dt.UTC)
        files = stack.authority.issue_client(
            "expired",
            identities=(IDENTITY,),
            not_before=now - dt.timedelta(days=2),
            not_after=now - dt.timedelta(days=1),
        )
        launcher = Launcher(stack, {"STRONGROOM_CERT": str(files.cert), "STRONGROOM_KEY": str(files.key)})
        result = launcher.run({"X": "bao:kv/shop/versions#k"}, "true")
        assert result.returncode == exit_status.UNREACHABLE
        assert "expired" in result.stderr


class TestPrograms:
    def test_a_shell_entrypoint_that_execs_the_program(
        self, launcher: Launcher, stack: DevStack, tmp_path: Path
    ) -> None:
        stack.openbao.admin.put_v2("kv", "shop/entry", {"k": "through"})
        script = tmp_path / "entrypoint.sh"
        script.write_text('#!/bin/sh\nset -e\nexec 3>&1 4>&1 5>&1 6>&1 7>&1 8>&1 9>&1\nexec "$@"\n')
        script.chmod(0o755)
        result = launcher.run({"X": "bao:kv/shop/entry#k"}, str(script), "printenv", "X")
        assert (result.returncode, result.stdout) == (0, "through\n"), result.stderr

    def test_bash_and_another_process_with_the_same_region(self, launcher: Launcher, stack: DevStack) -> None:
        # bash writes into its environment strings while it starts; nobody else may see that.
        stack.openbao.admin.put_v2("kv", "shop/bash", {"k": "intact"})
        result = launcher.run(
            {"X": "bao:kv/shop/bash#k"}, "bash", "-c", 'bash -c "printenv X" & printenv X; wait; echo "$X"'
        )
        assert result.stdout.splitlines() == ["intact"] * 3, result.stderr

    def test_the_status_of_the_program_passes_through(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/status", {"k": "v"})
        assert launcher.run({"X": "bao:kv/shop/status#k"}, "sh", "-c", "exit 42").returncode == 42

    def test_the_program_is_the_process_that_was_started(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/pid", {"k": "v"})
        process = launcher.start({"X": "bao:kv/shop/pid#k"}, "sh", "-c", "echo $$; read _")
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.communicate("\n", timeout=60)


class TestTrouble:
    def test_a_sealed_openbao_is_named_and_waited_for(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/seal", {"k": "v"})
        stack.openbao.admin.seal()
        try:
            launcher.overrides["STRONGROOM_RETRIES"] = "1"
            result = launcher.run({"X": "bao:kv/shop/seal#k"}, "true")
            assert result.returncode == exit_status.UNAVAILABLE, result.stderr
            assert "sealed" in result.stderr
            launcher.overrides["STRONGROOM_RETRIES"] = "1000"
            waiting = launcher.start({"X": "bao:kv/shop/seal#k"}, "printenv", "X")
        finally:
            stack.openbao.unseal()
        out, err = waiting.communicate(timeout=40)
        assert (waiting.returncode, out) == (0, "v\n"), err

    def test_an_openbao_that_stops_answering_ends_in_time(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/slow", {"k": "v"})
        launcher.overrides.update(STRONGROOM_TIMEOUT="3", STRONGROOM_RETRIES="0")
        stack.openbao.pause()
        try:
            started = time.monotonic()
            result = launcher.run({"X": "bao:kv/shop/slow#k"}, "true")
            assert time.monotonic() - started < 25  # far below what a launch has by default
        finally:
            stack.openbao.resume()
        assert result.returncode in {exit_status.UNAVAILABLE, exit_status.UNREACHABLE}, result.stderr

    def test_a_bridge_that_is_killed_in_the_middle(self, tmp_path: Path) -> None:
        with DevStack(tmp_path) as own:
            own.openbao.admin.put_v2("kv", "shop/db", {"k": "v"})
            own.openbao.pause()
            try:
                launcher = Launcher(own, {"STRONGROOM_WAIT": "0", "STRONGROOM_RETRIES": "0"})
                process = launcher.start({"X": "bao:kv/shop/db#k"}, "true")
                _wait_for_connection(process.pid, own.bridge.address)
                own.bridge.process.kill()
                _, err = process.communicate(timeout=30)
            finally:
                own.openbao.resume()
            assert process.returncode == exit_status.UNREACHABLE, err

    def test_an_openbao_that_is_killed_in_the_middle(self, tmp_path: Path) -> None:
        with DevStack(tmp_path) as own:
            own.openbao.admin.put_v2("kv", "shop/db", {"k": "v"})
            own.openbao.pause()
            launcher = Launcher(own, {"STRONGROOM_RETRIES": "0"})
            process = launcher.start({"X": "bao:kv/shop/db#k"}, "true")
            _wait_for_connection(process.pid, own.bridge.address)
            own.openbao.kill()
            _, err = process.communicate(timeout=30)
            assert process.returncode == exit_status.UNAVAILABLE, err
            assert "OpenBao" in err

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal_while_the_bootstrap_waits_ends_it(
        self, launcher: Launcher, stack: DevStack, number: signal.Signals, status: int
    ) -> None:
        stack.openbao.pause()
        try:
            process = launcher.start({"X": "bao:kv/shop/seal#k"}, "true")
            _wait_for_connection(process.pid, stack.bridge.address)
            process.send_signal(number)
            process.communicate(timeout=60)
        finally:
            stack.openbao.resume()
        assert process.returncode == status


def _wait_for_connection(pid: int, address: str) -> None:
    """Wait until a process has an established connection to HOST:PORT of this machine's IPv4 loopback."""
    port = int(address.rpartition(":")[2])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        inodes = {
            fields[9]
            for fields in (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
            if fields[3] == "01" and int(fields[2].rpartition(":")[2], 16) == port
        }
        links = []
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                links.append(entry.readlink())
        if any(str(link).removeprefix("socket:[").removesuffix("]") in inodes for link in links):
            return
        time.sleep(0.01)
    pytest.fail("the wrapper did not connect")


def test_python_dash_m_wrapper_is_the_same_as_the_verb(launcher: Launcher, stack: DevStack) -> None:
    stack.openbao.admin.put_v2("kv", "shop/module", {"k": "v"})
    result = subprocess.run(
        [sys.executable, "-m", "wrapper", "--", "printenv", "X"],
        env=launcher.environ({"X": "bao:kv/shop/module#k"}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "v\n", result.stderr


class TestAnotherUser:
    """A program of an ordinary user that is not dumpable keeps what programs rely on, and keeps out its own user."""

    def test_its_own_standard_streams_can_be_opened_again(self, launcher: Launcher, stack: DevStack) -> None:
        stack.openbao.admin.put_v2("kv", "shop/user", {"k": "v"})
        # The pipe is made by the user itself; one of root's could not be opened by name in any case.
        inner = 'import os; open("/dev/stdout", "w").write(str(len(os.listdir("/proc/self/fd")) > 2))'
        result = launcher.run({"X": "bao:kv/shop/user#k"}, *_AS_NOBODY, "dash", "-c", f"python3 -c '{inner}' | cat")
        assert (result.returncode, result.stdout) == (0, "True"), result.stderr

    def test_another_process_of_the_same_user_reads_neither_environ_nor_memory(
        self, launcher: Launcher, stack: DevStack
    ) -> None:
        stack.openbao.admin.put_v2("kv", "shop/user", {"k": "v"})
        process = launcher.start({"X": "bao:kv/shop/user#k"}, *_AS_NOBODY, "sh", "-c", "echo ready; read _")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            for name in ("environ", "mem", "auxv"):
                attack = subprocess.run(
                    [*_AS_NOBODY, "head", "-c1", f"/proc/{process.pid}/{name}"],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert "Permission denied" in attack.stderr
        finally:
            process.communicate("\n", timeout=60)


_AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")

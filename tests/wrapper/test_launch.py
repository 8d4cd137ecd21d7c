"""Whole launches: ``python -m wrapper`` as a process, up to what the application finds."""

import datetime as dt
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from preload import library_path
from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import LOCALES, Launches
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from tests.wrapper.application import CANARY, SECRET, Serving, environment_of, lines
from tests.wrapper.elf_layout import with_table_at_end
from wrapper import exit_status


class TestWhatTheApplicationFinds:
    def test_its_secrets(self, launches: Launches, certificates: Certificates) -> None:
        values = {"SECRET": CANARY, "EMPTY": b"", "BYTES": bytes(range(1, 256)), "LONG": b"x" * 300_000}
        with FakeBridge(certificates.server(), bundle(values)) as bridge:
            variables = {name: f"bao:kv/db#{name}" for name in values} | {"PLAIN": "p"}
            done = launches.run(["env", "-0"], variables, bridge=bridge.url)

        assert done.returncode == 0, done.stderr
        found = environment_of(done.stdout)
        assert {name: found[name.encode()] for name in values} == values
        assert found[b"PLAIN"] == b"p"

    @pytest.mark.parametrize("policy", ["inherit", "deny"])
    @pytest.mark.parametrize("verb", ["run", "plan", "exec"])
    def test_nothing_by_a_launch_within_a_launch(
        self, launches: Launches, certificates: Certificates, policy: str, verb: str
    ) -> None:
        """The installed command is static, so it has the secrets, and what it starts would show them."""
        within = [str(Path(sys.executable).with_name("strongroom")), verb, "--", "cat", "/proc/self/environ"]
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(within, SECRET, bridge=bridge.url, options=["--children", policy])

        assert done.returncode == exit_status.CONFIG
        assert done.stdout == b""
        assert CANARY not in done.stderr

    @pytest.mark.parametrize("linking", [[], ["-static-pie"]], ids=["dynamic", "static"])
    def test_in_a_program_whose_header_table_lies_at_its_end(
        self, launches: Launches, certificates: Certificates, tmp_path: Path, linking: list[str]
    ) -> None:
        source, plain, program = tmp_path / "show.c", tmp_path / "plain", tmp_path / "show"
        source.write_text('#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv("SECRET")); }\n')
        subprocess.run(["gcc", "-O1", *linking, "-o", plain, source], check=True, timeout=60)
        program.write_bytes(with_table_at_end(plain.read_bytes()))
        program.chmod(0o755)
        assert subprocess.run([program], env={"SECRET": "x"}, capture_output=True, check=True).stdout == b"x\n"

        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run([str(program)], SECRET, bridge=bridge.url)

        assert (done.stdout, done.returncode) == (CANARY + b"\n", 0), done.stderr

    def test_the_secrets_of_a_whole_path(self, launches: Launches, certificates: Certificates) -> None:
        values = {"SECRET": CANARY, "HOME": b"not this one"}
        with FakeBridge(certificates.server(), bundle(values)) as bridge:
            variables = {"STRONGROOM_FROM_PATH": "bao:kv/env", "HOME": "/home"}
            done = launches.run(["env", "-0"], variables, bridge=bridge.url)

        found = environment_of(done.stdout)
        assert (found[b"SECRET"], found[b"HOME"]) == (CANARY, b"/home")

    def test_what_kubernetes_says_of_a_service_called_like_us(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        links = {
            "STRONGROOM_SERVICE_HOST": "10.96.3.7",
            "STRONGROOM_SERVICE_PORT": "8443",
            "STRONGROOM_PORT": "tcp://10.96.3.7:8443",
            "STRONGROOM_PORT_8443_TCP_ADDR": "10.96.3.7",
            "STRONGROOM_OPENBAO_SERVICE_PORT_HTTPS": "8200",
        }
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(["env", "-0"], {**SECRET, **links, "STRONGROOM_KMS_LISTEN": ":1"}, bridge=bridge.url)

        assert done.returncode == 0, done.stderr
        found = environment_of(done.stdout)
        assert found[b"SECRET"] == CANARY
        assert {name: found[name.encode()].decode() for name in links} == links
        assert b"STRONGROOM_KMS_LISTEN" not in found

    def test_no_variable_for_an_optional_secret_that_is_missing(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        with FakeBridge(certificates.server(), bundle({})) as bridge:
            done = launches.run(["env", "-0"], {"SECRET": "bao:kv/db#key?optional", "A": "a"}, bridge=bridge.url)

        assert done.returncode == 0, done.stderr
        assert b"SECRET" not in environment_of(done.stdout)

    def test_the_environment_that_was_given_and_nothing_of_ours(self, launches: Launches, serving: Serving) -> None:
        url, variables = serving
        given = {"A": "a", "EMPTY": "", "EQUALS": "x=y", "LONG": "l" * 100_000, "LF": "a\nb", "BYTES": "\udcff"}
        done = launches.run(["env", "-0"], {**variables, **given}, bridge=url)

        found = environment_of(done.stdout)
        expected = {b"PATH", b"SECRET", *(name.encode() for name in given)}
        if url:
            expected |= {b"LD_PRELOAD", b"STRONGROOM_REGION", b"STRONGROOM_PADDING"}
        assert found.keys() == expected
        assert {name: os.fsdecode(found[name.encode()]) for name in given} == given

    @pytest.mark.parametrize("more", [{}, {"PYTHONPATH": "/no/such"}], ids=["at once", "begun again"])
    @pytest.mark.parametrize("locale", LOCALES, ids=str)
    def test_a_locale_only_where_one_was_given(
        self, launches: Launches, locale: dict[str, str], more: dict[str, str]
    ) -> None:
        found = environment_of(launches.run(["env", "-0"], locale | more).stdout)
        found.pop(b"PATH")
        assert found == {name.encode(): value.encode() for name, value in (locale | more).items()}

    def test_no_library_and_no_region_when_there_is_nothing_to_fetch(self, launches: Launches) -> None:
        done = launches.run(["env", "-0"], {"A": "a", "LD_PRELOAD": ""})

        assert environment_of(done.stdout).keys() == {b"PATH", b"A", b"LD_PRELOAD"}
        assert done.stderr == b""

    def test_a_policy_for_children_only_where_one_is_set(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(["env", "-0"], {**SECRET, "STRONGROOM_CHILDREN": "deny"}, bridge=bridge.url)

        assert environment_of(done.stdout)[b"STRONGROOM_CHILDREN"] == b"deny"

    def test_the_libraries_that_were_preloaded_before_behind_ours(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        other = str(Path(library_path()).resolve())  # any library that loads
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(["env", "-0"], {**SECRET, "LD_PRELOAD": other}, bridge=bridge.url)

        assert environment_of(done.stdout)[b"LD_PRELOAD"] == f"{library_path()}:{other}".encode()

    def test_nothing_of_the_secret_in_the_block_that_the_kernel_shows(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            script = "printf %s\\\\n $SECRET; exec tr '\\0' '\\n' < /proc/$$/environ"
            done = launches.run(["sh", "-c", script], SECRET, bridge=bridge.url)

        assert lines(done.stdout)[0] == CANARY.decode()
        assert CANARY not in done.stdout.split(b"\n", 1)[1] + done.stderr
        assert b"bao:" not in done.stdout

    def test_its_arguments_its_input_and_its_directory(
        self, launches: Launches, serving: Serving, tmp_path: Path
    ) -> None:
        url, variables = serving
        arguments = ["", "a b", "--timeout", "--", "\udcff", "bao:kv/a#b", "$HOME"]
        script = 'pwd; cat; printf "%s|" "$0" "$@"'
        done = launches.run(
            ["sh", "-c", script, "zero", *arguments], variables, bridge=url, cwd=tmp_path, stdin=b"input\n"
        )

        shown = "|".join(["zero", *arguments, ""])
        assert done.stdout == f"{tmp_path}\ninput\n".encode() + os.fsencode(shown)

    def test_its_name_as_it_was_called(self, launches: Launches, serving: Serving) -> None:
        url, variables = serving
        done = launches.run(["cat", "/proc/self/cmdline"], variables, bridge=url)

        assert done.stdout == b"cat\0/proc/self/cmdline\0"

    def test_default_signals_no_core_files_and_no_new_privileges(self, launches: Launches, serving: Serving) -> None:
        url, variables = serving
        done = launches.run(["cat", "/proc/self/status", "/proc/self/limits"], variables, bridge=url)

        status = dict(line.split(":", 1) for line in lines(done.stdout) if ":" in line)
        assert {name: int(status[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt", "SigPnd")} == {
            "SigBlk": 0,
            "SigIgn": 0,
            "SigCgt": 0,
            "SigPnd": 0,
        }
        assert status["NoNewPrivs"].strip() == "1"
        limit = next(line for line in lines(done.stdout) if line.startswith("Max core file size"))
        assert limit.split()[4:6] == ["0", "0"]

    def test_a_pipe_that_breaks_ends_it_as_usual(self, launches: Launches, serving: Serving) -> None:
        # Python ignores SIGPIPE for itself; an application that inherited that would write on for ever.
        url, variables = serving
        command = shlex.join(launches.command(["yes"]))
        done = subprocess.run(
            ["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"],
            env=launches.environ(url, variables),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )

        assert done.stdout.split() == ["y", str(128 + signal.SIGPIPE)]

    def test_an_ignored_signal_is_still_ignored(self, launches: Launches, serving: Serving) -> None:
        url, variables = serving
        sandbox = [f"ignore={int(signal.SIGINT)}", f"ignore={int(signal.SIGHUP)}"]
        done = launches.run(["grep", "SigIgn", "/proc/self/status"], variables, bridge=url, sandbox=sandbox)

        ignored = int(done.stdout.split()[1], 16)
        assert ignored == 1 << (signal.SIGINT - 1) | 1 << (signal.SIGHUP - 1)

    def test_a_signal_that_is_held_back_still_is(self, launches: Launches, serving: Serving) -> None:
        url, variables = serving
        sandbox = [f"block={int(signal.SIGUSR1)}"]
        done = launches.run(["grep", "SigBlk", "/proc/self/status"], variables, bridge=url, sandbox=sandbox)

        assert int(done.stdout.split()[1], 16) == 1 << (signal.SIGUSR1 - 1)

    def test_no_descriptor_of_ours_but_the_region(self, launches: Launches, certificates: Certificates) -> None:
        # Without the library, which closes the region once it is mapped, to see what was handed over.
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            code = (
                "import sys, preload\n"
                "preload.library_path = lambda: '/usr/lib/x86_64-linux-gnu/libc.so.6'\n"
                "from wrapper.main import main; sys.exit(main(['--quiet', '1', '--', *sys.argv[1:]]))"
            )
            show = 'echo $STRONGROOM_REGION; for fd in /proc/$$/fd/*; do readlink "$fd"; done; ls /proc/$$/fd'
            done = subprocess.run(
                [sys.executable, "-c", code, "sh", "-c", show],
                env=launches.environ(bridge.url, SECRET),
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )

        assert done.returncode == 0, done.stderr
        rung, _, number = done.stdout.splitlines()[0].partition(":")
        assert rung == "memfd-secret"
        assert int(number) >= 100
        inherited = [line for line in done.stdout.splitlines()[1:] if line.isdigit() and int(line) > 2]
        assert number in inherited
        secret = [line for line in done.stdout.splitlines() if "secretmem" in line]
        assert len(secret) == 1
        assert not [line for line in done.stdout.splitlines() if "socket:" in line]
        assert len(inherited) == 1

    def test_descriptors_that_were_given_are_passed_on(self, launches: Launches, serving: Serving) -> None:
        url, variables = serving
        command = shlex.join(launches.command(["sh", "-c", "cat <&7"]))
        done = subprocess.run(
            ["bash", "-c", f"{command} 7<<<hello"],
            env=launches.environ(url, variables),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

        assert done.stdout == "hello\n", done.stderr


def test_the_wrapper_cannot_be_dumped_while_it_holds_secrets(launches: Launches, certificates: Certificates) -> None:
    # Seen from inside, right before exec, which makes a process dumpable again.
    code = (
        "import ctypes, os; from wrapper import exec\n"
        "exec.become = lambda *_: os._exit(50 + ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"  # PR_GET_DUMPABLE
        "from wrapper.main import main; main(['--', 'true'])"
    )
    with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
        done = subprocess.run(
            [sys.executable, "-c", code], env=launches.environ(bridge.url, SECRET), cwd=ROOT, check=False, timeout=30
        )

    assert done.returncode == 50


def test_the_request_is_made_with_our_identity(launches: Launches, certificates: Certificates) -> None:
    identities: list[object] = []

    def play(connection: ssl.SSLSocket) -> None:
        identities.append((connection.getpeercert() or {}).get("subjectAltName"))
        bundle({"SECRET": CANARY})(connection)

    with FakeBridge(certificates.server(), play) as bridge:
        assert launches.run(["true"], SECRET, bridge=bridge.url).returncode == 0

    assert identities == [(("URI", "spiffe://example.org/ns/shop/sa/api"),)]


class TestOwnCertificate:
    """A launch whose certificate ends soon says so, and goes on."""

    def launch(self, launches: Launches, certificates: Certificates, ends: dt.timedelta, quiet: str = "0") -> str:
        own = certificates.client(begins=-dt.timedelta(days=80), ends=ends)
        settings = {"STRONGROOM_CERT": str(own.cert), "STRONGROOM_KEY": str(own.key), "STRONGROOM_QUIET": quiet}
        with FakeBridge(certificates.server(), bundle({"SECRET": CANARY})) as bridge:
            done = launches.run(["true"], SECRET | settings, bridge=bridge.url)
        assert done.returncode == 0, done.stderr
        return done.stderr.decode()

    def test_ends_soon(self, launches: Launches, certificates: Certificates) -> None:
        said = self.launch(launches, certificates, dt.timedelta(days=2))
        assert re.search(
            r"strongroom: warning: our certificate /\S+ ends on 20\d\d-\d\d-\d\d \d\d:\d\d UTC; renew", said
        )

    def test_has_time(self, launches: Launches, certificates: Certificates) -> None:
        assert "certificate" not in self.launch(launches, certificates, dt.timedelta(days=12))

    def test_ends_soon_quietly(self, launches: Launches, certificates: Certificates) -> None:
        assert self.launch(launches, certificates, dt.timedelta(days=2), quiet="1") == ""

"""``strongroom doctor``: what it says about this machine, poorer ones, and installations that are wrong."""

import datetime as dt
import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from devstack.authority import Authority, IssuedFiles
from devstack.stack import IDENTITY, DevStack
from doctor.certificate import read_client_certificate
from doctor.main import HELP
from doctor.page import Page
from strongroom.errors import ConfigError
from tests.doctor.conftest import NOBODY, Doctor
from tests.support.launch.launcher import Launcher
from tests.support.launch.launches import SANDBOX
from tests.support.process.folders import open_to_all
from tests.support.tree import ROOT
from wrapper.exposure import yama_scope

AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
MACHINE = [
    "kernel",
    "memfd_secret",
    "room for secrets",
    "ptrace of own children",
    "Yama",
    "seccomp",
    "privileges",
    "swap",
    "core dumps",
    "PR_SET_MM_MAP",
    "user namespaces",
    "PID 1",
    "hibernation",
]


def poorer(*options: str) -> tuple[str, ...]:
    return (sys.executable, str(SANDBOX), *options, "--")


def finding(document: dict[str, Any], name: str) -> dict[str, str]:
    found: dict[str, str] = next(f for f in document["machine"] + document["installation"] if f["name"] == name)
    return found


def ways(document: dict[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    return {rung["kind"]: (rung["rung"], rung["memory"]) for rung in document["rungs"]}


class TestThisMachine:
    def test_everything_is_there(self, doctor: Doctor) -> None:
        document = doctor.document()
        assert document["ok"]
        assert document.keys() == {"ok", "require", "machine", "installation", "rungs"}
        assert [found["name"] for found in document["machine"]] == MACHINE
        assert [found["name"] for found in document["installation"]] == [
            "library",
            "delivery",
            "certificates",
            "bridge",
        ]
        for found in document["machine"] + document["installation"]:
            assert found.keys() == {"name", "status", "says", "hint"}
            without_yama = found["name"] == "Yama" and not yama_scope()
            assert found["status"] in ({"warning"} if without_yama else {"ok", "note"})
        assert ways(document) == {
            "dynamic, glibc": ("preload", "memfd-secret"),
            "dynamic, musl": ("preload", "memfd-secret"),
            "static": ("ptrace", "memfd-secret"),
            "static, as a child": ("ptrace", "memfd-secret"),
            "capabilities": ("ptrace", "memfd-secret"),
            "script": ("preload", "memfd-secret"),
            "setuid": ("preload", "memfd-secret"),
        }
        assert IDENTITY in finding(document, "certificates")["says"]
        assert IDENTITY in finding(document, "bridge")["says"]

    @pytest.mark.parametrize("setting", ["dumpable", "new-privileges", "shared-key"])
    def test_a_protection_that_is_given_up_is_a_warning(self, doctor: Doctor, setting: str) -> None:
        document = doctor.document(f"--{setting}")
        assert document["ok"]
        found = finding(document, f"--{setting}")
        assert (found["status"], found["hint"]) == ("warning", f"leave out --{setting} where nothing needs it")
        assert (ways(document)["setuid"] == (None, None)) == (setting == "new-privileges")

    def test_a_machine_without_yama_is_a_problem_where_launches_insist_on_it(self, doctor: Doctor) -> None:
        document = doctor.document("--require-yama")
        assert document["ok"] == bool(yama_scope())
        assert finding(document, "Yama")["status"] == ("ok" if yama_scope() else "problem")

    @pytest.mark.parametrize(("machine", "status"), [((), "ok"), (poorer("refuse=38"), "warning")])
    def test_yama_alone_keeps_others_from_secret_memory_only(
        self, doctor: Doctor, tmp_path: Path, machine: tuple[str, ...], status: str
    ) -> None:
        (tmp_path / "yama").mkdir()
        (tmp_path / "yama" / "ptrace_scope").write_text("1\n")
        mount = f'mount --bind {tmp_path} /proc/sys/kernel && exec "$@"'
        document = doctor.document("--require=locked", prefix=("unshare", "--mount", "sh", "-c", mount, "sh", *machine))
        assert document["ok"]
        assert finding(document, "Yama")["status"] == status

    def test_without_a_bridge_the_machine_alone_is_judged(self) -> None:
        result = _bare_doctor()
        assert result["ok"]
        assert "STRONGROOM_BRIDGE is not set" in finding(result, "bridge")["says"]

    def test_an_ordinary_user_is_told_its_own_limits(self) -> None:
        document = _bare_doctor(*AS_NOBODY, python=_python_of_everybody())
        assert document["ok"]
        assert f"uid {NOBODY}, no capabilities" in finding(document, "privileges")["says"]
        assert finding(document, "delivery")["status"] == "ok"

    def test_it_is_closed_to_others_of_its_user_and_to_core_dumps_while_it_has_the_private_key(
        self, doctor: Doctor, tmp_path: Path
    ) -> None:
        files = [tmp_path / name for name in ("ca", "cert", "key")]
        open_to_all(tmp_path)
        for file, name in zip(files, ("STRONGROOM_CA", "STRONGROOM_CERT", "STRONGROOM_KEY"), strict=True):
            shutil.copy(doctor.launcher.environ({})[name], file)
            os.chown(file, NOBODY, NOBODY)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(60)
            options = [f"--{file.name}={file}" for file in files]
            with subprocess.Popen(
                [*AS_NOBODY, _python_of_everybody(), "-m", "cli", "doctor", *options],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "STRONGROOM_BRIDGE": f"https://127.0.0.1:{silent.getsockname()[1]}",
                },
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
            ) as process:
                try:
                    with silent.accept()[0]:  # the handshake that it begins takes the key
                        other = subprocess.run(
                            [*AS_NOBODY, "cat", f"/proc/{process.pid}/environ"], capture_output=True, check=False
                        )
                        limits = Path(f"/proc/{process.pid}/limits").read_text()
                finally:
                    process.kill()
        assert other.returncode != 0
        assert b"Permission denied" in other.stderr
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)

    def test_for_people(self, doctor: Doctor) -> None:
        result = doctor.run()
        assert result.returncode == 0
        assert "\033" not in result.stdout, "no colour in a pipe"
        assert "✓ memfd_secret " in result.stdout
        assert result.stdout.endswith("everything that strongroom run needs is here\n")


class TestPoorerMachines:
    @pytest.mark.parametrize(("number", "says"), [(errno.ENOSYS, "gVisor"), (errno.EPERM, "seccomp profile")])
    def test_memfd_secret_refused(self, doctor: Doctor, number: int, says: str) -> None:
        document = doctor.document(prefix=poorer(f"refuse={number}"))
        assert not document["ok"]
        found = finding(document, "memfd_secret")
        assert found["status"] == "problem"
        assert errno.errorcode[number] in found["says"]
        assert says in found["says"]
        assert "--require" in found["hint"]
        assert set(ways(document).values()) == {(None, None)}
        assert finding(document, "seccomp")["says"].startswith("filtered")

    def test_memfd_secret_refused_and_less_allowed(self, doctor: Doctor) -> None:
        document = doctor.document("--require", "locked", prefix=poorer(f"refuse={errno.ENOSYS}"))
        assert document["ok"]
        assert finding(document, "memfd_secret")["status"] == "note"
        assert "locked memory" in finding(document, "room for secrets")["says"]
        assert ways(document)["dynamic, glibc"] == ("preload", "locked")
        assert ways(document)["static"] == ("ptrace", "locked")

    def test_little_lockable_memory(self, doctor: Doctor) -> None:
        document = doctor.document(prefix=poorer("memlock=16384"))
        found = finding(document, "room for secrets")
        assert "a region of 8 KiB of memfd-secret memory fits; RLIMIT_MEMLOCK is 16 KiB" in found["says"]
        assert found["status"] == "note"
        assert "memlock" in found["hint"]

    def test_no_lockable_memory(self, doctor: Doctor) -> None:
        document = doctor.document(prefix=poorer("memlock=0"))
        assert not document["ok"]
        assert finding(document, "room for secrets")["says"].startswith("not one page")
        assert finding(document, "memfd_secret")["says"].startswith("EAGAIN")


class TestInstallation:
    def test_a_bridge_that_is_down(self, launcher: Launcher) -> None:
        launcher.overrides["STRONGROOM_BRIDGE"] = "https://127.0.0.1:9"
        document = Doctor(launcher).document()
        assert not document["ok"]
        assert finding(document, "bridge")["status"] == "problem"
        assert finding(document, "certificates")["status"] == "ok"

    def test_a_certificate_that_has_ended(self, launcher: Launcher, stack: DevStack) -> None:
        now = dt.datetime.now(dt.UTC)
        issued = stack.authority.issue_client(
            "ended",
            identities=(IDENTITY,),
            not_before=now - dt.timedelta(days=2),
            not_after=now - dt.timedelta(days=1),
        )
        document = Doctor(_with(launcher, issued)).document()
        found = finding(document, "certificates")
        assert found["status"] == "problem"
        assert "ended at" in found["says"]

    def test_a_key_of_another_certificate(self, launcher: Launcher, stack: DevStack) -> None:
        other = stack.authority.issue_client("other", identities=(IDENTITY,))
        launcher.overrides["STRONGROOM_KEY"] = str(other.key)
        found = finding(Doctor(launcher).document(), "certificates")
        assert "is not the key of the certificate" in found["says"]

    def test_a_certificate_without_an_identity(self, launcher: Launcher, stack: DevStack) -> None:
        nobody = stack.authority.issue_client("nobody", identities=())
        found = finding(Doctor(_with(launcher, nobody)).document(), "certificates")
        assert "0 URI names" in found["says"]

    @pytest.mark.parametrize("bits", [2048, 4096])
    def test_a_key_that_signs_slowly_is_named(self, launcher: Launcher, stack: DevStack, bits: int) -> None:
        key = rsa.generate_private_key(65_537, bits)
        issued = stack.authority.issue_client(f"rsa{bits}", identities=(IDENTITY,), key=key)
        document = Doctor(_with(launcher, issued)).document()
        found = finding(document, "client key")
        assert found["status"] == "note"
        assert f"{issued.cert}: has an RSA key" in found["says"]
        assert "ECDSA" in found["hint"]
        assert document["ok"]

    def test_an_rsa_authority_does_not_make_it_a_slow_key(self, tmp_path: Path) -> None:
        """Its signature on the certificate is not what a launch makes."""
        authority = Authority(tmp_path)
        authority._key = rsa.generate_private_key(65_537, 2048)
        issued = authority.issue_client("app", identities=(IDENTITY,))
        assert not read_client_certificate(str(issued.cert), str(issued.key)).has_rsa_key

    def test_a_file_of_many_authorities_is_named(self, launcher: Launcher, stack: DevStack, tmp_path: Path) -> None:
        others = [Authority(tmp_path / str(number)).ca_file.read_bytes() for number in range(10)]
        everybody = tmp_path / "bundle.crt"
        everybody.write_bytes(stack.authority.ca_file.read_bytes() + b"".join(others[:9]))
        launcher.overrides["STRONGROOM_CA"] = str(everybody)
        assert "authorities" not in {found["name"] for found in Doctor(launcher).document()["installation"]}
        everybody.write_bytes(stack.authority.ca_file.read_bytes() + b"".join(others))
        document = Doctor(launcher).document()
        found = finding(document, "authorities")
        assert found["status"] == "note"
        assert f"{everybody}: holds 11 of them" in found["says"]
        assert "--ca" in found["hint"]
        assert document["ok"]

    def test_a_certificate_that_is_not_for_clients(self, stack: DevStack) -> None:
        server = stack.authority.issue_server("not-for-clients")
        with pytest.raises(ConfigError, match="cannot be used by a client"):
            read_client_certificate(str(server.cert), str(server.key))

    @pytest.mark.parametrize("words", [("-o", "yaml"), ("--unknown",), ("sleep", "1"), ("--require", "much")])
    def test_words_that_are_not_understood(self, doctor: Doctor, words: tuple[str, ...]) -> None:
        result = doctor.run(*words)
        assert result.returncode == 111
        assert result.stderr.startswith("strongroom: error: ")


class TestPage:
    def test_colour_and_marks(self) -> None:
        assert Page(colour=True).mark("ok") == "\033[32m✓\033[0m"
        assert Page(unicode=False).mark("problem") == "X"

    def test_the_last_column_is_broken_to_the_width(self) -> None:
        lines = Page(width=40).table([("ok", ("name", "one two three four five six seven eight"))])
        assert lines == ["✓ name  one two three four five six", "        seven eight"]


def _with(launcher: Launcher, issued: IssuedFiles) -> Launcher:
    launcher.overrides |= {"STRONGROOM_CERT": str(issued.cert), "STRONGROOM_KEY": str(issued.key)}
    return launcher


def _python_of_everybody() -> str:
    """Return an interpreter that other users can reach; the one of these tests may lie in root's home."""
    reachable = all(part.stat().st_mode & 0o001 for part in Path(sys.executable).resolve().parents)
    return sys.executable if reachable else "/usr/bin/python3"


def _bare_doctor(*prefix: str, python: str = sys.executable) -> dict[str, Any]:
    result = subprocess.run(
        [*prefix, python, "-m", "cli", "doctor", "-o", "json"],
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    document: dict[str, Any] = json.loads(result.stdout)
    assert (result.returncode == 0) == document["ok"], result.stderr
    return document


def test_help_is_the_same_in_the_docs() -> None:
    assert HELP in (ROOT / "docs/doctor.md").read_text()


def test_it_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys, doctor.main, doctor.check, doctor.attack.verb\n"
        "print(sorted({'cryptography', 'aiohttp', 'hvac'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"

"""What a launch imports. Each of these modules costs milliseconds that every pod would pay at every start."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import Launches
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT

TOO_SLOW = {
    "argparse",
    "ast",
    "asyncio",
    "base64",
    "concurrent",
    "copyreg",
    "cryptography",
    "ctypes",
    "dataclasses",
    "datetime",
    "difflib",
    "email",
    "encodings.idna",
    "enum",
    "functools",
    "gettext",
    "hashlib",
    "http",
    "importlib",
    "inspect",
    "ipaddress",
    "json",
    "logging",
    "multiprocessing",
    "pathlib",
    "pickle",
    "platform",
    "random",
    "re",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "ssl",
    "struct",
    "subprocess",
    "tempfile",
    "threading",
    "tomllib",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "urllib",
    "uuid",
    "warnings",
    "bridge",
    "strongroom.service.logs",
    "strongroom.service.settings",
    "strongroom.service.tls_reload",
    "strongroom.linux.probing",
    "strongroom.linux.process",
    "strongroom.linux.ptrace",
    "strongroom.launch.problem",
    "wrapper.static.tracer",
    "wrapper.static.start",
    "wrapper.verbs.plan",
    "wrapper.static.stack",
    "wrapper.static.processor",
    "wrapper.static.tracee",
    "wrapper.usage",
}
# Only launches that ask for one of these, or that go wrong, import it.
FOR_SOME = {
    "strongroom.launch.near_miss",
    "strongroom.launch.whole_path",
    "wrapper.env_file",
    "wrapper.exit_status",
    "wrapper.exposure",
    "wrapper.files.value",
    "wrapper.files.launch_files",
    "wrapper.files.kept",
    "wrapper.fetch.refusals",
}


def imported(entry: list[str], environ: dict[str, str]) -> set[str]:
    """Return the modules that a launch of ``true`` imports until it execs, but for those of ``python -m`` itself."""
    modules = imported_by([*entry, "/bin/true"], environ)
    return modules - imported_by(["-c", "import runpy"], {}) if "-m" in entry else modules


def imported_by(words: list[str], environ: dict[str, str]) -> set[str]:
    command = [sys.executable, "-S", "-X", "importtime", *words]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line]
    return {row[2].strip() for row in rows}


def slow_ones(modules: set[str]) -> set[str]:
    return {name for name in modules if name in TOO_SLOW or name.partition(".")[0] in TOO_SLOW}


INSTALLED = str(Path(sys.executable).with_name("strongroom-start"))
ENTRIES = [[INSTALLED, "run", "--"], ["-m", "wrapper", "--"], ["-m", "cli", "run", "--"]]
IDS = ["installed", "wrapper", "strongroom run"]


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_a_launch_with_secrets_imports_nothing_slow(
    launches: Launches, certificates: Certificates, entry: list[str]
) -> None:
    with FakeBridge(certificates.server(), bundle({"SECRET": b"x"})) as bridge:
        modules = imported(entry, launches.environ(bridge.url, {"SECRET": "bao:kv/db#key"}))

    assert {
        "_ssl",
        "wrapper.fetch.bridge",
        "wrapper.memory",
        "strongroom.launch.region",
    } <= modules  # it was a whole launch
    assert slow_ones(modules) | (modules & FOR_SOME) == set()


def test_an_installed_launch_imports_ours_by_fewer_steps(launches: Launches, certificates: Certificates) -> None:
    with FakeBridge(certificates.server(), bundle({"SECRET": b"x"})) as bridge:
        environ = launches.environ(bridge.url, {"SECRET": "bao:kv/db#key"})
        imported([INSTALLED, "run", "--"], environ)  # has the bytecode written
        command = [sys.executable, "-ISv", INSTALLED, "run", "--", "/bin/true"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=30)

    loaders = re.findall(
        r"^import '((?:cli|preload|strongroom|wrapper)[\w.]*)' # <(\S+) object", done.stderr, re.MULTILINE
    )
    others = {name for name, loader in loaders if loader != "strongroom.quick_import.QuickImport"}
    assert others == {"strongroom", "strongroom.isolation", "strongroom.quick_import"}
    assert "wrapper.fetch.native_tls" in dict(loaders)


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_a_launch_without_secrets_imports_neither_tls_nor_sockets(launches: Launches, entry: list[str]) -> None:
    modules = imported(entry, launches.environ("", {"PLAIN": "x"}))

    assert "wrapper.plan" in modules
    not_needed = {"preload", "_ssl", "_socket", "strongroom.launch.region", "wrapper.fetch.bridge", "wrapper.memory"}
    assert slow_ones(modules) | (modules & (FOR_SOME | not_needed)) == set()

"""What a launch imports. Each of these modules costs milliseconds that every pod would pay at every start."""

import subprocess
import sys

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
    "cryptography",
    "dataclasses",
    "datetime",
    "difflib",
    "email",
    "encodings.idna",
    "gettext",
    "hashlib",
    "http",
    "inspect",
    "ipaddress",
    "json.tool",
    "logging",
    "multiprocessing",
    "pathlib",
    "pickle",
    "platform",
    "random",
    "select",
    "selectors",
    "shutil",
    "subprocess",
    "tempfile",
    "threading",
    "tomllib",
    "traceback",
    "typing",
    "unicodedata",
    "urllib",
    "uuid",
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
# Imported by the ssl module itself, which there is no way around (CPython 3.11).
BY_SSL = {"base64", "selectors", "select"}


def imported(entry: list[str], environ: dict[str, str]) -> set[str]:
    """Return the modules that a launch of ``true`` imports until it execs."""
    command = [sys.executable, "-S", "-X", "importtime", *entry, "/bin/true"]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line]
    return {row[2].strip() for row in rows}


def slow_ones(modules: set[str]) -> set[str]:
    return {name for name in modules if name in TOO_SLOW or name.partition(".")[0] in TOO_SLOW}


ENTRIES = [["-m", "wrapper", "--"], ["-m", "cli", "run", "--"]]


@pytest.mark.parametrize("entry", ENTRIES, ids=["wrapper", "strongroom run"])
def test_a_launch_with_secrets_imports_nothing_slow(
    launches: Launches, certificates: Certificates, entry: list[str]
) -> None:
    with FakeBridge(certificates.server(), bundle({"SECRET": b"x"})) as bridge:
        modules = imported(entry, launches.environ(bridge.url, {"SECRET": "bao:kv/db#key"}))

    assert {
        "ssl",
        "wrapper.fetch.bridge",
        "wrapper.memory",
        "strongroom.launch.region",
    } <= modules  # it was a whole launch
    assert (slow_ones(modules) - BY_SSL) | (modules & FOR_SOME) == set()


@pytest.mark.parametrize("entry", ENTRIES, ids=["wrapper", "strongroom run"])
def test_a_launch_without_secrets_imports_neither_tls_nor_sockets(launches: Launches, entry: list[str]) -> None:
    modules = imported(entry, launches.environ("", {"PLAIN": "x"}))

    assert "wrapper.plan" in modules
    not_needed = {"preload", "ssl", "socket", "strongroom.launch.region", "wrapper.fetch.bridge", "wrapper.memory"}
    assert slow_ones(modules) | (modules & (FOR_SOME | not_needed)) == set()

"""Programs to attack, started for real, and the tool as its users call it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devstack.stack import DevStack
from tests.support.launch.launcher import Launcher
from tests.support.process.folders import open_to_all
from tests.support.process.privileges import is_root
from tests.support.tree import ROOT

CANARY = "doctor-canary-77c1f0a49e"
NOBODY = 65_534

# Looks at its secret in place, makes no copy, and answers each line with a line, so that a test can tell it lives.
IN_PLACE = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile int alarms;
static void on_signal(int number) { (void)number; alarms++; }

int main(void)
{
    const char *secret = getenv("SECRET");
    char line[64];
    signal(SIGUSR1, on_signal);
    printf("%c\\n", secret && secret[0] ? secret[0] : '?');
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%d %s", alarms, line);
        fflush(stdout);
    }
    return 0;
}
"""


@dataclass
class Doctor:
    """Calls ``strongroom doctor``."""

    launcher: Launcher

    def run(
        self, *words: str, references: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [*prefix, sys.executable, "-m", "cli", "doctor", *words],
            env=self.launcher.environ(references or {}) | {"PYTHONDONTWRITEBYTECODE": "1"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert CANARY not in result.stdout + result.stderr
        return result

    def document(
        self, *words: str, references: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return what it says as JSON."""
        result = self.run("-o", "json", *words, references=references, prefix=prefix)
        assert result.stdout, result.stderr
        document: dict[str, Any] = json.loads(result.stdout)
        assert (result.returncode == 0) == document["ok"]
        return document


def outcomes(document: dict[str, Any], attacker: str) -> dict[str, str]:
    """Return the result of each attack by one attacker; what is known is marked."""
    return {
        row["attack"]: row["result"] + ("!" if row["known"] else "")
        for row in document["attacks"]
        if row["attacker"] == attacker
    }


@pytest.fixture(scope="session")
def in_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert is_root(), "half of these attacks are root's; run the tests as root"
    directory = tmp_path_factory.mktemp("programs")
    open_to_all(directory)
    source = directory / "in_place.c"
    source.write_text(IN_PLACE)
    for name, flags in (("in_place", []), ("static", ["-static"])):
        subprocess.run(["gcc", *flags, "-o", str(directory / name), str(source)], check=True)
    return directory / "in_place"


@pytest.fixture
def doctor(launcher: Launcher, stack: DevStack) -> Doctor:
    stack.openbao.admin.put_v2("kv", "shop/doctor", {"k": CANARY})
    return Doctor(launcher)

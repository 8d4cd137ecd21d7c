"""Launches commands through the real wrapper, against a real stack."""

import os
import subprocess
import sys
from dataclasses import dataclass, field

from devstack.stack import DevStack
from tests.support.tree import ROOT


@dataclass
class Launcher:
    """Starts commands through the wrapper with a clean environment and the stack's certificates."""

    stack: DevStack
    overrides: dict[str, str] = field(default_factory=dict)

    def environ(self, references: dict[str, str]) -> dict[str, str]:
        base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**base, **self.stack.exports(), **self.overrides, **references}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "cli", "run", "--", *words]

    def run(self, references: dict[str, str], *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environ(references),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, references: dict[str, str], *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            env=self.environ(references),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

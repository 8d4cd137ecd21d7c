"""The five programs of the demo: ordinary ones, that know nothing of Strongroom. Builds the two that need building."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import ConfigError

_SOURCES = Path(__file__).with_name("programs")


@dataclass(frozen=True)
class Sample:
    """One program.

    Attributes:
        language: what it is written in.
        reads_by: how it gets at its environment.
        command: how to start it.
    """

    language: str
    reads_by: str
    command: list[str]


def build_samples(directory: Path) -> list[Sample]:
    """Build the programs into a directory and return them.

    Raises:
        ConfigError: a compiler or an interpreter is missing, or fails.
    """
    tools = {name: _tool(name, package) for name, package in _TOOLS}
    c_program = directory / "app"
    _build([tools["gcc"], "-O2", "-o", str(c_program), str(_SOURCES / "app.c")])
    _build([tools["javac"], "-d", str(directory), str(_SOURCES / "App.java")])
    # The options keep the JVM's own start short; the program does not know of them.
    java = [tools["java"], "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", str(directory), "App"]
    return [
        Sample("Python", "os.environ", [sys.executable, "-S", str(_SOURCES / "app.py")]),
        Sample("Node", "process.env", [tools["node"], str(_SOURCES / "app.js")]),
        Sample("Java", "System.getenv", java),
        Sample("C", "getenv", [str(c_program)]),
        Sample("shell", "$NAME", [str(_SOURCES / "app.sh")]),
    ]


_TOOLS = (("gcc", "gcc"), ("javac", "default-jdk-headless"), ("java", "default-jdk-headless"), ("node", "nodejs"))


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        msg = f"{name}: not found on PATH; the demo starts programs in five languages"
        raise ConfigError(msg, hint=f"apt-get install {package}")
    return found


def _build(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        msg = f"{command[0]} ended with status {result.returncode}: {result.stderr.strip()[:500]}"
        raise ConfigError(msg, hint="install the compiler that it asks for; scripts/need lists the packages")

"""Static programs of every make, each built once, and one of them under observation."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.launch.launches import Launches
from tests.support.tree import ROOT

NATIVE = ROOT / "tests" / "native" / "static"
TIMEOUT_S = 30.0
C_FLAGS = ["-O1", "-Wall", "-Wextra", "-Werror", str(NATIVE / "report.c"), "-o"]
COMMANDS = {
    "glibc": ["gcc", "-static", *C_FLAGS],
    "static-pie": ["gcc", "-static-pie", *C_FLAGS],
    "musl": ["musl-gcc", "-static", *C_FLAGS],
    "go": ["go", "build", "-o"],
}


class StaticPrograms:
    """Builds what reports its environment: ``report`` of tests/native/static."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, kind: str) -> str:
        """Return the path of the program."""
        program = self._folder / kind
        if not program.exists():
            command = [*COMMANDS[kind], str(program)]
            if kind == "go":
                command.append(str(NATIVE / "report.go"))
            environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath", "GO111MODULE": "off"}
            subprocess.run(command, check=True, env=environ, timeout=120)
        return str(program)

    def build_on_term(self) -> str:
        """Return the path of the program that exits with 143 on SIGTERM, from its first microseconds on."""
        program = self._folder / "on_term"
        if not program.exists():
            source = NATIVE / "on_term.c"
            subprocess.run(
                ["gcc", "-static", "-nostdlib", "-O1", "-Wall", "-Werror", source, "-o", program], check=True
            )
        return str(program)


def busybox() -> str:
    """Return the path of the static busybox."""
    path = shutil.which("busybox")
    assert path, "install busybox-static"
    return path


class Running:
    """A program that has said what it found and waits for the end of its input."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self.said: dict[str, list[str]] = {}
        assert process.stdout is not None
        for line in process.stdout:
            kind, _, value = line.decode().rstrip("\n").partition("\t")
            if kind == "end":
                return
            self.said.setdefault(kind, []).append(value.strip())
        message = f"ended early with {process.wait()}: {process.stderr.read().decode() if process.stderr else ''}"
        raise AssertionError(message)

    def proc(self, name: str) -> bytes:
        """Return a file of /proc/PID."""
        return Path(f"/proc/{self.pid}/{name}").read_bytes()


@contextlib.contextmanager
def running(  # noqa: PLR0913 - each is one property of a launch
    launches: Launches,
    command: Sequence[str],
    variables: Mapping[str, str],
    *,
    bridge: str,
    options: Sequence[str] = (),
    sandbox: Sequence[str] = (),
    prefix: Sequence[str] = (),
) -> Iterator[Running]:
    """Launch a program that reports; at the end its input ends."""
    process = subprocess.Popen(
        [*prefix, *launches.command(command, options=options, sandbox=sandbox)],
        env=launches.environ(bridge, variables),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        process.communicate(timeout=TIMEOUT_S)

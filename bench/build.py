"""Compiling the small C programs that some suites need."""

import shutil
import subprocess
from pathlib import Path

from bench.failed import FailedError
from bench.suite import ROOT
from strongroom.errors import ConfigError

SOURCES = ROOT / "bench" / "src"


def compile_program(name: str, directory: Path, *, compiler: str = "gcc", flags: tuple[str, ...] = ()) -> Path:
    """Compile ``bench/src/NAME.c`` and return the program.

    Args:
        name: of the source, without its ending.
        directory: for the program, which is called ``NAME-COMPILER``.
        compiler: that makes it.
        flags: further ones.

    Raises:
        ConfigError: there is no such compiler.
        FailedError: it does not compile.
    """
    if shutil.which(compiler) is None:
        raise ConfigError(f"{compiler}: not on PATH", hint="make bench installs what the benchmarks need")
    program = directory / f"{name}-{compiler}"
    command = [compiler, "-O2", "-g", "-Wall", "-Wextra", *flags, "-o", str(program), str(SOURCES / f"{name}.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"{name}.c: does not compile: {(done.stderr.splitlines() or ['no reason given'])[0]}")
    return program

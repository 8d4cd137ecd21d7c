"""Which interpreter a bundle gets: this one, or the distribution's of the same version where that starts faster.

Debian and what is made of it build theirs with profile-guided optimization, and have libpython in the program. What its
configuration says is that of another build of theirs, so it is gone by the program; and nothing is measured, so that
each bundle of a machine has the same. Only the same minor version counts: who has chosen 3.13 gets no other language.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundle.libraries import needed_by
from bundle.manifest import PYTHON
from strongroom.errors import ConfigError

_TIMEOUT_S: Final = 600  # to compile all of the library, perhaps on a machine that is emulated
_OLDEST: Final = (3, 11)
_OTHERS_WRITE: Final = 0o022

_FACTS: Final = """
import os, sys, ssl, ctypes, mmap, resource, sysconfig
print(sys.implementation.name, *sys.version_info[:2], sys.version.split()[0], sys.platlibdir)
print("--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""))
print(os.path.realpath("/proc/self/exe"))
"""


@dataclass(frozen=True)
class Interpreter:
    """A complete CPython.

    Attributes:
        command: what starts it.
        program: the file that this leads to.
        version: as it says it.
        modules: where its library is to be in a bundle.
        is_optimized: whether it says that it was built with profile-guided optimization.
    """

    command: str
    program: Path
    version: str = ""
    modules: str = ""
    is_optimized: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is one program, without a libpython beside it."""
        return not any("libpython" in name for name in needed_by(self.program))

    def run(self, script: str, *arguments: str, text: str = "") -> str:
        """Run a script as no settings have changed it, and return what it prints.

        Raises:
            ConfigError: it fails.
        """
        try:
            return _run(self.command, script, *arguments, text=text)
        except subprocess.TimeoutExpired:
            msg = f"{self.command}: did not end within {_TIMEOUT_S} s"
            raise ConfigError(msg, hint="bundle on a machine that is less busy, or name another interpreter") from None
        except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
            last = str(getattr(error, "stderr", "") or error).strip().rpartition("\n")[2]
            msg = f"{self.command}: cannot be bundled: {last}"
            raise ConfigError(msg, hint="it must be a complete CPython with ssl and ctypes") from None


def choose() -> Interpreter:
    """Return the interpreter for a bundle.

    Raises:
        ConfigError: the one that was asked for, or this one if there is no other, cannot be bundled.
    """
    if named := os.environ.get(PYTHON):
        return _look(os.path.abspath(named))  # noqa: PTH100 - a link may be what makes it a virtual environment
    own = _look(sys.executable)
    if own.is_optimized and own.is_whole:
        return own
    path = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    if not _is_trusted(path):
        return own
    try:
        other = _look(str(path))
    except ConfigError:  # parts of it are in packages that are not installed
        return own
    return other if other.is_whole else own


def _is_trusted(path: Path) -> bool:
    """Return whether a file is the system's, and nobody else can have changed it."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid == 0 and not status.st_mode & _OTHERS_WRITE


def _look(command: str) -> Interpreter:
    """Ask an interpreter what it is; what starts it may be a link or a script.

    Raises:
        ConfigError: it is none that can be bundled.
    """
    output = Interpreter(command, Path(command)).run(_FACTS)
    try:
        facts, optimized, program, _ = output.split("\n")
        name, major, minor, version, libraries = facts.split()
    except ValueError:
        msg = f"{command}: cannot be bundled: it is no Python"
        raise ConfigError(msg, hint=f"have {PYTHON} name a complete CPython, or leave it out") from None
    if name != "cpython" or (int(major), int(minor)) < _OLDEST:
        msg = f"{command}: cannot be bundled: it is {name} {version}"
        raise ConfigError(msg, hint="it must be CPython {}.{} or later".format(*_OLDEST))
    modules = f"{libraries}/python{major}.{minor}"
    return Interpreter(command, Path(program), version, modules, is_optimized=optimized == "True")


def _run(command: str, script: str, *arguments: str, text: str) -> str:
    return subprocess.run(
        # Not -I, which would ignore the hash seed: the order of sets must not show.
        [command, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", script, *arguments],
        input=text,
        env={"PYTHONHASHSEED": "0", "PATH": os.defpath},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        timeout=_TIMEOUT_S,
    ).stdout

"""``strongroom bundle TARGET``: its arguments, and what is the same in an installation and in a bundle.

A bundle can copy itself, for images in which there is no ``cp``: there nothing of what makes one is at hand.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle.manifest import LAUNCHER, PYTHON, File
from bundle.write import write
from strongroom.errors import ConfigError, StrongroomError
from wrapper.exit_status import report

FORCE = "STRONGROOM_BUNDLE_FORCE"

HELP = f"""\
usage: strongroom bundle [--force] DIR

Make a directory that holds the wrapper with an interpreter and libraries of its own. It may be copied into any image of
this kind of machine, whatever is or is not in that image, and is used by its path:

  DIR/strongroom run -- COMMAND [ARG...]

The `strongroom` of a bundle has this verb too, and copies itself: for an init container whose image is the bundle.
Prints the size, the largest parts, and the interpreter that was taken: the one that runs this, or, if that is no
optimized build or needs a shared libpython, /usr/bin/python3.X of the same version. {PYTHON}=FILE names
another. DIR/manifest.json has the SHA-256 of every file.

Options:
  --force  replace the bundle that DIR holds
           {FORCE}
"""

_LARGEST = 8

_TIMEOUT_S = 60

# Each would stop the bundle's own interpreter, or change what it prints, if it reached it.
_HOSTILE = {
    "LC_ALL": "tr_TR.ISO-8859-9",
    "LD_LIBRARY_PATH": "/nonexistent",
    "LD_TRACE_LOADED_OBJECTS": "1",
    "OPENSSL_CONF": "/nonexistent/openssl.cnf",
    "PYTHONHOME": "/nonexistent",
}


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        directory: where the bundle is to stand.
        force: whether it may replace another.
    """

    directory: str
    force: bool


def main(arguments: list[str], files_of: Callable[[], Mapping[str, File]]) -> int:
    """Write a bundle.

    Args:
        arguments: what follows ``strongroom bundle``.
        files_of: returns the files of the bundle.
    """
    try:
        options = parse(arguments)
        if options is None:
            return 0
        files = files_of()
        write(files, Path(options.directory), force=options.force, check=check_bundle)
    except StrongroomError as error:
        return report(error)
    sys.stdout.write(describe_size(options.directory, files))
    return 0


def parse(arguments: list[str]) -> Options | None:
    """Read the arguments; None when they only asked for help, which has been printed.

    Raises:
        ConfigError: they are wrong.
    """
    force = os.environ.get(FORCE, "0")
    if force not in {"0", "1"}:
        raise ConfigError(f"{FORCE}={force}: must be 0 or 1", hint="1 replaces the bundle that DIR holds")
    directories = []
    for word in arguments:
        if word in {"--help", "-h"}:
            sys.stdout.write(HELP)
            return None
        if word == "--force":
            force = "1"
        elif word.startswith("-"):
            raise ConfigError(f"{word}: unknown option", hint="a directory that begins with - is named ./-")
        else:
            directories.append(word)
    if len(directories) != 1 or not directories[0]:
        raise ConfigError("name one directory", hint="usage: strongroom bundle [--force] DIR")
    return Options(directories[0], force == "1")


def check_bundle(directory: Path) -> None:
    """Have the bundle in a directory launch itself.

    Raises:
        ConfigError: it cannot.
    """
    program = str(directory / LAUNCHER)
    try:
        result = subprocess.run(
            [program, "run", "--", program, "version"],
            env=_HOSTILE,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{program}: the new bundle does not start: {error}"
        hint = "is there room, and may programs be executed there? What was there before is untouched"
        raise ConfigError(msg, hint=hint) from None
    if result.returncode != 0 or not result.stdout.startswith("strongroom "):
        last = result.stderr.strip().rpartition("\n")[2].removeprefix("strongroom: error: ")
        msg = f"the new bundle does not start: {last or f'status {result.returncode}'}"
        raise ConfigError(msg, hint="nothing was changed")


def describe_size(directory: str, files: Mapping[str, File]) -> str:
    """Return the size of a bundle and of its largest files, as lines."""
    total = sum(len(file.data) for file in files.values())
    largest = sorted(files.items(), key=lambda item: (-len(item[1].data), item[0]))[:_LARGEST]
    lines = [f"{directory}: {total} bytes ({total / 1e6:.1f} MB) in {len(files)} files"]
    lines += [f"{len(file.data):>10}  {path}" for path, file in largest]
    rest = total - sum(len(file.data) for _, file in largest)
    lines.append(f"{rest:>10}  all others")
    lines += [f"{path}: {file.origin}" for path, file in sorted(files.items()) if file.origin]
    return "\n".join([*lines, ""])

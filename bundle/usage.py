"""The arguments and the help of ``strongroom bundle``; the same in an installation and in a bundle."""

import os
import sys
from dataclasses import dataclass

from strongroom.errors import ConfigError

FORCE = "STRONGROOM_BUNDLE_FORCE"

HELP = f"""\
usage: strongroom bundle [--force] DIR

Make a directory that holds the wrapper with an interpreter and libraries of its own. It may be copied into any image of
this kind of machine, whatever is or is not in that image, and is used by its path:

  DIR/strongroom run -- COMMAND [ARG...]

The `strongroom` of a bundle has this verb too, and copies itself: for an init container whose image is the bundle.
Prints the size and the largest parts. DIR/manifest.json has the SHA-256 of every file.

Options:
  --force  replace the bundle that DIR holds
           {FORCE}
"""


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        directory: where the bundle is to stand.
        force: whether it may replace another.
    """

    directory: str
    force: bool


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

"""The command line of a service: ``--help``, ``--print-config``, or run until a signal.

Files that every user of the machine may read or write although they are for the service alone are warned of when it
starts, and not refused: the wrapper, which refuses such files, has a setting for those who know that nobody else is
there.
"""

import logging
import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from strongroom.errors import ConfigError
from strongroom.linux.process import keep_memory_private
from strongroom.service.logs import log_event
from strongroom.service.settings import describe_settings, load_settings, parse_arguments, show_settings
from strongroom.terminal import tell

_log = logging.getLogger(__name__)
EXIT_OK, EXIT_CONFIG = 0, 2
SettingsT = TypeVar("SettingsT")


def run_command(
    arguments: Sequence[str], *, verb: str, kind: type[SettingsT], prefix: str, run: Callable[[SettingsT], None]
) -> int:
    """Read the settings and run a service, in a process that is out of reach of core dumps and of its user's others.

    Args:
        arguments: of the command line, without the program's name.
        verb: as it follows ``strongroom``.
        kind: the settings class.
        prefix: of its environment variables.
        run: serves until SIGTERM or SIGINT; may raise ConfigError.

    Returns:
        The exit status: 0 after a drain or an answered question, 2 when a setting is wrong.
    """
    keep_memory_private()
    try:
        given = parse_arguments(arguments)
        if given.help:
            sys.stdout.write(f"usage: strongroom {verb} [--config FILE] [--SETTING VALUE]...\n\n")
            sys.stdout.write(describe_settings(kind, prefix=prefix))
            return EXIT_OK
        settings = load_settings(kind, prefix=prefix, arguments=given, environ=os.environ)
        if given.print_config:
            sys.stdout.write(show_settings(settings))
            return EXIT_OK
        run(settings)
    except ConfigError as error:
        tell(error)
        return EXIT_CONFIG
    return EXIT_OK


def warn_of_open_files(secret: Mapping[str, Path | None], believed: Mapping[str, Path | None]) -> None:
    """Log each file that is open to everybody; those that are missing are passed over.

    Args:
        secret: what nobody else may read or write, by the names of the settings.
        believed: what nobody else may write.
    """
    for name, path in [*_set(secret), *_set(believed)]:
        try:
            mode = path.stat().st_mode
            if not all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents):
                continue  # not everybody gets there
        except OSError:
            continue  # anyone who opens it says why it cannot be
        if stat.S_ISREG(mode) and mode & (stat.S_IWOTH | (stat.S_IROTH if name in secret else 0)):
            what = "may be written by everybody" if mode & stat.S_IWOTH else "may be read by everybody"
            reason = f"{name}={path}: {what} (mode {stat.S_IMODE(mode):04o})"
            hint = f"chmod o= {path}; its group may read it, if that is the group of uid {os.geteuid()}"
            log_event(_log, logging.WARNING, "open_file", {"reason": reason, "hint": hint})


def _set(files: Mapping[str, Path | None]) -> Iterable[tuple[str, Path]]:
    return ((name, path) for name, path in files.items() if path is not None)

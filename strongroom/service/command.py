"""The command line of a service: ``--help``, ``--print-config``, or run until a signal."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from strongroom.errors import ConfigError
from strongroom.linux.process import keep_memory_private
from strongroom.service.settings import describe_settings, load_settings, parse_arguments, show_settings
from strongroom.terminal import tell

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

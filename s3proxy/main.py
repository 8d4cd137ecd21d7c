"""Starts a proxy: reads the settings, and runs it in one process or several until a signal."""

import asyncio
import os
import sys
from collections.abc import Sequence

from s3proxy.serving.process import harden, run_proxy
from s3proxy.serving.supervisor import Supervisor
from s3proxy.settings import PREFIX, ProxySettings
from strongroom.errors import ConfigError
from strongroom.settings import describe_settings, load_settings, parse_arguments, show_settings

EXIT_OK, EXIT_CONFIG = 0, 2


def main(arguments: Sequence[str]) -> int:
    """Run a proxy until SIGTERM or SIGINT.

    Args:
        arguments: of the command line, without the program's name.

    Returns:
        The exit status: 0 after a drain or an answered question, 2 when a setting is wrong.
    """
    try:
        given = parse_arguments(arguments)
        if given.help:
            sys.stdout.write("usage: strongroom s3proxy [--config FILE] [--SETTING VALUE]...\n\n")
            sys.stdout.write(describe_settings(ProxySettings, prefix=PREFIX))
            return EXIT_OK
        settings = load_settings(ProxySettings, prefix=PREFIX, arguments=given, environ=os.environ)
        if given.print_config:
            sys.stdout.write(show_settings(settings))
            return EXIT_OK
        harden(settings)
        asyncio.run(Supervisor(settings).run() if settings.processes > 1 else run_proxy(settings))
    except ConfigError as error:
        sys.stderr.write(f"strongroom: error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"strongroom: hint: {error.hint}\n")
        return EXIT_CONFIG
    return EXIT_OK

"""Starts a proxy: reads the settings, hardens the process, runs until a signal."""

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence

from s3proxy.app import Proxy
from s3proxy.settings import PREFIX, ProxySettings
from strongroom.errors import ConfigError
from strongroom.logs import configure_logging, log_event
from strongroom.settings import describe_settings, load_settings, parse_arguments, show_settings

_log = logging.getLogger(__name__)
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
        configure_logging("s3proxy", level=settings.log_level.value)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold keys
        asyncio.run(_run(settings))
    except ConfigError as error:
        sys.stderr.write(f"strongroom: error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"strongroom: hint: {error.hint}\n")
        return EXIT_CONFIG
    return EXIT_OK


async def _run(settings: ProxySettings) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_report)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    proxy = Proxy(settings)
    try:
        await proxy.start()
    except ConfigError:
        await proxy.close()
        raise
    await stop.wait()
    await proxy.drain()


def _report(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log what went wrong in a callback, without the texts that asyncio builds from objects."""
    error = context.get("exception")
    # A caller that breaks off its TLS handshake is no event of ours; there is one for each port scan.
    level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
    log_event(_log, level, "loop_error", error=error if isinstance(error, BaseException) else None)

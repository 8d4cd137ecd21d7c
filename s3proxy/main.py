"""Starts a proxy: reads the settings, and runs it in one process or several until a signal."""

import asyncio
import os
from collections.abc import Sequence

from s3proxy.app import make_server
from s3proxy.processes.supervisor import Supervisor
from s3proxy.settings import PREFIX, ProxySettings
from strongroom.service.command import run_command
from strongroom.service.lifecycle import Notifier
from strongroom.service.server import serve


def main(arguments: Sequence[str]) -> int:
    """Run a proxy until SIGTERM or SIGINT, and return the exit status.

    Args:
        arguments: of the command line, without the program's name.
    """
    return run_command(arguments, verb="s3proxy", kind=ProxySettings, prefix=PREFIX, run=_run)


def _run(settings: ProxySettings) -> None:
    systemd = Notifier(os.environ)
    if settings.processes > 1:
        asyncio.run(Supervisor(settings, systemd).run())
    else:
        asyncio.run(serve(lambda: make_server(settings), systemd=systemd))

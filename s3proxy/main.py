"""Starts a proxy: reads the settings, and runs it in one process or several until a signal."""

import asyncio
import os
from collections.abc import Sequence

from s3proxy.serving.process import run_proxy
from s3proxy.serving.supervisor import Supervisor
from s3proxy.settings import PREFIX, ProxySettings
from strongroom.logs import configure_logging
from strongroom.service.command import run_command
from strongroom.service.notify import Notifier


def main(arguments: Sequence[str]) -> int:
    """Run a proxy until SIGTERM or SIGINT, and return the exit status.

    Args:
        arguments: of the command line, without the program's name.
    """
    return run_command(arguments, verb="s3proxy", kind=ProxySettings, prefix=PREFIX, run=_run)


def _run(settings: ProxySettings) -> None:
    configure_logging("s3proxy", level=settings.log_level.value)
    systemd = Notifier(os.environ)
    asyncio.run(Supervisor(settings, systemd).run() if settings.processes > 1 else run_proxy(settings, systemd=systemd))

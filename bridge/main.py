"""Starts a bridge: reads the settings, runs until a signal."""

import asyncio
import os
import signal
from asyncio.sslproto import SSLProtocol
from collections.abc import Sequence

from bridge.app import Bridge
from bridge.settings import PREFIX, BridgeSettings
from strongroom.errors import ConfigError
from strongroom.service.command import run_command
from strongroom.service.logs import configure_logging
from strongroom.service.notify import Notifier
from strongroom.service.open_files import warn_of_open_files
from strongroom.service.reloading import reloading_at_sighup
from strongroom.service.upkeep import report_loop_error

# asyncio gives each connection 256 KiB to read into, before it is known who connects. Requests are small.
_TLS_BUFFER_BYTES = 32 << 10


def main(arguments: Sequence[str]) -> int:
    """Run a bridge until SIGTERM or SIGINT, and return the exit status.

    Args:
        arguments: of the command line, without the program's name.
    """
    return run_command(arguments, verb="bridge", kind=BridgeSettings, prefix=PREFIX, run=_run)


def _run(settings: BridgeSettings) -> None:
    configure_logging("bridge", level=settings.log_level.value)
    SSLProtocol.max_size = _TLS_BUFFER_BYTES
    warn_of_open_files(
        {name: getattr(settings, name) for name in ("tls_key_file", "openbao_token_file", "openbao_secret_id_file")},
        {name: getattr(settings, name) for name in ("tls_cert_file", "policy_file", "openbao_ca_file")},
    )
    asyncio.run(_serve(settings, Notifier(os.environ)))


async def _serve(settings: BridgeSettings, systemd: Notifier) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(report_loop_error)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bridge = Bridge(settings)
    with reloading_at_sighup(bridge.reload, systemd):
        try:
            await bridge.start()
        except ConfigError:
            await bridge.close()
            raise
        async with systemd.serving():
            await stop.wait()
    await bridge.drain()

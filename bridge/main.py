"""Starts a bridge: reads the settings, runs until a signal."""

import asyncio
import os
from asyncio.sslproto import SSLProtocol
from collections.abc import Sequence

from bridge.app import Bridge
from bridge.settings import PREFIX, BridgeSettings
from strongroom.service.command import run_command
from strongroom.service.lifecycle import Notifier
from strongroom.service.server import serve

# asyncio gives each connection 256 KiB to read into, before it is known who connects. Requests are small.
_TLS_BUFFER_BYTES = 32 << 10


def main(arguments: Sequence[str]) -> int:
    """Run a bridge with the arguments of a command line until SIGTERM or SIGINT, and return the exit status."""
    return run_command(arguments, verb="bridge", kind=BridgeSettings, prefix=PREFIX, run=_run)


def _run(settings: BridgeSettings) -> None:
    SSLProtocol.max_size = _TLS_BUFFER_BYTES
    asyncio.run(serve(lambda: Bridge(settings).server, systemd=Notifier(os.environ)))

"""Starts a bridge: reads the settings, runs until a signal."""

import asyncio
import os
from asyncio.sslproto import SSLProtocol
from collections.abc import Sequence

from bridge.app import Bridge
from bridge.settings import PREFIX, BridgeSettings
from strongroom.service.command import run_command, warn_of_open_files
from strongroom.service.lifecycle import Notifier
from strongroom.service.logs import configure_logging
from strongroom.service.server import serve

# asyncio gives each connection 256 KiB to read into, before it is known who connects. Requests are small.
_TLS_BUFFER_BYTES = 32 << 10


def main(arguments: Sequence[str]) -> int:
    """Run a bridge with the arguments of a command line until SIGTERM or SIGINT, and return the exit status."""
    return run_command(arguments, verb="bridge", kind=BridgeSettings, prefix=PREFIX, run=_run)


def _run(settings: BridgeSettings) -> None:
    configure_logging("bridge", level=settings.log_level.value)
    SSLProtocol.max_size = _TLS_BUFFER_BYTES
    warn_of_open_files(
        {name: getattr(settings, name) for name in ("tls_key_file", "openbao_token_file", "openbao_secret_id_file")},
        {name: getattr(settings, name) for name in ("tls_cert_file", "policy_file", "openbao_ca_file")},
    )
    asyncio.run(serve(lambda: Bridge(settings).server, systemd=Notifier(os.environ)))

"""Starts a proxy: reads the settings, and runs it in one process or several until a signal."""

import asyncio
import os
from collections.abc import Sequence

from s3proxy.app import make_server
from s3proxy.processes.supervisor import Supervisor
from s3proxy.settings import PREFIX, ProxySettings
from strongroom.service.command import run_command, warn_of_open_files
from strongroom.service.lifecycle import Notifier
from strongroom.service.logs import configure_logging
from strongroom.service.server import serve

_SECRET_FILES = (
    "tls_key_file",
    "kek_file",
    "store_credentials_file",
    "credentials_file",
    "openbao_token_file",
    "openbao_secret_id_file",
)
_BELIEVED_FILES = ("tls_cert_file", "policy_file", "store_ca_file", "openbao_ca_file")


def main(arguments: Sequence[str]) -> int:
    """Run a proxy until SIGTERM or SIGINT, and return the exit status.

    Args:
        arguments: of the command line, without the program's name.
    """
    return run_command(arguments, verb="s3proxy", kind=ProxySettings, prefix=PREFIX, run=_run)


def _run(settings: ProxySettings) -> None:
    configure_logging("s3proxy", level=settings.log_level.value)
    warn_of_open_files(
        {name: getattr(settings, name) for name in _SECRET_FILES},
        {name: getattr(settings, name) for name in _BELIEVED_FILES},
    )
    systemd = Notifier(os.environ)
    if settings.processes > 1:
        asyncio.run(Supervisor(settings, systemd).run())
    else:
        asyncio.run(serve(lambda: make_server(settings), systemd=systemd))

"""Opening a port, and telling a parent process which one it became."""

import asyncio
import json
import ssl
from typing import Any

from aiohttp import web

from strongroom.errors import ConfigError

_BACKLOG = 1024  # connections that wait to be accepted: a rollout starts hundreds of pods at once
_HIGHEST_PORT = 65_535


def parse_listen(text: str, name: str) -> tuple[str | None, int]:
    """Split ``[HOST]:PORT`` into a host, None for every address, and a port.

    Args:
        text: the address.
        name: of the setting that it is, for messages.

    Raises:
        ConfigError: it is not of this form.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    is_port = port.isascii() and port.isdigit() and int(port) <= _HIGHEST_PORT
    if not colon or not is_port or (":" in host and not bracketed):
        msg = f"{name}={text}: must be [HOST]:PORT"
        raise ConfigError(msg, hint="write for example :8443, 127.0.0.1:8443 or [::1]:8443")
    return host.strip("[]") or None, int(port)


async def listen(  # noqa: PLR0913 - what there is to a port
    runner: web.BaseRunner,
    address: str,
    *,
    name: str,
    share_port: bool = False,
    tls: ssl.SSLContext | None = None,
    handshake_timeout_s: float | None = None,
) -> asyncio.Server:
    """Listen for what a runner serves.

    Args:
        runner: set up.
        address: ``[HOST]:PORT``.
        name: of the setting with the address, for messages.
        share_port: whether others may listen on it, too (SO_REUSEPORT).
        tls: of the port, if it has any.
        handshake_timeout_s: for the beginning of TLS; asyncio's when None.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    host, port = parse_listen(address, name)
    assert runner.server is not None  # noqa: S101 - set up
    options: dict[str, Any] = {"backlog": _BACKLOG, "ssl": tls, "reuse_port": share_port or None}
    if tls is not None:
        # Not for its end, whose 30 s are all that a slow client has to take the end of an answer.
        options["ssl_handshake_timeout"] = handshake_timeout_s
    try:
        return await asyncio.get_running_loop().create_server(runner.server, host, port, **options)
    except OSError as error:
        msg = f"{name}={address}: cannot be listened on ({error.strerror or type(error).__name__})"
        raise ConfigError(msg, hint="end what holds the port, or take another one") from None


def addresses_of(server: asyncio.Server) -> list[str]:
    """Return what a server listens on, as ``HOST:PORT``."""
    names = [socket.getsockname() for socket in server.sockets]
    return [f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}" for name in names]


def tell_parent(fd: int, fields: dict[str, str]) -> None:
    """Write the ``listening`` event to a descriptor that was handed down, and close it.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        with open(fd, "w", encoding="ascii") as pipe:
            pipe.write(json.dumps({"event": "listening"} | fields) + "\n")
    except OSError as error:
        msg = f"ready_fd={fd}: cannot be written ({error.strerror})"
        raise ConfigError(msg, hint="hand the write end of a pipe over, or leave ready_fd out") from None

"""Opening a port, and telling a parent process which one it became."""

import asyncio
import json
import ssl

from aiohttp import web

from s3proxy.settings import parse_listen
from strongroom.errors import ConfigError

_BACKLOG = 1024


async def listen(
    runner: web.BaseRunner, address: str, *, name: str, share_port: bool, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Listen for what a runner serves.

    Args:
        runner: set up.
        address: ``[HOST]:PORT``.
        name: of the setting with the address, for messages.
        share_port: whether others may listen on it, too (SO_REUSEPORT).
        tls: of the port, if it has any.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    host, port = parse_listen(address, name)
    try:
        return await asyncio.get_running_loop().create_server(
            runner.server,  # type: ignore[arg-type]  # the factory of protocols, set up
            host,
            port,
            backlog=_BACKLOG,
            ssl=tls,
            reuse_port=share_port or None,
        )
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

"""Servers that answer the proxy's connections to its store as a test wants it."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from s3proxy.store.connections import StoreConnections, Timeouts

GET = b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(test(*args, **named))

    return run


@dataclass
class Server:
    """What the tests have of their server."""

    port: int = 0
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve every connection by ``serve``."""
    made = Server()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


def pool(
    server: Server, *, idle_s: float = 20.0, limit: int = 4, tls: ssl.SSLContext | None = None
) -> StoreConnections:
    """Return connections to a server."""
    timeouts = Timeouts(connect_s=20.0, idle_s=idle_s)
    return StoreConnections("127.0.0.1", server.port, tls=tls, timeouts=timeouts, limit=limit)


@contextlib.asynccontextmanager
async def pooled(
    server: Server, *, idle_s: float = 20.0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[StoreConnections]:
    """Have connections to a server, and close the idle ones at the end: a server of Python 3.12 waits for that."""
    connections = pool(server, idle_s=idle_s, tls=tls)
    try:
        yield connections
    finally:
        await connections.close()

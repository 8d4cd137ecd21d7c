"""Servers that answer the proxy's connections to its store as a test wants it."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from s3proxy.s3api.signer import StoreCredential
from s3proxy.store.client import Endpoint, Store
from s3proxy.store.connections import StoreConnections, Timeouts
from strongroom.secret import Secret
from strongroom.service.following import FollowedFile

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
    server: Server, *, idle_s: float = 20.0, limit: int = 4, tls: ssl.SSLContext | None = None
) -> AsyncIterator[StoreConnections]:
    """Have connections to a server, and close the idle ones at the end: a server of Python 3.12 waits for that."""
    connections = pool(server, idle_s=idle_s, limit=limit, tls=tls)
    try:
        yield connections
    finally:
        await connections.close()


def store_at(server: Server) -> Store:
    """Return a store that is this server."""
    credential = StoreCredential("key", Secret(b"secret"), None)
    timeouts = Timeouts(connect_s=20.0, idle_s=20.0)
    endpoint = Endpoint(address=f"http://127.0.0.1:{server.port}", region="r", timeouts=timeouts, connections=4)
    return Store(endpoint, FollowedFile("store_credentials", lambda _: credential))


def answering(*documents: str, statuses: tuple[int, ...] = (200,)) -> Serve:
    """Return what answers with one document and status after the other, and from the last on with the first again."""
    place = count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0] or b"0"))
            turn = next(place)
            body, status = documents[turn % len(documents)].encode(), statuses[turn % len(statuses)]
            writer.write(b"HTTP/1.1 %d Told\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    return serve

"""The end of a server: what it answered arrives, and nobody who wants nothing more holds it up."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from strongroom.service.draining import RequestsAtWork
from strongroom.service.listening import Port, listen
from tests.support.tls.certificates import tls_pair

BODY = os.urandom(1 << 20)
CHUNK_BYTES = 1 << 14
SMALL_BUFFER_BYTES = 4096
ENOUGH_S = 100.0


class Served:
    """A server that reads every request's body, and answers with BODY and how long that body was."""

    def __init__(self) -> None:
        self.requests = RequestsAtWork()
        self.on_request: Callable[[], None] = lambda: None  # called between the reading of a request and its handler
        server = web.Server(self._answer, request_factory=self._make_request, access_log=None)
        self.runner = web.ServerRunner(server, shutdown_timeout=1.0)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: aiohttp.StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        self.on_request()
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        with self.requests.track(request):
            got = len(await request.read())
        response = web.Response(body=BODY, headers={"X-Got": str(got)})
        self.requests.answered(response)
        return response

    async def drain(self, *, timeout_s: float) -> None:
        """Drain, and throw away what the process still has in its buffers, as its end does."""
        await self.requests.drain(self.runner, timeout_s=timeout_s)
        assert self.runner.server is not None
        for connection in self.runner.server.connections:
            if isinstance(connection.transport, asyncio.WriteTransport):
                connection.transport.abort()


@contextlib.asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Served, int]]:
    served = Served()
    await served.runner.setup()
    server = await listen(served.runner, Port(name="http", address="127.0.0.1:0", tls=tls))
    # Small buffers below, so that most of an answer waits in this process.
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
    try:
        yield served, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await served.runner.cleanup()


def connect(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    client.settimeout(ENOUGH_S)
    client.connect(("127.0.0.1", port))
    return tls.wrap_socket(client, server_hostname="localhost") if tls else client


def ask(client: socket.socket, *, connection: bytes = b"keep-alive") -> None:
    """Ask, and wait for the first byte, so that the server has answered as far as it knows."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: " + connection + b"\r\n\r\n")
    assert client.recv(1) == b"H"


def read_all(client: socket.socket, *, pause_s: float = 0.0) -> tuple[bytes, bytes]:
    """Return the head and the body of an answer as far as they came."""
    got = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while not got.endswith(BODY[-100:]) and (piece := client.recv(CHUNK_BYTES)):
            got += piece
            time.sleep(pause_s)
    head, _, body = got.partition(b"\r\n\r\n")
    return head + b"\r\n", body


@pytest.fixture(params=["plain", "tls"])
def contexts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Of a server and its client."""
    return tls_pair(tmp_path) if request.param == "tls" else (None, None)


Contexts = tuple[ssl.SSLContext | None, ssl.SSLContext | None]


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_an_answer_arrives_although_its_process_ends(contexts: Contexts, connection: bytes) -> None:
    async def run() -> bytes:
        async with serving(contexts[0]) as (served, port):
            with await asyncio.to_thread(connect, port, contexts[1]) as client:
                await asyncio.to_thread(ask, client, connection=connection)
                reading = asyncio.create_task(asyncio.to_thread(read_all, client, pause_s=0.001))
                await served.drain(timeout_s=ENOUGH_S)
                return (await reading)[1]

    assert asyncio.run(run()) == BODY


def test_an_upload_that_has_begun_is_taken_and_answered(contexts: Contexts) -> None:
    """And its answer says that the connection ends, so that nothing is asked on it again."""

    async def run() -> tuple[bytes, bytes]:
        async with serving(contexts[0]) as (served, port):
            with await asyncio.to_thread(connect, port, contexts[1]) as client:
                head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY)
                await asyncio.to_thread(client.sendall, head + BODY[:CHUNK_BYTES])
                while not served.requests:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.001)
                draining = asyncio.create_task(served.drain(timeout_s=ENOUGH_S))
                await asyncio.sleep(0)  # it begins
                await asyncio.to_thread(client.sendall, BODY[CHUNK_BYTES:])
                got = await asyncio.to_thread(read_all, client)
                await draining
                return got

    head, body = asyncio.run(run())
    assert b"X-Got: %d\r\n" % len(BODY) in head
    assert b"Connection: close" in head
    assert body == BODY


def test_a_request_that_has_just_arrived_is_answered(contexts: Contexts) -> None:
    async def run() -> bytes:
        async with serving(contexts[0]) as (served, port):
            with await asyncio.to_thread(connect, port, contexts[1]) as client:
                ends: list[asyncio.Task[None]] = []
                served.on_request = lambda: ends.append(asyncio.create_task(served.drain(timeout_s=ENOUGH_S)))
                await asyncio.to_thread(ask, client)
                got = await asyncio.to_thread(read_all, client)
                await ends[0]
                return got[1]

    assert asyncio.run(run()) == BODY


def test_a_client_that_reads_nothing_is_waited_for_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with serving() as (served, port):
            with await asyncio.to_thread(connect, port, None) as client:
                await asyncio.to_thread(ask, client)
                await served.drain(timeout_s=0.2)

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == ["draining", "drain_incomplete"]


def test_connections_that_are_idle_hold_nothing_up(contexts: Contexts) -> None:
    """Those of a pool answer no goodbye of TLS, since nobody reads them."""

    async def run() -> None:
        async with serving(contexts[0]) as (served, port):
            with (
                await asyncio.to_thread(connect, port, contexts[1]),
                await asyncio.to_thread(connect, port, contexts[1]) as client,
            ):
                await asyncio.to_thread(ask, client)
                assert (await asyncio.to_thread(read_all, client))[1] == BODY
                async with asyncio.timeout(ENOUGH_S / 10):
                    await served.drain(timeout_s=ENOUGH_S)

    asyncio.run(run())

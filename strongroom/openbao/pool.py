"""Connections to OpenBao that are kept: requests are written out as they are, answers are parsed by aiohttp's protocol.

There is nothing here that follows a redirect, looks for a proxy in the environment, stores a cookie, or repeats a
request by itself; and no object of a request that an exception could show, with the token in it (ADR 0030).
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohappyeyeballs
import aiohttp
from aiohappyeyeballs.types import AddrInfoType
from aiohttp.client_proto import ResponseHandler

from strongroom.openbao.connection import Route

READ_BYTES: Final = 64 << 10  # what is read ahead of an answer: twice that, then TCP holds the server back
KEPT_S: Final = 240.0  # OpenBao closes what is idle for 5 minutes (http_idle_timeout), and clouds forget it after 4
_MAX_FIELD_BYTES: Final = 64 << 10  # what http.client takes
_MAX_INTERIM: Final = 16
_HAPPY_EYEBALLS_S: Final = 0.25  # RFC 8305, section 8
_UNEXPECTED_EOF: Final = "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Connection(ResponseHandler):
    """One connection, with one request at a time.

    Attributes:
        context: that it was made with.
        idle_since: when its last answer was read, of ``time.monotonic``.
        lost_by: what the system said when it broke, if it did.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext | None) -> None:
        """Take what it is made with."""
        super().__init__(loop)
        self.context = context
        self.idle_since = 0.0
        self.lost_by: OSError | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Keep the reason: aiohttp has only its text where a body is cut."""
        self.lost_by = exc if isinstance(exc, OSError) else None
        super().connection_lost(exc)

    async def request(self, request: bytes, *, within_s: float) -> tuple[int, aiohttp.StreamReader]:
        """Send a request, and return the status and the body of its answer; whatever goes wrong closes the connection.

        Args:
            request: all of it.
            within_s: to wait for the next byte of the answer.

        Raises:
            TimeoutError: the answer stops for longer.
            OSError, aiohttp.ClientError, HttpProcessingError: the connection broke, or the answer is not HTTP.
        """
        try:
            self.set_response_params(
                read_until_eof=True,
                auto_decompress=False,  # nothing but identity is accepted
                read_timeout=within_s,
                read_bufsize=READ_BYTES,
                max_line_size=_MAX_FIELD_BYTES,
                max_field_size=_MAX_FIELD_BYTES,
            )
            if self.transport is None:
                raise aiohttp.ServerDisconnectedError  # noqa: TRY301 - for the one who closes it
            self.transport.write(request)
            self.start_timeout()
            return await self._answer()
        except BaseException:
            self.abort()
            raise

    async def _answer(self) -> tuple[int, aiohttp.StreamReader]:
        for _ in range(_MAX_INTERIM):
            message, content = await self.read()
            if message.code >= HTTPStatus.OK:  # RFC 9110, section 15.2: others are interim
                return message.code, content
            self.start_timeout()  # which ended with what had no body
        raise aiohttp.ClientPayloadError("too many interim answers")

    def may_be_used_again(self) -> bool:
        """Return whether the exchange came to its end, and nothing came after it unasked."""
        return not self.should_close and self.is_connected()


class Pool:
    """The connections to one server that are not in use, and the way to new ones; for one event loop."""

    def __init__(self, route: Route) -> None:
        """Take the way to the server; nothing is sent yet."""
        url = urlsplit(route.endpoint.address)
        self._route = route
        self._has_tls = url.scheme == "https"
        self._host = url.hostname or ""
        self._port = url.port or _DEFAULT_PORTS[url.scheme]
        self._idle: deque[Connection] = deque()
        self._closed = False
        # A lookup cannot be given up: one that hangs holds up nobody else, here or elsewhere in the process.
        self._look_ups = ThreadPoolExecutor(route.endpoint.max_connections, thread_name_prefix="openbao-names")

    async def take(self) -> Connection:
        """Return a connection that is kept, or else a new one; see ``connect``."""
        while self._idle:
            connection = self._idle.pop()
            if self._is_good(connection):
                return connection
            connection.abort()
        return await self.connect()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end; close another one."""
        connection.idle_since = time.monotonic()
        if self._is_good(connection):
            self._idle.append(connection)
        else:
            connection.abort()

    async def connect(self) -> Connection:
        """Make a new connection.

        Raises:
            TimeoutError: it takes longer than ``connect_timeout_s``, or its handshake does.
            ssl.SSLError: the server is not trusted, or TLS fails.
            OSError: the server cannot be reached.
        """
        loop = asyncio.get_running_loop()
        limit_s = self._route.endpoint.connect_timeout_s
        context = self._route.context if self._has_tls else None
        async with asyncio.timeout(limit_s):
            addresses = await loop.run_in_executor(self._look_ups, self._addresses)
            connected = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_S, interleave=1
            )
        try:
            async with asyncio.timeout(limit_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, context),
                    sock=connected,
                    ssl=context,
                    server_hostname=self._host if context else None,
                    ssl_handshake_timeout=limit_s + 1 if context else None,  # no less than ours
                )
        except ConnectionResetError as error:
            if error.errno is not None:
                raise
            # asyncio's word for the end of the stream in the middle of a handshake
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, _UNEXPECTED_EOF) from None
        return connection

    def tidy(self) -> None:
        """Close what is kept and would not be used any more."""
        kept, self._idle = self._idle, deque()
        for connection in kept:
            if self._is_good(connection):
                self._idle.append(connection)
            else:
                connection.abort()

    def close(self) -> None:
        """Close the connections that are not in use, and those in use when they are given back."""
        self._closed = True
        self.tidy()
        self._look_ups.shutdown(wait=False, cancel_futures=True)

    def _is_good(self, connection: Connection) -> bool:
        return (
            not self._closed
            and connection.may_be_used_again()
            and connection.context is (self._route.context if self._has_tls else None)
            and time.monotonic() - connection.idle_since < KEPT_S
        )

    def _addresses(self) -> Sequence[AddrInfoType]:
        return socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)

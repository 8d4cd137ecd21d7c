"""The connections to the store: a pool of them, and one request and its answer over one.

A ``ClientSession`` does for each request what a client of the whole web needs (redirects, cookies, proxies, tracing,
URLs); for one host that is half of what an exchange costs. ADR 0011 has the figures. What is left is a pool, a
request head, a body with backpressure, and deadlines.

A client that sends or takes slowly holds a connection for as long as it is let. So transfers that may last, in either
direction, may hold only a part of the connections (``places``), and an answer that is short gives its connection back
when the store has sent it, not when the client has taken it.
"""

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from s3proxy.store.connection import GONE, READ_BYTES, Body, Connection, Held, StoreAnswer
from s3proxy.store.places import Place, StorePlaces
from s3proxy.store.sent import SentRequest
from strongroom.errors import UnavailableError

KEEP_ALIVE_S: Final = 15.0  # shorter than stores keep idle connections, so a request rarely meets a closed one
_HAPPY_EYEBALLS_S: Final = 0.25  # RFC 8305, section 8


class StoreUnreachableError(UnavailableError):
    """No connection to the store can be made."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds to wait for the store: for a connection, and for the next byte."""

    connect_s: float
    idle_s: float


class StoreConnections:
    """A pool of connections to one host, for one event loop."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, timeouts: Timeouts, limit: int) -> None:
        """Make an empty pool.

        Args:
            host: name or address.
            port: of TCP.
            tls: None for plain HTTP.
            timeouts: of every exchange.
            limit: this many connections at the most; further exchanges wait for one, and not for long.
        """
        self._host = host
        self._port = port
        self._tls = tls
        self._timeouts = timeouts
        self.places = StorePlaces(limit)
        self._idle: deque[Connection] = deque()

    async def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().abort()

    @property
    def may_send_now(self) -> bool:
        """Whether ``send_now`` need not be tried in vain."""
        return bool(self._idle) and self.places.has_room

    def send_now(
        self, method: str, head: bytes, body: Held | None, on_progress: Callable[[], None]
    ) -> SentRequest | None:
        """Send a request that need not wait for anything: None if no place is free or no connection idle.

        Args:
            method: of the request.
            head: request line and headers, with the empty line behind them.
            body: all of it.
            on_progress: called whenever some of the answer has come, and when the connection ends.
        """
        place = self.places.take_now()
        if place is None:
            return None
        connection = self._take_idle()
        if connection is None:
            place.give_back()
            return None
        try:
            connection.begin(method)
            connection.write_all(head, body or b"")
        except BaseException:
            connection.abort()
            place.give_back()
            raise
        connection.on_progress = on_progress
        return SentRequest(self, place, connection, (method, head, body))

    def give_back(self, connection: Connection, place: Place) -> None:
        """Take a connection, and the place for it, whose exchange has ended."""
        self._release(connection)
        place.give_back()

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: str, head: bytes, body: Body, *, repeatable: bool = False, sent: SentRequest | None = None
    ) -> AsyncIterator[StoreAnswer]:
        """Send a request and give its answer; a connection whose answer was not read to the end is closed.

        Args:
            method: of the request.
            head: request line and headers, with the empty line behind them.
            body: all of it, or its pieces; an error of theirs breaks the request off, and is raised. What is given is
                never changed afterwards: a transport may send it later, from where it is (asyncio from Python 3.12).
            repeatable: whether it may be sent once more when an idle connection turns out to be closed, although the
                store may have had it.
            sent: this very request, if it was sent already.

        Raises:
            StoreBusyError: all connections are in use.
            StoreUnreachableError: the store cannot be reached.
            TimeoutError: it is too slow.
            aiohttp.ClientError, HttpProcessingError: the connection broke, or the answer is not HTTP.
        """
        place = sent.place if sent else await self.places.take(lasting=not isinstance(body, Held | None))
        connection: Connection | None = None

        def give_back() -> None:
            """Give back what is held; the first time counts."""
            nonlocal connection
            if connection is not None:
                done, connection = connection, None
                self.give_back(done, place)

        try:
            connection, answer = await self._send(method, head, body, repeatable=repeatable, sent=sent)
            if not _is_short(answer):
                await place.outlast()
        except BaseException:
            if connection is not None:
                connection.abort()
            place.give_back()
            raise
        used = connection
        answer.content.on_eof(lambda: give_back() if used.may_be_used_again() else None)
        try:
            yield answer
        finally:
            give_back()

    async def _send(
        self, method: str, head: bytes, body: Body, *, repeatable: bool, sent: SentRequest | None
    ) -> tuple[Connection, StoreAnswer]:
        """Send, once more if an idle connection turns out to be closed and the request may be repeated."""
        connection = sent.connection if sent else self._take_idle()
        if connection is not None:
            try:
                return connection, await connection.request(method, head, body, is_sent=sent is not None)
            except GONE:
                if not repeatable:
                    raise
        connection = await self._connect()
        return connection, await connection.request(method, head, body)

    def _take_idle(self) -> Connection | None:
        oldest = time.monotonic() - KEEP_ALIVE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.may_be_used_again() and connection.idle_since > oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._timeouts.idle_s),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                    happy_eyeballs_delay=_HAPPY_EYEBALLS_S,
                )
        except TimeoutError:
            raise
        except ssl.SSLError as error:
            msg = f"the store's certificate or TLS is not accepted ({error.reason or type(error).__name__})"
            raise StoreUnreachableError(msg, hint="check store_ca_file and the name in store_address") from error
        except OSError as error:
            msg = f"the store cannot be reached ({self._host}:{self._port}: {error.strerror or type(error).__name__})"
            raise StoreUnreachableError(msg, hint="check that it runs and that store_address is right") from error
        return connection

    def _release(self, connection: Connection) -> None:
        if connection.may_be_used_again():
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()


def _is_short(answer: StoreAnswer) -> bool:
    """Return whether an answer is read ahead as a whole, so that it does not depend on who takes it."""
    length = answer.headers.get("Content-Length", "")
    return answer.method == "HEAD" or answer.content.at_eof() or (length.isdigit() and int(length) <= READ_BYTES)

"""A client's connection, with a way past aiohttp's task: a request may be held, and answered by a later callback.

For each message aiohttp wakes a task, makes a request, another task and a response; that is most of what a small
object costs (ADR 0027). Here a *shortcut* sees a message as soon as it was parsed, while the connection waits for it
and nothing is ahead of it. It leaves the message alone, or holds it: then it answers by itself, or hands over to the
task at any time, which finds the message and its body as they came. aiohttp's task sleeps meanwhile: the future that
it waits for is kept here, and so the connection does not count as idle either.
"""

import asyncio
from typing import Protocol

import aiohttp
from aiohttp import web
from aiohttp.http import RawRequestMessage

from s3proxy.exchange.begun import Begun
from strongroom.service.front import Handler


class Held(Protocol):
    """Who holds a request."""

    def more(self) -> None:
        """More of what the client sends has come, perhaps of the body."""

    def lost(self) -> None:
        """The connection has ended; neither ``answer`` nor ``hand_over`` may be called any longer."""


class Shortcut(Protocol):
    """What may hold requests."""

    def begin(self, front: "FrontProtocol", message: RawRequestMessage, body: aiohttp.StreamReader) -> bool:
        """Look at a request; return whether it was held, or handed over already."""


class FrontProtocol(web.RequestHandler):
    """One connection."""

    __slots__ = ("_begun", "_held", "_shortcut", "_sleeping")

    def __init__(
        self, manager: web.Server, *, shortcut: Shortcut, **options: float | asyncio.AbstractEventLoop
    ) -> None:
        """Take what may hold requests; the rest is aiohttp's."""
        super().__init__(manager, **options)  # type: ignore[arg-type]  # as ``web.Server`` has them
        self._shortcut = shortcut
        self._held: Held | None = None
        self._sleeping: asyncio.Future[None] | None = None  # what aiohttp's task waits for, while a request is held
        self._begun: Begun | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what the client sends, and show a request to the shortcut before the task sees it."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            super().data_received(data)
            if data and self._held is not None:  # aiohttp calls it without any when a body is read
                self._held.more()
            return
        self._waiter = None  # or the task would be woken
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if not self._messages or waiter.done():
            return
        message, body = self._messages[0]
        is_alone = len(self._messages) == 1 and not self._upgraded
        if not (is_alone and isinstance(message, RawRequestMessage) and self._shortcut.begin(self, message, body)):
            waiter.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wake the task, so that it ends, and tell who holds a request."""
        held = self._held
        if held is not None:
            self._wake()
        super().connection_lost(exc)
        if held is not None:
            held.lost()

    def hold(self, held: Held) -> None:
        """Hold the request that the shortcut was shown."""
        self._held = held
        self._sleeping, self._waiter = self._waiter, None

    def put_back(self, body: bytes) -> None:
        """Have the body of the held request be read once more, all of which was read."""
        message, _ = self._messages[0]
        again = aiohttp.StreamReader(self, self._read_bufsize, loop=self._loop)
        again.feed_data(body)
        again.feed_eof()
        self._messages[0] = message, again

    async def taken(self) -> None:
        """Return when the client has taken what was written, but for a little.

        Raises:
            ConnectionError: it takes no more.
        """
        await self._drain_helper()
        if self.transport is None:
            raise ConnectionResetError

    def leave(self, begun: Begun) -> None:
        """Leave a request to the task by ``begin``, with what was begun of it."""
        self._begun = begun
        if self._held is not None:
            self._wake()

    def hand_over(self, begun: Begun) -> None:
        """Leave the held request to the task, with what was begun of it."""
        self._begun = begun
        self._wake().set_result(None)

    def take_begun(self) -> Begun | None:
        """Return what was begun of the request that the task serves now; to be asked once."""
        begun, self._begun = self._begun, None
        return begun

    def done(self) -> None:
        """Wait for the next request: the held one was answered."""
        waiter = self._wake()
        self._messages.popleft()
        if self._manager is not None:
            self._manager.requests_count += 1
        if self._parser is not None:
            self._parser.message_consumed()
        # From here on what aiohttp's task does at the end of each request.
        if self._close or self._force_close:
            waiter.cancel()
            if self.transport is not None:
                self.transport.close()
            return
        self._next_keepalive_close_time = close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)
        if self._messages:
            waiter.set_result(None)

    def _wake(self) -> asyncio.Future[None]:
        """Hold nothing any longer; return what the task waits for."""
        assert self._sleeping is not None  # noqa: S101 - held
        self._waiter = waiter = self._sleeping
        self._held = self._sleeping = None
        return waiter


class FrontServer(web.Server):
    """A server of such connections."""

    def __init__(self, handler: Handler, *, shortcut: Shortcut, **options: float | asyncio.AbstractEventLoop) -> None:
        """Take what may hold requests; the rest is aiohttp's."""
        super().__init__(handler, **options)  # type: ignore[arg-type]  # of its protocol
        self._shortcut = shortcut

    def __call__(self) -> FrontProtocol:
        """Return what serves one connection."""
        return FrontProtocol(self, shortcut=self._shortcut, loop=self._loop, **self._kwargs)

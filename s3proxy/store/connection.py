"""One connection to the store: a request is written, and its answer is parsed by aiohttp's protocol."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

from s3proxy.store.answers import number_in
from s3proxy.store.pump import BodyPump, Lend, PumpedBody

READ_BYTES: Final = 1 << 17  # what is read ahead of an answer: half of it, then TCP holds the store back
MAX_HEADER_BYTES: Final = 1 << 14
GONE: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)
_MAX_INTERIM: Final = 16
_PARSED_AT_ONCE: Final = 72 << 10  # a head and an object of one chunk
_ONE_WRITE: Final = 1 << 16  # up to here a copy behind the head costs less than a system call of its own

Held = bytes | memoryview
Body = Held | AsyncIterator[Held] | None


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """An answer of the store whose head is there.

    Attributes:
        method: of the request.
        status: of HTTP.
        headers: by name, in any case.
        content: the body, to be read piece by piece.
        pump: for ``pumped``.
    """

    method: str
    status: int
    headers: Mapping[str, str]
    content: aiohttp.StreamReader
    pump: Lend = lambda _: None

    def pumped(self) -> PumpedBody:
        """Return the body to be read in large pieces, instead of ``content``."""
        return PumpedBody(self.content, self.pump)


class Connection(ResponseHandler):
    """One connection, with one request at a time.

    Attributes:
        idle_since: by ``time.monotonic``.
        on_progress: called whenever something has come, while no task waits for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_s: float) -> None:
        super().__init__(loop)
        self.idle_since = 0.0
        self.on_progress: Callable[[], None] | None = None
        self._idle_s = idle_s
        self._length: int | None = None  # of the body that comes; None for what needs the parser to its end
        self._sender: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; what comes together with a head is parsed, and so is to be little of what is long."""
        super().connection_made(transport)
        with contextlib.suppress(AttributeError):  # of asyncio's own transport; to others it may mean nothing
            transport.max_size = _PARSED_AT_ONCE  # type: ignore[attr-defined]

    def begin(self, method: str, *, read_timeout_s: float | None = None) -> None:
        """Be ready for the answer to a request."""
        self._drop_timeout()
        self.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=read_timeout_s,
            read_bufsize=READ_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def request(self, method: str, head: bytes, body: Body, *, is_sent: bool = False) -> StoreAnswer:
        """Send a request and wait for the head of its answer; whatever goes wrong closes the connection.

        Args:
            method: of the request.
            head: of the request.
            body: of the request.
            is_sent: whether that was done before, and only the answer is to be waited for.
        """
        try:
            if is_sent:
                self.on_progress = None
                self.read_timeout = self._idle_s
                self.start_timeout()
                message, content = await self.read()
            else:
                message, content = await self._send(method, head, body)
            interim = 0
            while message.code < HTTPStatus.OK:  # interim answers (RFC 9110, section 15.2)
                _require_end(interim := interim + 1)
                message, content = await self.read()
            if is_sent and content.is_eof():
                self._drop_timeout()  # all had come before it was set, and nobody else would
        except BaseException:
            self.abort()
            raise
        self._length = None if message.chunked else number_in(message.headers.get("Content-Length", ""))
        return StoreAnswer(method, message.code, message.headers, content, self.pump)

    def pump(self, content: aiohttp.StreamReader) -> BodyPump | None:
        """Lend the transport for the rest of a body, once what was parsed of it has been read.

        Of a body that has all come, whose connection may serve another exchange by now, there is no rest.
        """
        transport = self.transport
        if content is not self._payload or content.is_eof() or transport is None:
            return None
        if self._length is None or self._reading_paused:  # by what the parser has not parsed yet
            return None
        self._drop_timeout()
        return BodyPump(self, transport, self._length - content.total_bytes, idle_s=self._idle_s)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        """Go on receiving, unless the transport is lent: who still reads an answer before this one has no say in it."""
        if self.transport is None or self.transport.get_protocol() is self:
            super().resume_reading(resume_parser)

    def body_came(self) -> None:
        """Go on behind a body that went past the parser, which is of no use any longer; more bytes are none of ours."""
        self._parser = None
        if self._payload is not None:
            self._payload.feed_eof()

    def body_failed(self, error: BaseException | None, *, idle: bool = False) -> BaseException:
        """Take note that the connection ended in a body, or that nothing comes; return what a reader is told."""
        content = self._payload
        if idle:
            self._on_read_timeout()
        else:
            self.connection_lost(error)
        failure = content.exception() if content is not None else None
        return failure or aiohttp.ClientPayloadError("the connection ended before the body")

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        super().data_received(data)
        if data and self.on_progress is not None:  # aiohttp calls it without any when a body is read
            self.on_progress()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note the end."""
        super().connection_lost(exc)
        if self.on_progress is not None:
            self.on_progress()

    def answer_so_far(self, method: str) -> StoreAnswer | None:
        """Return the answer to a request if its head has come, and leave it there for whoever waits for it."""
        if not self._buffer:
            return None
        message, content = self._buffer[0][0]
        return StoreAnswer(method, message.code, message.headers, content)

    def take_answer(self) -> None:
        """Take what ``answer_so_far`` has returned."""
        self._buffer.popleft()

    def may_be_used_again(self) -> bool:
        """Return whether the exchange came to its end on both sides, and nothing came after it unasked."""
        return not self.should_close and self.is_connected() and (self._sender is None or self._sender.done())

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        if self._sender is not None:
            self._sender.cancel()
        self._drop_timeout()
        super().abort()

    async def _send(self, method: str, head: bytes, body: Body) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        self.begin(method, read_timeout_s=self._idle_s)
        if not isinstance(body, Held | None):
            return await self._stream(head, body)
        self.write_all(head, body or b"")
        self.start_timeout()
        return await self.read()

    async def _stream(self, head: bytes, body: AsyncIterator[Held]) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        """Send a body in pieces, and hear an answer that comes before its end, which is a refusal."""
        self._sender = asyncio.create_task(self._send_pieces(head, body))
        self._sender.add_done_callback(_retrieve)
        answer = asyncio.ensure_future(self.read())
        try:
            await asyncio.wait({self._sender, answer}, return_when=asyncio.FIRST_COMPLETED)
            if self._sender.done() and not answer.done():
                error = self._sender.exception()
                if error is not None and not isinstance(error, GONE):  # where it is, there may be an answer yet
                    raise error
                self.start_timeout()
            return await answer
        finally:
            answer.cancel()

    async def _send_pieces(self, head: bytes, body: AsyncIterator[Held]) -> None:
        self.write(head)
        async for piece in body:
            self.write(piece)
            if self.writing_paused:
                async with asyncio.timeout(self._idle_s):
                    await self._drain_helper()

    def write_all(self, head: bytes, body: Held) -> None:
        """Send a request whose body is there.

        Raises:
            aiohttp.ServerDisconnectedError: the connection has ended.
        """
        if len(body) <= _ONE_WRITE:
            self.write(b"".join((head, body)))
            return
        self.write(head)
        self.write(body)

    def write(self, data: Held) -> None:
        """Send bytes of a request.

        Raises:
            aiohttp.ServerDisconnectedError: the connection has ended.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        self.transport.write(data)


def _require_end(interim: int) -> None:
    if interim > _MAX_INTERIM:
        raise aiohttp.ClientPayloadError("too many interim answers")


def _retrieve(sender: "asyncio.Task[None]") -> None:
    """Take note of an error, so that asyncio does not print it; anyone who waits for the answer was told."""
    if not sender.cancelled():
        sender.exception()

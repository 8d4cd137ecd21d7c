"""What heads of requests may take of a connection, before anybody has looked at who sends them.

aiohttp bounds each line of a head, but a head may have 128 of them, a megabyte, which takes two, and five where each
has one rare character; and it reads on while a request is served. Behind an answer that its client does not take 32
such heads would stand. Behind a body in chunks there may be as many lines, of which nobody knows (RFC 9112, 7.1.2); and
the last of them becomes a header of the next request on the connection, which may be another client's where a balancer
stands between. So a connection on which such lines may have come serves its request and ends.

The parser does not tell where in what it is given a head begins, so it is given little at once, but of bodies.
"""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiohttp import web
from aiohttp.hdrs import CONTENT_LENGTH
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

MAX_HEAD_BYTES: Final = 64 << 10  # a key, its tags and the source of a copy, all percent-encoded, are half of it
_PIECE_BYTES: Final = 16 << 10  # that are parsed at once, and may be the begin of a head
_READ_AHEAD: Final = 2  # requests; what comes with them in one read of the socket is kept, too
_TOLD_CHARACTERS: Final = 500  # of why a head is refused, which quotes it; and its sender may not take the answer
_BETWEEN: Final = len(": \r\n")
_PLAIN_END: Final = b"\r\n0\r\n\r\n"  # of a body in chunks, with no lines behind it

_Messages = Sequence[tuple[Any, Any]]  # (message, body) of each head that has ended
_Fed = tuple[_Messages, bool, bytes]
_NOTHING: Final[_Fed] = ((), False, b"")


def bound_heads(handler: web.RequestHandler) -> None:
    """Have what serves a connection, which has not begun, take no long head, and not many of them ahead."""
    # aiohttp has settings for the lines of a head only.
    handler._parser = _BoundedParser(handler._parser, handler)  # type: ignore[assignment]  # noqa: SLF001 - all that is used of one
    handler._max_msg_queue_size = _READ_AHEAD  # noqa: SLF001
    handler._msg_queue_resume_size = _READ_AHEAD - 1  # noqa: SLF001


class _BoundedParser:
    """A parser of aiohttp, but for heads that are too long, and lines behind a body that are."""

    __slots__ = (
        "_body", "_body_bytes", "_feed", "_handler", "_head", "_head_bytes", "_kept", "_tail",
        "feed_eof", "message_consumed", "pause_reading", "set_upgraded",
    )  # fmt: skip

    def __init__(self, parser: Any, handler: web.RequestHandler) -> None:  # noqa: ANN401 - it has no type where it is made in C
        """Take the parser, which has read nothing, and whose it is."""
        self._feed: Callable[[bytes], _Fed] = parser.feed_data
        self._handler = handler
        self._head: Any = None  # of the body that comes
        self._body: Any = None
        self._body_bytes = 0  # of it, that have come
        self._head_bytes = _PIECE_BYTES  # since a head, or some of a body; with these may have come what is of the next
        self._tail = b""  # what came last
        self._kept = b""  # what is not parsed yet
        self.feed_eof: Callable[[], object] = parser.feed_eof
        self.message_consumed: Callable[[], object] = parser.message_consumed
        self.pause_reading: Callable[[], object] = parser.pause_reading
        self.set_upgraded: Callable[[bool], object] = parser.set_upgraded

    def feed_data(self, data: bytes) -> _Fed:
        """Parse what comes; nothing any longer once it was refused.

        Where it is within a body, the connection is cut: whoever waits for that learns of it, and nobody else would.

        Raises:
            HttpProcessingError: it is malformed, or a head is too long.
        """
        body = self._body
        try:
            if self._kept or len(data) > _PIECE_BYTES:
                return self._feed_long(data)
            fed = self._feed(data)
            if fed is not _NOTHING:
                self._count(fed[0], data)
        except HttpProcessingError as error:
            self._end(error)
            if body is None or body.is_eof():
                raise
            if self._handler.transport is not None:
                asyncio.get_running_loop().call_soon(self._handler.transport.abort)  # what serves it may just begin
            return _NOTHING
        return fed

    def _feed_long(self, data: bytes) -> _Fed:
        """Parse until it is enough for now; what is left is kept until a call, which then has no data."""
        messages: list[tuple[Any, Any]] = []
        at, end = 0, _PIECE_BYTES
        if self._kept:
            data, self._kept = self._kept + data, b""
            end = 0  # at first what the parser has kept itself
        elif self._is_of_body(len(data)):
            end = len(data)
        while True:
            piece = data[at:end]
            parsed, is_upgraded, behind = fed = self._feed(piece)
            if fed is not _NOTHING:
                self._count(parsed, piece)
            messages += parsed
            if is_upgraded:
                return messages, True, behind + data[end:]
            if end >= len(data):
                return messages, False, b""
            if self._is_enough(len(messages)):
                self._kept = data[end:]
                return messages, False, b""
            at, end = end, end + _PIECE_BYTES

    def _is_of_body(self, length: int) -> bool:
        """Return whether all that comes is of the body that was announced."""
        if self._body is None:
            return False
        left: int = int(self._head.headers.get(CONTENT_LENGTH, 0)) - self._body.total_bytes
        return left >= length

    def _is_enough(self, parsed: int) -> bool:
        """Return whether what serves the connection waits, and asks for more when it does not any longer."""
        handler = self._handler
        return handler._reading_paused or len(handler._messages) + parsed >= _READ_AHEAD  # noqa: SLF001

    def _end(self, error: HttpProcessingError) -> None:
        """Let go of what was read; and, when the error is told, of what its frames hold, the parser among it."""
        error.message = error.message[:_TOLD_CHARACTERS]
        self._head = self._body = None
        self._kept = b""
        self._feed = lambda _: _NOTHING
        self.set_upgraded = lambda _: None
        self.feed_eof = self.pause_reading = lambda: None
        self.message_consumed = lambda: traceback.clear_frames(error.__traceback__)

    def _count(self, messages: _Messages, data: bytes) -> None:
        length = len(data)
        if messages:
            if self._head_bytes + length > MAX_HEAD_BYTES:  # or else no head in it can be too long
                for message, _ in messages:
                    _require_short(_length_of(message))
            if any(message.chunked for message, _ in messages[:-1]):  # nobody knows what stood between them
                self._handler._close = True  # noqa: SLF001 - its ``close`` is for a connection that serves nothing
            self._head, self._body = messages[-1]
        self._note_end(data)
        if not messages and (self._body is None or self._body.total_bytes == self._body_bytes):
            self._head_bytes += length  # of a head, or of what stands between and behind chunks
            _require_short(self._head_bytes - _PIECE_BYTES)
            if self._body is None or not self._body.is_eof():
                return
        self._head_bytes = _PIECE_BYTES
        if self._body.is_eof():
            self._head = self._body = None
        else:
            self._body_bytes = self._body.total_bytes

    def _note_end(self, data: bytes) -> None:
        """Have the connection end with its request where lines may have come behind a body in chunks."""
        self._tail = (self._tail + data[-len(_PLAIN_END) :])[-len(_PLAIN_END) :]
        if self._head is not None and self._head.chunked and self._body.is_eof() and self._tail != _PLAIN_END:
            self._handler._close = True  # noqa: SLF001 - as above


def _length_of(message: Any) -> int:  # noqa: ANN401 - as above
    return len(message.path) + sum(len(name) + len(value) + _BETWEEN for name, value in message.raw_headers)


def _require_short(length: int) -> None:
    if length > MAX_HEAD_BYTES:
        raise LineTooLong("the head of a request", MAX_HEAD_BYTES)

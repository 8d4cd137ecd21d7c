"""What heads of requests may take of a connection, before anybody has looked at who sends them.

aiohttp bounds each line of a head, but a head may have 128 of them, a megabyte, which takes two; and it reads on while
a request is served. Behind an answer that its client does not take 32 such heads would stand.
"""

import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

MAX_HEAD_BYTES: Final = 64 << 10  # a key, its tags and the source of a copy, all percent-encoded, are half of it
_READ_AHEAD: Final = 2  # requests; what comes with them in one read of the socket is kept, too
_BETWEEN: Final = len(": \r\n")

_Messages = Sequence[tuple[Any, Any]]  # (message, body) of each head that has ended
_Fed = tuple[_Messages, bool, bytes]
_NOTHING: Final[_Fed] = ((), False, b"")


def bound_heads(handler: web.RequestHandler) -> None:
    """Have what serves a connection, which has not begun, take no long head, and not many of them ahead."""
    # aiohttp has settings for the lines of a head only.
    handler._parser = _BoundedParser(handler._parser)  # type: ignore[assignment]  # noqa: SLF001 - all that is used of one
    handler._max_msg_queue_size = _READ_AHEAD  # noqa: SLF001
    handler._msg_queue_resume_size = _READ_AHEAD - 1  # noqa: SLF001


class _BoundedParser:
    """A parser of aiohttp, but for heads that are too long."""

    __slots__ = (
        "_body", "_feed", "_head_bytes", "feed_eof", "message_consumed", "pause_reading", "set_upgraded",
    )  # fmt: skip

    def __init__(self, parser: Any) -> None:  # noqa: ANN401 - it has no type where it is made in C
        """Take the parser, which has read nothing."""
        self._feed: Callable[[bytes], _Fed] = parser.feed_data
        self._body: Any = None  # that comes
        self._head_bytes = 0  # of the head that comes
        self.feed_eof: Callable[[], object] = parser.feed_eof
        self.message_consumed: Callable[[], object] = parser.message_consumed
        self.pause_reading: Callable[[], object] = parser.pause_reading
        self.set_upgraded: Callable[[bool], object] = parser.set_upgraded

    def feed_data(self, data: bytes) -> _Fed:
        """Parse what comes; nothing any longer once it was refused.

        Raises:
            HttpProcessingError: it is malformed, or a head is too long.
        """
        try:
            fed = self._feed(data)
            if fed is not _NOTHING:
                self._count(fed[0], len(data))
        except HttpProcessingError as error:
            self._end(error)
            raise
        return fed

    def _end(self, error: HttpProcessingError) -> None:
        """Let go of what was read; and, when the error is told, of what its frames hold, itself among it."""
        self._body = None
        self._feed = lambda _: _NOTHING
        self.set_upgraded = lambda _: None
        self.feed_eof = self.pause_reading = lambda: None
        self.message_consumed = lambda: traceback.clear_frames(error.__traceback__)

    def _count(self, messages: _Messages, length: int) -> None:
        if messages:
            if self._head_bytes + length > MAX_HEAD_BYTES:  # or else no head in it can be too long
                for message, _ in messages:
                    _require_short(_length_of(message))
            body = messages[-1][1]
            self._body = None if body.is_eof() else body
            self._head_bytes = 0
        elif self._body is None:
            self._head_bytes += length
            _require_short(self._head_bytes)
        elif self._body.is_eof():
            self._body = None


def _length_of(message: Any) -> int:  # noqa: ANN401 - as above
    return len(message.path) + sum(len(name) + len(value) + _BETWEEN for name, value in message.raw_headers)


def _require_short(length: int) -> None:
    if length > MAX_HEAD_BYTES:
        raise LineTooLong("the head of a request", MAX_HEAD_BYTES)

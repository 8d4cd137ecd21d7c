"""The rest of a body, received past the parser of HTTP into buffers that are used in turn.

A parser copies what it parses, into bytes that are made anew for each read. A body of a known length needs none: from
the first byte on that has not been read, the transport of its connection is lent to a ``BodyPump``, and what comes is
received where it is opened. When all of the body has come, the transport is given back, and the connection is told.

Invariants: nothing that does not belong to the body is given to anybody; if something follows it at once, its
connection serves nobody else. A body that ends early is an error, never an end. Two buffers at most; while there is no
room in them the transport is paused. Only time in which the other side could send counts as idle.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import aiohttp

BUFFER_BYTES: Final = 4 * ((1 << 16) + 16)  # four stored chunks of a whole object; asyncio would read as much at once


class Lender(Protocol):
    """A connection that lends its transport."""

    def body_came(self) -> None:
        """Go on behind the body."""

    def force_close(self) -> None:
        """Serve nobody else."""

    def body_failed(self, error: BaseException | None, *, idle: bool = False) -> BaseException:
        """Take note that the connection ended, or that nothing comes; return what a reader is told."""

    def pause_writing(self) -> None:
        """Write nothing more for now."""

    def resume_writing(self) -> None:
        """Go on writing."""


class BodyPump(asyncio.BufferedProtocol):
    """Receives the rest of one body."""

    def __init__(self, lender: Lender, transport: asyncio.Transport, left: int, *, idle_s: float) -> None:
        """Take the transport over.

        Args:
            lender: gets it back.
            transport: open, and not paused.
            left: of the body, in bytes.
            idle_s: to wait for the next byte.
        """
        self._lender = lender
        self._transport = transport
        self._left = left
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._filling = _buffer_for(left)
        self._other: memoryview | None = None  # once it is needed: whoever keeps up needs it from the second read on
        self._filled = 0
        self._unit = 1
        self._align(1)
        self._is_paused = False
        self._failure: BaseException | None = None
        self._reader: asyncio.Future[memoryview] | None = None
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(idle_s, self._look)
        transport.set_protocol(self)

    async def read(self, to_bound: int, unit: int) -> memoryview:
        """Return what comes next, nothing at the end of the body. It is valid until the next call.

        Args:
            to_bound: return as soon as there are this many bytes, or the buffer is full.
            unit: bytes from that bound to the next, and so on; what is returned ends at one of them where it can.

        Raises:
            aiohttp.ClientError, TimeoutError: the body ends early, or does not come.
        """
        self._unit = unit
        self._align(to_bound)
        if self._failure is not None:
            raise self._failure
        if self._filled >= self._due or not self._left:
            return self._hand_over()
        self._resume()
        self._reader = self._loop.create_future()
        try:
            return await self._reader
        finally:
            self._reader = None

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - of the interface
        """Return where to receive; there is room unless the transport is paused.

        Behind the end of the body there is one byte more: what follows at once shows by that, and must not be left in
        the kernel, where the next request over the connection would find it as its answer.
        """
        return self._filling[self._filled : self._end + (self._end == self._filled + self._left)]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of what was received."""
        if nbytes > self._left:
            nbytes = self._left
            self._lender.force_close()
        self._filled += nbytes
        self._left -= nbytes
        self._heard_at = self._loop.time()
        if not self._left:
            self._timer.cancel()
            self._transport.set_protocol(self._lender)  # type: ignore[arg-type]
            self._lender.body_came()
        if self._reader is not None and not self._reader.done():
            if self._filled >= self._due or not self._left:
                self._reader.set_result(self._hand_over())
        elif self._left and self._filled == self._end:
            self._is_paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the body early."""
        self._timer.cancel()
        self._fail(self._lender.body_failed(exc))

    def pause_writing(self) -> None:
        """Tell the lender, which may be sending."""
        self._lender.pause_writing()

    def resume_writing(self) -> None:
        """Tell the lender."""
        self._lender.resume_writing()

    def _align(self, to_bound: int) -> None:
        """Have what is received from here on end at a bound, as far as it is not there already."""
        size, self._bound = len(self._filling) - 1, to_bound
        end = to_bound + (size - to_bound) // self._unit * self._unit if to_bound <= size else size
        self._end = min(end if end > self._filled else size, self._filled + self._left)
        self._due = min(to_bound, self._end)

    def _hand_over(self) -> memoryview:
        """Return what is there, and receive into the other buffer, which nobody reads any longer."""
        view, filled = self._filling[: self._filled], self._filled
        if self._left:
            if self._other is None:
                self._other = _buffer_for(self._left)
            self._filling, self._other = self._other, self._filling
        self._filled = 0
        self._align((self._bound - filled) % self._unit or self._unit)
        self._resume()
        return view

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    def _look(self) -> None:
        quiet_s = 0.0 if self._is_paused else self._loop.time() - self._heard_at
        if quiet_s < self._idle_s:
            self._timer = self._loop.call_later(self._idle_s - quiet_s, self._look)
        else:
            self._fail(self._lender.body_failed(None, idle=True))

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        if self._reader is not None and not self._reader.done():
            self._reader.set_exception(error)


def _buffer_for(left: int) -> memoryview:
    """Return where to receive some of this many bytes, and one more."""
    return memoryview(bytearray(min(left, BUFFER_BYTES) + 1))


# Given a body of which nothing waits to be read: returns what receives the rest, None if it goes on being parsed.
Lend = Callable[[aiohttp.StreamReader], BodyPump | None]


class PumpedBody:
    """A body: what of it was parsed before anybody asked, and then what is received past the parser."""

    def __init__(self, content: aiohttp.StreamReader, lend: Lend) -> None:
        """Take where it is parsed, and what has the rest received past that."""
        self._content = content
        self._lend = lend
        self._pump: BodyPump | None = None

    async def read(self, to_bound: int, unit: int) -> memoryview:
        """Return what comes next, nothing at the end of the body. It is valid until the next call.

        Args:
            to_bound: as ``BodyPump.read`` has it, from the bytes that come next.
            unit: as ``BodyPump.read`` has it.

        Raises:
            aiohttp.ClientError, TimeoutError: the body ends early, or does not come.
        """
        if self._pump is None:
            if parsed := self._content.read_nowait():
                return memoryview(parsed)
            self._pump = self._lend(self._content)
        if self._pump is None:
            return memoryview(await self._content.readany())
        return await self._pump.read(to_bound, unit)

    async def pieces(self) -> AsyncIterator[memoryview]:
        """Yield all of it as it comes. A piece is valid until the next one is asked for.

        Raises:
            aiohttp.ClientError, TimeoutError: as ``read``.
        """
        while piece := await self.read(1, 1):
            yield piece

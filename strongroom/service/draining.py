"""The requests in flight, and the end of a server: nothing is aborted that would still have come to its end.

aiohttp has an end of its own (``Server.pre_shutdown``), which is not used: from then on it throws away what clients
send, so that an upload under way stands still until it is cut.
"""

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Iterator

from aiohttp import web

from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
_POLL_S = 0.01  # asyncio does not tell when a transport that is closing has sent its last byte


class RequestsAtWork:
    """Counts requests, and drains their server. ``len`` is how many are in flight."""

    def __init__(self) -> None:
        """Begin with none."""
        self._count = 0
        self._ends = False
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()  # that may have answers to send

    def __len__(self) -> int:
        """Return how many are in flight."""
        return self._count

    @contextlib.contextmanager
    def track(self, request: web.BaseRequest) -> Iterator[None]:
        """Count a request until its handler has answered it."""
        if request.transport is not None:
            self._transports.add(request.transport)
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        """Count a request on a connection that had one before; ``end`` is to be called when it was answered."""
        self._count += 1

    def end(self) -> None:
        """Count it no longer."""
        self._count -= 1

    @property
    def is_ending(self) -> bool:
        """Whether the server is at its end: each answer is the last one of its connection."""
        return self._ends

    def answered(self, response: web.StreamResponse) -> None:
        """Make an answer the last one of its connection if the server is at its end.

        Call this with every answer before it is prepared, and again when it was a long one.
        """
        if self._ends:
            response.force_close()

    async def drain(self, runner: web.BaseRunner, *, timeout_s: float) -> None:
        """Close the connections that are idle, and every other one once its request is answered and the answer sent.

        An answer is sent when the kernel has all of it: until then it is in buffers of this process, which end with it.

        Args:
            runner: of the server, which no longer accepts connections.
            timeout_s: to wait for clients; anyone who is not done by then is cut by the runner's cleanup.
        """
        log_event(_log, logging.INFO, "draining", {"requests": self._count})
        self._ends = True
        left = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    unsent = sum(not _is_sent(transport) for transport in self._transports)
                    left = max(unsent, _close_idle(runner))
                    if not left and not self._count:
                        return
                    await asyncio.sleep(_POLL_S)
        log_event(_log, logging.WARNING, "drain_incomplete", {"requests": self._count, "connections": left})


def _close_idle(runner: web.BaseRunner) -> int:
    """Close the connections on which the server waits for a request, and return how many others are open."""
    assert runner.server is not None  # noqa: S101 - set up
    others = 0
    for connection in runner.server.connections:
        # Public names do not tell. A request that was read, and is not yet at work, is no longer waited for.
        waiter = connection._waiter  # noqa: SLF001
        if waiter is not None and not waiter.done():
            connection.force_close()
        elif connection.transport is not None and not connection.transport.is_closing():
            others += 1
    return others


def unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """Return how much was written to a transport that the kernel does not have yet."""
    # A transport of TLS tells what it has not encrypted yet, and nothing public tells what is encrypted and not sent.
    tls = getattr(transport, "_ssl_protocol", transport)
    if tls is None:
        return 0  # it has gone
    below = getattr(tls, "_transport", None)
    return transport.get_write_buffer_size() + (below.get_write_buffer_size() if below else 0)


def _is_sent(transport: asyncio.Transport) -> bool:
    return transport.is_closing() and not unsent_bytes(transport)

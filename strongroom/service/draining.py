"""The requests at work, and the end of a server: nothing is broken off that would still have come to its end.

aiohttp has an end of its own (``Server.pre_shutdown``), which is not used: from then on it throws away what clients
send, so that an upload under way stands still until it is cut.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from aiohttp import web

from strongroom.logs import log_event

_log = logging.getLogger(__name__)
_POLL_S = 0.01  # asyncio does not tell when a transport that is closing has sent its last byte


class RequestsAtWork:
    """Counts requests, and drains their server. ``len`` is how many are at work."""

    def __init__(self) -> None:
        """Begin with none."""
        self._busy: set[asyncio.Protocol] = set()
        self._ends = False
        self._last: set[asyncio.Protocol] = set()  # with their last request: aiohttp closes them after its answer

    def __len__(self) -> int:
        """Return how many are at work."""
        return len(self._busy)

    @contextlib.contextmanager
    def track(self, request: web.BaseRequest) -> Iterator[None]:
        """Count a request until its handler has answered it."""
        connection = request.protocol
        self._busy.add(connection)
        try:
            yield
        finally:
            self._busy.discard(connection)
            if self._ends:
                self._last.add(connection)

    def answered(self, response: web.StreamResponse) -> None:
        """Make an answer the last one of its connection if the server is at its end; call this with every answer."""
        if self._ends:
            response.force_close()

    async def drain(self, runner: web.BaseRunner, *, timeout_s: float) -> None:
        """Close the connections that are idle, and every other one once its request is answered and the answer sent.

        An answer is sent when the kernel has all of it: until then it is in buffers of this process, which end with it.

        Args:
            runner: of the server, which no longer accepts connections.
            timeout_s: to wait for clients; whoever is not done by then is cut by the runner's cleanup.
        """
        log_event(_log, logging.INFO, "draining", {"requests": len(self)})
        self._ends = True
        left: set[asyncio.WriteTransport] = set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(_POLL_S)  # what has just arrived comes to its handler
                while True:
                    left = {transport for transport in left | self._close_idle(runner) if not _is_sent(transport)}
                    if not left and not self._busy:
                        return
                    await asyncio.sleep(_POLL_S)
        log_event(_log, logging.WARNING, "drain_incomplete", {"requests": len(self), "connections": len(left)})

    def _close_idle(self, runner: web.BaseRunner) -> set[asyncio.WriteTransport]:
        """Return the transports of all connections; those of idle ones are closing."""
        assert runner.server is not None  # noqa: S101 - set up
        transports: set[asyncio.WriteTransport] = set()
        for connection in runner.server.connections:
            if isinstance(connection.transport, asyncio.WriteTransport):
                transports.add(connection.transport)
                if connection not in self._busy and connection not in self._last:
                    connection.force_close()
        return transports


def _is_sent(transport: asyncio.WriteTransport) -> bool:
    # A transport of TLS tells what it has not encrypted yet, and nothing public tells what is encrypted and not sent.
    tls = getattr(transport, "_ssl_protocol", transport)
    if tls is None:
        return True  # it has gone
    below = getattr(tls, "_transport", None)
    written = not transport.get_write_buffer_size() and not (below and below.get_write_buffer_size())
    return transport.is_closing() and written

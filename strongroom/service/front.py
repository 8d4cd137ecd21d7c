"""A front: what a server answers with on one port. ``HttpFront`` is that of HTTP and HTTPS."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from strongroom.service.draining import RequestsAtWork
from strongroom.service.listening import Listener, Port, addresses_of, listen

_SHUTDOWN_S = 1.0  # for what our own drain has left
_HEADERS = 32  # twice as many as browsers send
_READ_BYTES = 16 << 10  # of a body kept unread at most twice this, and a sixteenth as many pieces
Answering = Awaitable[web.StreamResponse]
Handler = Callable[[web.BaseRequest], Answering]


class Front(Protocol):
    """What a server answers with on one port."""

    @property
    def name(self) -> str:
        """What the port is called in the ``listening`` event."""

    async def open(self) -> list[str]:
        """Begin to serve, and return the addresses.

        Raises:
            ConfigError: the address cannot be listened on.
        """

    def stop_accepting(self) -> None:
        """Take no new connection; those that there are go on."""

    async def drain(self, timeout_s: float) -> None:
        """Finish the requests in flight, for at most this long."""

    async def close(self) -> None:
        """Cut what is left."""


class HttpFront:
    """HTTP on one port."""

    def __init__(
        self,
        port: Port,
        serves: web.Application | Handler,
        *,
        requests: RequestsAtWork | None = None,
        server: Callable[..., web.Server] = web.Server,
        **options: float,
    ) -> None:
        """Take what is served; nothing is listening yet. Needs a running event loop.

        Args:
            port: where.
            serves: an application, or what answers every request.
            requests: in flight, if ``serves`` counts them itself.
            server: makes aiohttp's server of what answers every request.
            options: of aiohttp's protocol, such as ``keepalive_timeout``.
        """
        self.name = port.name
        self._port = port
        self._requests = RequestsAtWork() if requests is None else requests
        self._listener: Listener | None = None
        # A stranger's compressed 64 KiB can become 64 MiB; 128 headers of 8 KiB would be kept until a head is complete;
        # of a body that nobody reads 16,384 pieces, of which one of two bytes takes 85.
        protocol: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "max_headers": _HEADERS,
            "read_bufsize": _READ_BYTES,
            **options,
        }
        ends: dict[str, Any] = {"handle_signals": False, "shutdown_timeout": _SHUTDOWN_S}
        if isinstance(serves, web.Application):
            if requests is None:
                serves.middlewares.append(self._count)
            self.runner: web.BaseRunner = web.AppRunner(serves, **protocol, **ends)
        else:
            counted = serves if requests is not None else partial(self._count, handler=serves)
            self.runner = web.ServerRunner(server(counted, **protocol), **ends)

    async def open(self) -> list[str]:
        """Begin to serve, and return the addresses.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        await self.runner.setup()
        self._listener = await listen(self.runner, self._port)
        return addresses_of(self._listener)

    def stop_accepting(self) -> None:
        """Take no new connection; those that there are go on."""
        if self._listener is not None:
            self._listener.close()

    async def drain(self, timeout_s: float) -> None:
        """Finish the requests in flight, for at most this long."""
        if self._listener is not None:
            await self._requests.drain(self.runner, timeout_s=timeout_s)

    async def close(self) -> None:
        """Cut what is left."""
        self.stop_accepting()
        await self.runner.cleanup()

    @web.middleware
    async def _count(self, request: web.BaseRequest, handler: Callable[[Any], Answering]) -> web.StreamResponse:
        with self._requests.track(request):
            response = await handler(request)
            self._requests.answered(response)
            return response

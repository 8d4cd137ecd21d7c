"""A front that answers with gRPC, beside health (``grpc.health.v1``) and reflection (``grpc.reflection.v1alpha``).

What fails is told by the table of ``strongroom.service.edges``, and what nobody expected is told to nobody: gRPC's own
servers send the text of an exception to their clients, and a text may hold a value. The hint goes along as ``hint-bin``
in the trailing metadata (UTF-8), and the pause of an answer that asks for one as ``retry-after`` (seconds).

gRPC accepts its connections itself, so their number and their times are bounded by its own options here, and not by
``strongroom.service.connections``.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from strongroom.errors import ConfigError, StrongroomError
from strongroom.service.edges import edge_of, pause_of
from strongroom.service.health import FRESH_S, Health
from strongroom.service.listening import Port, parse_listen
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
_LONGEST_DRAIN_S = 3600.0  # ``drain`` says the real one
_IDENTITY_ONLY = 1  # GRPC_COMPRESS_NONE: a stranger's compressed KiB could become a MiB
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Context = Any  # grpc.aio.ServicerContext, and below: gRPC's own classes take no type parameters when they run
Message = Any
RpcHandler = Any
Method = Callable[[Message, Context], Awaitable[Message]]
StreamMethod = Callable[[Message, Context], AsyncIterator[Message]]
Service = Callable[[grpc.aio.Server], object]
"""Adds a service to a server: what gRPC's compiler generates as ``add_…Servicer_to_server``, with its servicer."""


@dataclass(frozen=True, kw_only=True)
class GrpcLimits:
    """What clients may take.

    Attributes:
        message_bytes: of one request.
        metadata_bytes: of one request's metadata.
        connections: open at once.
        calls: in flight on one connection.
        handshake_s: seconds for TLS and the first frame of HTTP/2.
        idle_s: seconds that a connection without a call is kept.
    """

    message_bytes: int = 1 << 20
    metadata_bytes: int = 8 << 10
    connections: int = 512
    calls: int = 100
    handshake_s: float = 10.0
    idle_s: float = 60.0

    @property
    def options(self) -> list[tuple[str, int]]:
        """As gRPC's core names them (https://grpc.github.io/grpc/core/group__grpc__arg__keys.html)."""
        return [
            ("grpc.max_receive_message_length", self.message_bytes),
            ("grpc.max_metadata_size", self.metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.metadata_bytes),
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.max_concurrent_streams", self.calls),
            ("grpc.server_handshake_timeout_ms", round(self.handshake_s * 1000)),
            ("grpc.max_connection_idle_ms", round(self.idle_s * 1000)),
            ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
        ]


class GrpcFront:
    """gRPC on one port."""

    def __init__(
        self,
        port: Port,
        services: Mapping[str, Service],
        *,
        health: Health,
        credentials: grpc.ServerCredentials | None = None,
        limits: GrpcLimits | None = None,
    ) -> None:
        """Take what is served; nothing is listening yet. Needs a running event loop.

        Args:
            port: where; gRPC has its own connections and TLS, so those of the port are not used.
            services: by their full names, such as ``strongroom.v1.Bridge``.
            health: what health checks are answered by.
            credentials: TLS of the port; without them it is plain.
            limits: for clients.
        """
        self.name = port.name
        self._port = port
        self._credentials = credentials
        options = [*(limits or GrpcLimits()).options, ("grpc.so_reuseport", int(port.share_port))]
        self._server = grpc.aio.server(interceptors=[_Edge()], options=options)
        for add in services.values():
            add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(_HealthServicer(health, services), self._server)
        names = [*services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, self._server)
        self._stopping: asyncio.Task[None] | None = None

    async def open(self) -> list[str]:
        """Begin to serve, and return the address.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        host, number = parse_listen(self._port.address, self._port.setting)
        shown = f"[{host or '::'}]" if host is None or ":" in host else host
        try:
            if self._credentials is None:
                number = self._server.add_insecure_port(f"{shown}:{number}")
            else:
                number = self._server.add_secure_port(f"{shown}:{number}", self._credentials)
        except RuntimeError:
            msg = f"{self._port.setting}={self._port.address}: cannot be listened on"
            raise ConfigError(msg, hint="end what holds the port, or take another one") from None
        await self._server.start()
        return [f"{shown}:{number}"]

    def stop_accepting(self) -> None:
        """Take no new connection and no new call; those that there are go on."""
        self._stopping = asyncio.get_running_loop().create_task(self._server.stop(_LONGEST_DRAIN_S))

    async def drain(self, timeout_s: float) -> None:
        """Finish the calls in flight, for at most this long."""
        await self._server.stop(timeout_s)

    async def close(self) -> None:
        """Cut what is left."""
        await self._server.stop(None)
        if self._stopping is not None:
            await self._stopping


class _Edge(grpc.aio.ServerInterceptor):
    """Has every call tell its errors by the table of edges."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[RpcHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> RpcHandler:
        handler = await continuation(handler_call_details)
        if handler is None:  # there is no such method
            return None
        name = handler_call_details.method
        kind = "_".join("stream" if one else "unary" for one in (handler.request_streaming, handler.response_streaming))
        wrap = _telling_of_streams if handler.response_streaming else _telling
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            wrap(getattr(handler, kind), name),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _telling(
    method: Callable[[Message, Context], Awaitable[Message]], name: str
) -> Callable[[Message, Context], Awaitable[Message]]:
    async def call(request: Message, context: Context) -> Message:
        try:
            return await method(request, context)
        except Exception as error:  # noqa: BLE001 - the edge
            await _abort(context, error, name)

    return call


def _telling_of_streams(method: StreamMethod, name: str) -> StreamMethod:
    async def call(request: Message, context: Context) -> AsyncIterator[Message]:
        try:
            async for message in method(request, context):
                yield message
        except Exception as error:  # noqa: BLE001 - the edge
            await _abort(context, error, name)

    return call


async def _abort(context: Context, error: Exception, method: str) -> None:
    """End a call with what the table says of an error; one that is none of ours is told by its class, to the log."""
    if isinstance(error, grpc.aio.AbortError):  # the method has said it itself
        raise error
    if not isinstance(error, StrongroomError):
        log_event(_log, logging.ERROR, "call_failed", {"method": method}, error=error)
        await context.abort(grpc.StatusCode.INTERNAL, "a mistake of ours; please report it, with the log's line")
        return
    trailing: list[tuple[str, str | bytes]] = [("hint-bin", error.hint.encode())] if error.hint else []
    pause_s = pause_of(error)
    if pause_s:
        trailing.append(("retry-after", str(pause_s)))
    await context.abort(_CODES[edge_of(type(error)).grpc], error.message, tuple(trailing))


class _HealthServicer(health_pb2_grpc.HealthServicer):
    """Answers for all services by the readiness of the server."""

    def __init__(self, health: Health, services: Iterable[str]) -> None:
        self._health = health
        self._known = {"", *services}

    async def Check(self, request: Message, context: Context) -> Message:  # noqa: N802 - gRPC's
        if request.service not in self._known:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return await self._now(request.service)

    async def Watch(self, request: Message, _: Context) -> AsyncIterator[Message]:  # noqa: N802 - gRPC's
        told, ends = None, False
        while not ends:  # a watcher does not hold up the end of the server
            ends = self._health.draining
            now = await self._now(request.service)
            if now != told:
                yield now
            told = now
            if not ends:
                await asyncio.sleep(FRESH_S)

    async def _now(self, service: str) -> Message:
        states = health_pb2.HealthCheckResponse
        if service not in self._known:
            return states(status=states.SERVICE_UNKNOWN)
        return states(status=states.SERVING if await self._health.is_ready() else states.NOT_SERVING)

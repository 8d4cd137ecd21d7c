"""The HTTPS front of the service: reads requests, calls the service, writes answers and problems (RFC 9457)."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from bridge.admission import Places, decode_body
from bridge.audit import Caller, Operation
from bridge.fronts.answers import InPieces, in_pieces, problem_of, problem_response
from bridge.fronts.callers import Callers
from bridge.metrics import Metrics
from bridge.offload import compute
from bridge.room import Room
from bridge.service import Service
from strongroom.errors import ConfigError, DeniedError, StrongroomError
from strongroom.launch.bundle import (
    BUNDLE_URL_PATH,
    CHECK_URL_PATH,
    FILES_MEDIA_TYPE,
    PLAN_URL_PATH,
    REGION_MEDIA_TYPE,
    BundleRequest,
)
from strongroom.launch.problem import Problem
from strongroom.service.connections import Connections
from strongroom.service.draining import RequestsAtWork
from strongroom.service.edges import TooLargeError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
_COMMON_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "strongroom"}
_ROUTES = {BUNDLE_URL_PATH: Operation.BUNDLE, PLAN_URL_PATH: Operation.PLAN, CHECK_URL_PATH: Operation.CHECK}
_BYTES_OF_AN_ENTRY = 80  # in a request, about

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    """The routes and what all of them have in common."""

    def __init__(
        self, service: Service, callers: Callers, connections: Connections, metrics: Metrics, places: Places
    ) -> None:
        """Take the service, what knows the callers, their connections, the metrics, and what callers may take."""
        self._service = service
        self._callers = callers
        self._connections = connections
        self._metrics = metrics
        self._places = places
        self._most_bytes = places.capacity.body_bytes
        self.requests = RequestsAtWork()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=self._most_bytes, middlewares=[self._around])
        for path, operation in _ROUTES.items():
            app.router.add_post(path, partial(self._serve, operation))
        return app

    async def _serve(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        caller, asked, room = await self._admit(request, operation)
        media_type = "application/json"
        if operation is Operation.BUNDLE:
            body = await self._service.bundle(caller, asked, room)
            media_type = FILES_MEDIA_TYPE if asked.has_files else REGION_MEDIA_TYPE
        elif operation is Operation.PLAN:
            body = await self._service.plan(caller, asked, room)
        else:
            body = await self._service.check(caller, asked, room)
        return web.Response(body=body, content_type=media_type)  # a bytes body sets Content-Length

    async def _admit(self, request: web.Request, operation: Operation) -> tuple[Caller, BundleRequest, Room]:
        """Find out who asks, and only then for what."""
        try:
            identity = self._callers.peer(request).identity
        except DeniedError:
            request["certificate"] = self._callers.certificate_of(request)
            raise
        name = request["identity"] = str(identity)
        caller = Caller(identity, request.remote or "", request["request_id"], operation)
        try:
            self._service.require_named(caller)
        except DeniedError as error:
            with self._places.take(name, 0):
                await self._service.record_unnamed(caller, error)
            raise
        if (request.content_length or 0) > self._most_bytes:
            raise self._too_large()
        if "Content-Encoding" in request.headers:
            raise ConfigError("the body has a Content-Encoding, and none is taken", hint="send it as it is")
        if request.content.is_eof():  # it has come with the head, and is in memory
            body = await self._read(request)
        else:
            with self._connections.waiting(request):
                body = await self._places.arrivals.wait_for(name, lambda: self._read(request))
        room = request["place"].enter_context(self._places.take(name, len(body)))
        return caller, await compute(len(body) // _BYTES_OF_AN_ENTRY, partial(decode_body, body)), room

    async def _read(self, request: web.Request) -> bytes:
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise self._too_large() from None

    def _too_large(self) -> TooLargeError:
        msg = f"the body is larger than {self._most_bytes} bytes"
        return TooLargeError(msg, hint="ask for less, or raise max_body_bytes of the bridge")

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Limit, measure, log, and turn errors into problems."""
        begin = time.monotonic()
        request["request_id"] = secrets.token_hex(8)
        response: web.StreamResponse | None = None
        try:
            # Its place is taken until the caller has its answer: one that is not read is in our memory.
            with self.requests.track(request), contextlib.ExitStack() as request["place"]:
                self._metrics.in_flight.set(len(self.requests))
                response = in_pieces(await self._answer(request, handler))
                response.headers.update(_COMMON_HEADERS)
                response.headers["X-Request-Id"] = request["request_id"]
                self.requests.answered(response)
                if self._callers.is_over(request.transport):
                    response.force_close()
                if isinstance(response, InPieces) and not await response.send(request):
                    request["reason"] = "the caller takes its answer too slowly"
            return response
        finally:
            self._metrics.in_flight.set(len(self.requests))
            self._note(request, response.status if response else 0, time.monotonic() - begin)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except StrongroomError as error:
            request["reason"] = error.message
            return problem_response(problem_of(error), error)
        except web.HTTPException as error:  # no such route, wrong method
            return problem_response(Problem(status=error.status, title=error.reason, detail=error.reason))
        except (ConnectionError, asyncio.CancelledError):
            raise  # the caller has gone
        except Exception as error:  # noqa: BLE001 - the last line: the caller hears nothing of what is inside
            log_event(_log, logging.ERROR, "request_crashed", {"request_id": request["request_id"]}, error=error)
            detail = f"an error in the bridge; its log has request {request['request_id']}"
            return problem_response(Problem(status=500, title="Internal Server Error", detail=detail))

    def _note(self, request: web.Request, status: int, seconds: float) -> None:
        known = request.match_info.route.resource
        route = known.canonical if known is not None else "other"
        self._metrics.request(route, status, seconds)
        nameless = {"certificate": request["certificate"]} if "certificate" in request else {}
        log_event(
            _log,
            logging.INFO,
            "request",
            nameless
            | {
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "identity": request.get("identity", ""),
                "peer": request.remote,
                "request_id": request["request_id"],
                "reason": request.get("reason", ""),
            },
        )

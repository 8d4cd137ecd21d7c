"""The HTTPS front of the service: reads requests, calls the service, writes answers and problems (RFC 9457)."""

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.admission import Places
from bridge.arrivals import Arrivals
from bridge.callers import Callers
from bridge.large_answer import InPieces, in_pieces
from bridge.metrics import Metrics
from bridge.offload import compute
from bridge.problems import problem_of
from bridge.record import Caller, Operation
from bridge.room import Room
from bridge.service import Service
from bridge.settings import BridgeSettings
from bridge.shape import require_modest
from bridge.shares import Capacity
from strongroom.errors import ConfigError, DeniedError, PeerError, StrongroomError, UnavailableError
from strongroom.launch.bundle import (
    BUNDLE_URL_PATH,
    CHECK_URL_PATH,
    FILES_MEDIA_TYPE,
    PLAN_URL_PATH,
    REGION_MEDIA_TYPE,
    BundleRequest,
    decode_request,
)
from strongroom.launch.problem import PROBLEM_MEDIA_TYPE, Problem, encode_problem
from strongroom.service.connections import Connections
from strongroom.service.draining import RequestsAtWork
from strongroom.service.edges import TooLargeError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)


_COMMON_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "strongroom"}

_BYTES_OF_AN_ENTRY = 80  # in a request, about
_SMALL_BODY_BYTES = 8 << 10  # of whatever form, it becomes some 200 KiB at most; most requests are smaller

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Operate = Callable[[Caller, BundleRequest, Room], Awaitable[web.StreamResponse]]


class Front:
    """The routes and what all of them have in common."""

    def __init__(
        self,
        service: Service,
        callers: Callers,
        connections: Connections,
        metrics: Metrics,
        settings: BridgeSettings,
    ) -> None:
        """Take the service, what knows the callers, their connections, the metrics and the limits."""
        self._service = service
        self._callers = callers
        self._connections = connections
        self._metrics = metrics
        self._settings = settings
        capacity = _capacity(settings)
        self._places = Places(capacity)
        self._arrivals = Arrivals(capacity)
        self.requests = RequestsAtWork()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=self._settings.max_body_bytes, middlewares=[self._around])
        app.router.add_post(BUNDLE_URL_PATH, self._bundle)
        app.router.add_post(PLAN_URL_PATH, self._plan)
        app.router.add_post(CHECK_URL_PATH, self._check)
        return app

    async def _bundle(self, request: web.Request) -> web.StreamResponse:
        async def answer(caller: Caller, asked: BundleRequest, room: Room) -> web.StreamResponse:
            body = await self._service.bundle(caller, asked, room)
            media_type = FILES_MEDIA_TYPE if asked.has_files else REGION_MEDIA_TYPE
            return web.Response(body=body, content_type=media_type)  # a bytes body sets Content-Length

        return await self._admit(request, Operation.BUNDLE, answer)

    async def _plan(self, request: web.Request) -> web.StreamResponse:
        async def answer(caller: Caller, asked: BundleRequest, _: Room) -> web.StreamResponse:
            return web.Response(body=await self._service.plan(caller, asked), content_type="application/json")

        return await self._admit(request, Operation.PLAN, answer)

    async def _check(self, request: web.Request) -> web.StreamResponse:
        async def answer(caller: Caller, asked: BundleRequest, room: Room) -> web.StreamResponse:
            return web.Response(body=await self._service.check(caller, asked, room), content_type="application/json")

        return await self._admit(request, Operation.CHECK, answer)

    async def _admit(self, request: web.Request, operation: Operation, answer: Operate) -> web.StreamResponse:
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
        if (request.content_length or 0) > self._settings.max_body_bytes:
            raise self._too_large()
        if "Content-Encoding" in request.headers:
            raise ConfigError("the body has a Content-Encoding, and none is taken", hint="send it as it is")
        if request.content.is_eof():  # it has come with the head, and is in memory
            body = await self._read(request)
        else:
            with self._connections.waiting(request):
                body = await self._arrivals.wait_for(name, lambda: self._read(request))
        room = request["place"].enter_context(self._places.take(name, len(body)))
        asked = await compute(len(body) // _BYTES_OF_AN_ENTRY, lambda: _decode(body))
        return await answer(caller, asked, room)

    async def _read(self, request: web.Request) -> bytes:
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise self._too_large() from None

    def _too_large(self) -> TooLargeError:
        msg = f"the body is larger than {self._settings.max_body_bytes} bytes"
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
            return _problem_response(problem_of(error), error)
        except web.HTTPException as error:  # no such route, wrong method
            return _problem_response(Problem(status=error.status, title=error.reason, detail=error.reason), None)
        except (ConnectionError, asyncio.CancelledError):
            raise  # the caller has gone
        except Exception as error:  # noqa: BLE001 - the last line: the caller hears nothing of what is inside
            log_event(_log, logging.ERROR, "request_crashed", {"request_id": request["request_id"]}, error=error)
            detail = f"an error in the bridge; its log has request {request['request_id']}"
            return _problem_response(Problem(status=500, title="Internal Server Error", detail=detail), None)

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


def _capacity(settings: BridgeSettings) -> Capacity:
    return Capacity(
        requests=settings.max_requests,
        bodies_bytes=settings.max_bodies_bytes,
        answers_bytes=settings.most_answers_bytes,
        answer_bytes=settings.most_read_bytes,
        room_s=settings.request_timeout_s / 2,  # before the deadline of all reads, so that the caller hears the reason
        body_s=settings.body_timeout_s,
        retry_after_s=settings.retry_after_s,
    )


def _decode(body: bytes) -> BundleRequest:
    if len(body) > _SMALL_BODY_BYTES:
        require_modest(body)
    return decode_request(body)


def _problem_response(problem: Problem, error: StrongroomError | None) -> web.Response:
    headers = {}
    if isinstance(error, PeerError):
        # RFC 9110, section 10.2.3: whole seconds
        pause = error.retry_after_s if isinstance(error, UnavailableError) else 1.0
        headers["Retry-After"] = str(max(1, math.ceil(pause)))
    return web.Response(
        status=problem.status, body=encode_problem(problem), content_type=PROBLEM_MEDIA_TYPE, headers=headers
    )

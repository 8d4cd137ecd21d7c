"""The HTTPS front of the service: reads requests, calls the service, writes answers and problems (RFC 9457)."""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.metrics import Metrics
from bridge.offload import compute
from bridge.record import Caller
from bridge.service import RefusedError, Service
from bridge.settings import BridgeSettings
from strongroom.bundle import (
    BUNDLE_URL_PATH,
    FILES_MEDIA_TYPE,
    PLAN_URL_PATH,
    REGION_MEDIA_TYPE,
    BundleRequest,
    decode_request,
)
from strongroom.errors import (
    ConfigError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    PeerError,
    StrongroomError,
    UnavailableError,
    UndeliverableError,
)
from strongroom.identity import identity_of
from strongroom.logs import log_event
from strongroom.problem import DENIED, MISSING, PROBLEM_MEDIA_TYPE, UNDELIVERABLE, Problem, encode_problem
from strongroom.service.draining import RequestsAtWork

_log = logging.getLogger(__name__)


class BusyError(UnavailableError):
    """More requests than the bridge takes at once."""


class SlowBodyError(StrongroomError):
    """The body of a request did not come in time."""


class TooLargeError(StrongroomError):
    """The body of a request is larger than it may be."""


# How errors leave the bridge; the first class that fits counts.
STATUS_OF: tuple[tuple[type[StrongroomError], int, str], ...] = (
    (TooLargeError, 413, "Content Too Large"),
    (SlowBodyError, 408, "Request Timeout"),
    (DeniedError, 403, "Forbidden"),
    (NotFoundError, 404, "Not Found"),
    (UndeliverableError, 422, "Unprocessable Content"),
    (UnavailableError, 503, "Service Unavailable"),
    (PeerError, 503, "Service Unavailable"),
    (IntegrityError, 500, "Internal Server Error"),
    (ConfigError, 400, "Bad Request"),
    (StrongroomError, 500, "Internal Server Error"),
)
_CLASS_OF_CAUSE: dict[str, type[StrongroomError]] = {
    DENIED: DeniedError,
    MISSING: NotFoundError,
    UNDELIVERABLE: UndeliverableError,
}
_COMMON_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "strongroom"}

_BYTES_OF_AN_ENTRY = 80  # in a request, about

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem_of(error: StrongroomError) -> Problem:
    """Return the problem document of an error."""
    kind = _CLASS_OF_CAUSE[error.cause] if isinstance(error, RefusedError) else type(error)
    status, title = next((status, title) for known, status, title in STATUS_OF if issubclass(kind, known))
    failures = error.failures if isinstance(error, RefusedError) else []
    detail = f"{error.message}; {error.hint}" if error.hint else error.message
    return Problem(status=status, title=title, detail=detail, failures=failures)


class Front:
    """The routes and what all of them have in common."""

    def __init__(self, service: Service, metrics: Metrics, settings: BridgeSettings) -> None:
        """Take the service, the metrics and the limits."""
        self._service = service
        self._metrics = metrics
        self._settings = settings
        self.requests = RequestsAtWork()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=self._settings.max_body_bytes, middlewares=[self._around])
        app.router.add_post(BUNDLE_URL_PATH, self._bundle)
        app.router.add_post(PLAN_URL_PATH, self._plan)
        return app

    async def _bundle(self, request: web.Request) -> web.StreamResponse:
        caller = _caller_of(request)
        asked = await self._read_request(request)
        answer = await self._service.bundle(caller, asked)
        media_type = FILES_MEDIA_TYPE if asked.has_files else REGION_MEDIA_TYPE
        return web.Response(body=answer, content_type=media_type)  # a bytes body sets Content-Length

    async def _plan(self, request: web.Request) -> web.StreamResponse:
        caller = _caller_of(request)
        asked = await self._read_request(request)
        return web.json_response(await self._service.plan(caller, asked))

    async def _read_request(self, request: web.Request) -> BundleRequest:
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                body = await request.read()
        except TimeoutError:
            msg = f"the body did not come within {self._settings.body_timeout_s:g} s"
            raise SlowBodyError(msg) from None
        except web.HTTPRequestEntityTooLarge:
            msg = f"the body is larger than {self._settings.max_body_bytes} bytes"
            raise TooLargeError(msg, hint="ask for less, or raise max_body_bytes of the bridge") from None
        return await compute(len(body) // _BYTES_OF_AN_ENTRY, lambda: decode_request(body))

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Limit, measure, log, and turn errors into problems."""
        begin = time.monotonic()
        request["request_id"] = secrets.token_hex(8)
        response: web.StreamResponse | None = None
        try:
            with self.requests.track(request):
                self._metrics.in_flight.set(len(self.requests))
                response = await self._answer(request, handler)
            response.headers.update(_COMMON_HEADERS)
            response.headers["X-Request-Id"] = request["request_id"]
            self.requests.answered(response)
            return response
        finally:
            self._metrics.in_flight.set(len(self.requests))
            self._note(request, response.status if response else 0, time.monotonic() - begin)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if len(self.requests) > self._settings.max_requests:
                msg = f"the bridge is at work on {self._settings.max_requests} requests"
                raise BusyError(msg, hint="come back later", retry_after_s=self._settings.retry_after_s)  # noqa: TRY301 - the table below answers it
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
        log_event(
            _log,
            logging.INFO,
            "request",
            {
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "identity": request.get("identity", ""),
                "peer": request.remote,
                "request_id": request["request_id"],
                "reason": request.get("reason", ""),
            },
        )


def _caller_of(request: web.Request) -> Caller:
    """Return who asks.

    Raises:
        DeniedError: the certificate holds no SPIFFE identity.
    """
    identity = str(identity_of(request.get_extra_info("peercert")))
    request["identity"] = identity
    return Caller(identity=identity, address=request.remote or "", request_id=request["request_id"])


def _problem_response(problem: Problem, error: StrongroomError | None) -> web.Response:
    headers = {}
    if isinstance(error, PeerError):
        # RFC 9110, section 10.2.3: whole seconds
        pause = error.retry_after_s if isinstance(error, UnavailableError) else 1.0
        headers["Retry-After"] = str(max(1, math.ceil(pause)))
    return web.Response(
        status=problem.status, body=encode_problem(problem), content_type=PROBLEM_MEDIA_TYPE, headers=headers
    )

"""From a request to its operation: authentication, access, limits, errors, metrics. Every request passes here."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web

from s3proxy.exchange.access_record import AccessRecord
from s3proxy.exchange.begun import Begun, Course
from s3proxy.exchange.front_protocol import FrontProtocol
from s3proxy.exchange.incoming import XML_TYPE, BrokenOffError, Incoming, close_if_unread
from s3proxy.exchange.memory import announced_bytes, needed_bytes
from s3proxy.exchange.pace import Patience, Taking
from s3proxy.exchange.places import FIELDS_BYTES, Place, Places
from s3proxy.keys.kek import Cause, KeyNotAvailableError
from s3proxy.metrics import Metrics, StoreAnswers
from s3proxy.s3api.asked import asked_of
from s3proxy.s3api.credentials import Credentials
from s3proxy.s3api.errors import S3Error, error_document
from s3proxy.s3api.operation_table import Operation
from s3proxy.s3api.operations import Call
from s3proxy.s3api.sigv4 import Verified
from s3proxy.serving.access_log import AccessLog
from s3proxy.serving.admission import FORMS, Admission
from s3proxy.store.client import Store, connection_broke
from strongroom import errors
from strongroom.errors import StrongroomError
from strongroom.openbao.connection import OpenBaoUnavailableError
from strongroom.sealed.refusal import RefusedError
from strongroom.service.connections import Connections
from strongroom.service.draining import RequestsAtWork
from strongroom.service.following import Followed
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)

Handler = Callable[[Incoming], Awaitable[None]]
_DISCARD_S: Final = 5.0
_DISCARD_BYTES: Final = 16 << 20  # of strangers: two parts of most SDKs; for longer bodies they wait for 100 Continue
_READS: Final = frozenset({"GET", "HEAD"})


@dataclass(kw_only=True, eq=False)
class Dispatcher:
    """Serves requests. ``handle`` is what aiohttp's low-level server calls.

    Attributes:
        handlers: what serves each operation; one without a handler is not offered.
        patience: with clients.
        domains: host names under which buckets are subdomains, with commas between them.
        hidden_bucket: the proxy's own.
        buffered_bytes: bodies up to this size are read before they are sent on.
        credentials: of the clients.
        store: knows what it can do.
        metrics: told what happens.
        access_log: where it is on record.
        places: for requests.
        connections: of clients.
        requests: in flight.
        admission: decides who may do what.
    """

    handlers: Mapping[Operation, Handler]
    patience: Patience
    domains: str
    hidden_bucket: str
    buffered_bytes: int
    credentials: Followed[Credentials]
    store: Store
    metrics: Metrics
    access_log: AccessLog
    places: Places
    connections: Connections

    def __post_init__(self) -> None:
        """Begin without requests."""
        self.requests = RequestsAtWork()
        self._domains = tuple(name.strip().lower() for name in self.domains.split(",") if name.strip())
        self.admission = Admission(
            offered=self.handlers.keys(),
            domains=self._domains,
            hidden_bucket=self.hidden_bucket,
            credentials=self.credentials,
            store=self.store,
            access_log=self.access_log,
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request, and read a little of a body that nobody wanted."""
        try:
            with self.requests.track(request):
                response = await self._serve(request)
        except OSError:  # the answer was aborted, or the client is gone: there is nobody to tell
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # of which nothing can go out any longer; an error would be reported as ours
        self.requests.answered(response)  # again: its head may have gone out before the end began
        if not request.content.is_eof():
            # Not counted as at work: anyone who sends it may not even be known.
            is_unknown = self.connections.refuse(request)
            await _discard(request, at_most=_DISCARD_BYTES if is_unknown else None)
        return response

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        begun = request.protocol.take_begun() if isinstance(request.protocol, FrontProtocol) else None
        course = begun.course if begun else self.new_course(request.remote or "", request.raw_path)
        self.metrics.note_answers_in(course.answers)
        record, incoming, status = course.record, None, 0  # 0 unless an answer goes out
        try:
            try:
                begun = begun or await self._begin(request, course)
                try:
                    incoming = self._incoming(request, begun)
                    if record.is_due and request.method not in _READS:  # nothing is changed unrecorded
                        await self.access_log.put_on_record(record)
                    await begun.handler(incoming)
                finally:
                    begun.place.give_back()
                assert incoming.response is not None  # noqa: S101 - a handler answers
                response = incoming.response
            except BrokenOffError as error:
                cause = error.__cause__ or error
                if isinstance(cause, aiohttp.ClientPayloadError):  # the store's answer ended in the middle of its body
                    cause = connection_broke()
                if not isinstance(cause, OSError):  # or else the client is gone, or takes nothing
                    self.report(record, cause)
                raise ConnectionResetError from None
            except StrongroomError as error:
                response = await self._refuse(request, record, error)
            except (OSError, asyncio.CancelledError):
                raise  # the client went away
            except Exception as error:  # noqa: BLE001 - a mistake of ours is told like any other refusal
                response = await self._refuse(request, record, error)
            status = response.status
            record.is_completed = True
            return response
        finally:
            if incoming is not None and incoming.cut:
                self.metrics.shed(incoming.cut)
            moved = (incoming.received_bytes, incoming.sent_bytes) if incoming else (0, 0)
            self.note_end(course, moved, status)

    @staticmethod
    def new_course(remote_ip: str, target: str) -> Course:
        """Begin to note a request, with an id for it."""
        record = AccessRecord(secrets.token_hex(8).upper(), time.time(), remote_ip, target.partition("?")[0])
        return Course(record, time.perf_counter(), StoreAnswers())

    async def _begin(self, request: web.BaseRequest, course: Course) -> Begun:
        """Admit a request, and take a place for it.

        Raises:
            S3Error: as ``Admission.admit``, or there is no place.
        """
        verified, call = self.admission.admit(request.method, request.raw_path, request.raw_headers, course.record)
        place = await self._place(request, verified, call)
        return Begun(course=course, verified=verified, call=call, place=place, handler=self.handlers[call.operation])

    def _incoming(self, request: web.BaseRequest, begun: Begun) -> Incoming:
        verified, record = begun.verified, begun.course.record
        kept = verified.principal.is_anonymous or self.connections.know(request)
        on_answer = self.requests.answered if kept else _end_connection
        return Incoming(
            request, begun.call, verified, record.request_id, self.patience, begun.place, on_answer, record,
            self.access_log.put_on_record, is_continued=begun.is_continued,
        )  # fmt: skip

    def note_end(self, course: Course, moved: tuple[int, int], status: int) -> None:
        """Count and log a request that has ended.

        Args:
            course: of it.
            moved: bytes of plaintext, received and sent.
            status: 0 if no answer of it went out.
        """
        record, answers, seconds = course.record, course.answers, time.perf_counter() - course.began
        record.received_bytes, record.sent_bytes = moved[0], record.sent_bytes or moved[1]
        self.metrics.request(record.operation, status, seconds, *moved)
        fields: dict[str, str | int | float | bool | None] = {
            "operation": record.operation,
            "status": status,
            "seconds": round(seconds, 6),
            "request_id": record.request_id,
        }
        if record.requester:
            fields["principal"] = record.requester
        log_event(_log, logging.INFO, "request", fields | {"received": moved[0], "sent": moved[1]})
        self.access_log.note(record, seconds=seconds, store_request_ids=answers.request_ids)

    async def _place(self, request: web.BaseRequest, verified: Verified, call: Call) -> Place:
        """Take a place for a request."""
        wanted = self.wanted_bytes(request.content_length, verified, call)
        if verified.principal.is_anonymous:
            # Of a form nobody is known before its fields have come.
            return await self.places.take_unknown(min(wanted, FIELDS_BYTES) if call.operation in FORMS else wanted)
        return await self.places.take(verified.principal.name, wanted)

    def wanted_bytes(self, content_length: int | None, verified: Verified, call: Call) -> int:
        """Return how much memory a request is given, by the length of its body as HTTP announces it."""
        body_bytes = announced_bytes(content_length, verified.head.header("x-amz-decoded-content-length"))
        return needed_bytes(call.operation, body_bytes, buffered_bytes=self.buffered_bytes)

    async def _refuse(self, request: web.BaseRequest, record: AccessRecord, error: Exception) -> web.StreamResponse:
        """Answer with an error document."""
        if record.asked is None and record.head is not None:
            record.asked = asked_of(record.head, domains=self._domains)
        told = told_as(error)
        self.report(record, error, told)
        _forget_frames(error)
        record.status, record.error_code = told.status, told.code
        if record.is_due:
            try:
                await self.access_log.put_on_record(record)
            except S3Error as unrecorded:
                told = unrecorded
                self.report(record, unrecorded, told)
                record.status, record.error_code = told.status, told.code
        headers = told.headers | {"x-amz-request-id": record.request_id, "Server": "strongroom"}
        if told.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(told.retry_after_s)))
        body = b""
        if request.method != "HEAD" and told.status != HTTPStatus.NOT_MODIFIED:
            body = error_document(told, resource=record.path, request_id=record.request_id)
            headers["Content-Type"] = XML_TYPE
        response = web.Response(status=told.status, body=body, headers=headers)
        close_if_unread(request, response)
        self.requests.answered(response)
        self.connections.refuse(request)
        with Taking(request, self.patience, len(body)):
            await response.prepare(request)
            await response.write_eof()
        record.sent_bytes = len(body)
        return response

    def report(self, record: AccessRecord, error: BaseException, told: S3Error | None = None) -> None:
        """Count and log what went wrong with a request, and what its client is told; None if that is nothing."""
        if isinstance(error, RefusedError):
            self.metrics.refused(error.rule)
        if isinstance(error, KeyNotAvailableError):
            self.metrics.key_not_available(error.cause.value)
        code = told.code if told else "broken off"
        fields = {"operation": record.operation, "request_id": record.request_id, "code": code}
        if isinstance(error, StrongroomError):
            fields |= {"reason": error.message, "hint": error.hint}
        own = not isinstance(error, StrongroomError)
        damage, no_key = isinstance(error, errors.IntegrityError), isinstance(error, KeyNotAvailableError)
        if own or damage or no_key:
            level = logging.ERROR
        else:
            failed = told is None or told.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            level = logging.WARNING if failed else logging.INFO
        event = "object_refused" if damage else "key_not_available" if no_key else "request_failed"
        log_event(_log, level, event, fields, error=error if own else None)


_GONE_KEY: Final = "KMS.NotFoundException", "The key of this object is not available."
_DISABLED_KEY: Final = "KMS.DisabledException", "The key of this object may not be used."
_WRONG_STATE: Final = (
    "KMS.KMSInvalidStateException",
    "The keys of this bucket are in a state in which they cannot be used.",
)
_KEY_CODES: Final = {  # what S3 answers of keys of its own KMS: 400, which no SDK tries again
    Cause.GONE: _GONE_KEY,
    Cause.NO_POLICY: _GONE_KEY,
    Cause.NO_RECORD: _GONE_KEY,
    Cause.TOO_NEW: _GONE_KEY,
    Cause.RETIRED: _DISABLED_KEY,
    Cause.FORBIDDEN: _DISABLED_KEY,
    Cause.OTHER_KEY: _WRONG_STATE,
    Cause.KEYRING: _WRONG_STATE,
}


# The first class that fits counts. What none fits is a mistake of ours.
_TOLD: Final[tuple[tuple[type[StrongroomError], str, str], ...]] = (
    (OpenBaoUnavailableError, "ServiceUnavailable", "The key service cannot be reached. Please try again."),
    (errors.UnavailableError, "SlowDown", "Please reduce your request rate."),
    (errors.IntegrityError, "InternalError", "The stored object is damaged, or is not what it should be."),
    (errors.PeerError, "BadGateway", "The store or the key service answers what cannot be used."),
    (errors.DeniedError, "AccessDenied", "Access Denied"),
    (errors.NotFoundError, "NoSuchKey", "The specified key does not exist."),
)


def told_as(error: Exception) -> S3Error:
    """Return what the client is told of an error: the one table from our classes to S3 codes."""
    if isinstance(error, S3Error):
        return error
    if isinstance(error, KeyNotAvailableError):
        return S3Error(*_KEY_CODES[error.cause])
    for kind, code, message in _TOLD:
        if isinstance(error, kind):
            return S3Error(code, message, retry_after_s=getattr(error, "retry_after_s", None))
    if isinstance(error, errors.ConfigError):
        return S3Error("InvalidRequest", error.message)
    return S3Error("InternalError", "We encountered an internal error. Please try again.")


def _forget_frames(error: BaseException) -> None:
    """Let go of what has led to an error: a client may take its answer slowly, and nothing counts that any longer.

    Its frames hold forms and documents as far as they were read, ten times as long as they came. They are not cleared,
    as an error may have been told to others, who go on.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None


def _end_connection(response: web.StreamResponse) -> None:
    response.force_close()


async def _discard(request: web.BaseRequest, *, at_most: int | None) -> None:
    """Read on for a while: a client that is still sending when its connection is reset never reads the answer."""
    read = 0
    try:
        async with asyncio.timeout(_DISCARD_S):
            while (at_most is None or read < at_most) and (data := await request.content.readany()):
                read += len(data)
    except (OSError, TimeoutError, web.RequestPayloadError):
        return

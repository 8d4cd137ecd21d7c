"""Which requests go the fast way, and for how long: whatever lasts is handed over, so only the general path has timers.

A request goes fast if nothing about it has to be waited for but the rest of a short body and one answer of the store.
It is admitted by the same function as every other one. What would be refused, or is not known exactly, is left to the
general path, which begins anew, or goes on with what was begun.
"""

import asyncio
from typing import Final

import aiohttp
from aiohttp import EMPTY_PAYLOAD
from aiohttp.http import HttpVersion11, RawRequestMessage

from s3proxy.exchange.begun import Begun
from s3proxy.exchange.front_protocol import FrontProtocol
from s3proxy.fast.exchange import Exchange, Parts
from s3proxy.fast.left import LeftError, Reason
from s3proxy.fast.read import READS, FastRead
from s3proxy.fast.write import MAX_SENT_BYTES, FastWrite
from s3proxy.s3api.operation_table import Operation
from strongroom.errors import StrongroomError
from strongroom.service.draining import unsent_bytes

_LOOK_S: Final = 1.0  # what lasts longer is handed over
_METHODS: Final = frozenset({"GET", "HEAD", "PUT"})
_CONTINUE: Final = "100-continue"
_CHUNKED: Final = "chunked"
_LENGTH_DIGITS: Final = 18  # more than any number of bytes has


class FastWay:
    """The fast way of one process; what ``FrontProtocol`` asks first."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts of the general path."""
        self._parts = parts
        self._under_way: dict[Exchange, None] = {}  # the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, front: FrontProtocol, message: RawRequestMessage, body: aiohttp.StreamReader) -> bool:
        """Look at a request; return whether it goes the fast way, or was begun there and handed over already."""
        begun: Begun | None = None
        try:
            begun = self._begin(front, message, body)
            self._start(front, begun, body)
        except LeftError as left:
            reason = left.reason
        except StrongroomError:
            reason = Reason.REFUSED
        except Exception as error:  # noqa: BLE001 - the general path meets it, too, or answers
            reason = Reason.MISTAKE
            if begun is not None:
                self._parts.dispatcher.report(begun.course.record, error)
        else:
            return True
        self._parts.count(reason)
        if begun is not None:
            front.leave(begun)
        return False

    def _begin(self, front: FrontProtocol, message: RawRequestMessage, body: aiohttp.StreamReader) -> Begun:
        """Admit a request, and take a place for it.

        Raises:
            LeftError: it does not go the fast way; nothing has happened.
            StrongroomError: the same; it would be refused.
        """
        dispatcher = self._parts.dispatcher
        length = _body_bytes(message, body)
        transport = front.transport
        is_ready = transport is not None and not front.writing_paused and not unsent_bytes(transport)
        if not is_ready or not dispatcher.connections.is_known(front):
            raise LeftError(Reason.CLIENT)
        if dispatcher.requests.is_ending:
            raise LeftError(Reason.ENDING)
        peer = front.peername
        course = dispatcher.new_course(str(peer[0] if isinstance(peer, tuple) else peer or ""), message.path)
        verified, call = dispatcher.admission.admit(message.method, message.path, message.raw_headers, course.record)
        if verified.principal.is_anonymous:
            raise LeftError(Reason.CLIENT)
        place = dispatcher.places.take_now(verified.principal.name, dispatcher.wanted_bytes(length, verified, call))
        if place is None:
            raise LeftError(Reason.PLACE)
        handler = dispatcher.handlers[call.operation]
        return Begun(course=course, verified=verified, call=call, place=place, handler=handler)

    def _start(self, front: FrontProtocol, begun: Begun, body: aiohttp.StreamReader) -> None:
        """Start a request that was admitted.

        Raises:
            LeftError: it does not go the fast way; nothing else has happened.
            StrongroomError: the same; it would be refused.
        """
        operation = begun.call.operation
        if begun.course.record.is_durable:
            raise LeftError(Reason.RECORD)
        exchange: Exchange
        if operation in READS:
            exchange = FastRead(self._parts, front, begun, self._note_over)
        elif operation is Operation.PUT_OBJECT:
            exchange = FastWrite(self._parts, front, begun, self._note_over, body)
        else:
            raise LeftError(Reason.OPERATION)
        self._note_begin(exchange)
        try:
            exchange.start()
        except BaseException:
            self._note_over(exchange)
            raise

    def _note_begin(self, exchange: Exchange) -> None:
        self._parts.dispatcher.requests.begin()
        self._under_way[exchange] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _note_over(self, exchange: Exchange) -> None:
        self._parts.dispatcher.requests.end()
        self._under_way.pop(exchange)

    def _look(self) -> None:
        """Hand over what lasts."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_S, self._look) if self._under_way else None
        now = loop.time()
        for exchange in list(self._under_way):
            exchange.look(now)


def _body_bytes(message: RawRequestMessage, body: aiohttp.StreamReader) -> int | None:
    """Return how long HTTP says that the body of a message is, None where it does not say.

    Raises:
        LeftError: it is of a kind that S3 clients hardly send, or too long.
    """
    headers = message.headers
    is_plain = message.version == HttpVersion11 and not (message.should_close or message.upgrade)
    if not is_plain or message.method not in _METHODS:
        raise LeftError(Reason.MESSAGE)
    if message.method != "PUT":
        if body is not EMPTY_PAYLOAD or message.chunked or "Expect" in headers:
            raise LeftError(Reason.MESSAGE)
        return None
    if headers.getall("Expect", [_CONTINUE]) != [_CONTINUE]:
        raise LeftError(Reason.MESSAGE)
    lengths, codings = headers.getall("Content-Length", []), headers.getall("Transfer-Encoding", [])
    if message.chunked and codings == [_CHUNKED] and not lengths:  # boto3 sends aws-chunked framing in chunks of HTTP
        return None
    length = lengths[0] if len(lengths) == 1 and not codings else ""
    if not (length.isascii() and length.isdigit() and len(length) <= _LENGTH_DIGITS):
        raise LeftError(Reason.MESSAGE)
    if int(length) > MAX_SENT_BYTES:
        raise LeftError(Reason.SIZE)
    return int(length)

"""GetObject and HeadObject of sealed objects, and of their ranges, whose plaintext is a chunk at the most.

What is decided, and by what, is that of ``operations.get``: its functions are called here. What they refuse is handed
over with the store's answer, as long as nothing of its body was read.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from s3proxy.exchange.incoming import Incoming
from s3proxy.fast.exchange import CHUNK_BYTES, Exchange
from s3proxy.fast.left import LeftError, Reason
from s3proxy.keys.policies import EtagMode, Policy
from s3proxy.operations.get import (
    checksum_headers,
    read_of,
    span_of,
    told_headers,
    told_range,
    wants_checksum,
)
from s3proxy.s3api.byte_range import ByteRange, parse_range
from s3proxy.s3api.operation_table import Operation
from s3proxy.store.answers import number_in
from s3proxy.store.connection import StoreAnswer
from s3proxy.stored.etags import etag_of
from s3proxy.stored.read import OK, PARTIAL, Read
from s3proxy.stored.whole import WholeObject
from strongroom.errors import StrongroomError
from strongroom.sealed.digests import Digests
from strongroom.sealed.sizes import TAG_BYTES

READS: Final = frozenset({Operation.GET_OBJECT, Operation.HEAD_OBJECT})
_MAX_STORED: Final = 2 * (CHUNK_BYTES + TAG_BYTES)  # a range may begin in one and end in the next


class FastRead(Exchange):
    """One of them."""

    _policy: Policy
    _read: Read
    _asked: ByteRange | None = None
    _opening: tuple[WholeObject, dict[str, str], tuple[int, int, int]] | None = None
    _is_read = False  # the body of the store's answer

    def start(self) -> None:
        """Ask the store.

        Raises:
            LeftError, StrongroomError: nothing was asked.
        """
        call, head, objects = self._begun.call, self._begun.verified.head, self._parts.objects
        self._policy = self.policy()
        self._read = read_of(call, head, self._policy)
        if "partNumber" in call.query:
            raise LeftError(Reason.QUERY)
        if call.operation is Operation.GET_OBJECT:
            self._asked = parse_range(head.header("range"))
            if not self._parts.reader.asks_for_all(self._read, self._asked, head, call):
                raise LeftError(Reason.CONDITION if head.has("if-range") else Reason.NAME)
        request = self._read.request(head.method, self._asked)
        self._sent = objects.store.send_now(request, self.progress)
        if self._sent is None:
            raise LeftError(Reason.STORE)
        self._front.hold(self)

    def _go_on(self) -> None:
        answer = self._answer()
        if answer is None:
            return
        if self._opening is None:
            self._opening = self._open(answer)
        found, headers, (status, first, last) = self._opening
        if answer.method == "HEAD":
            self._finish(status, headers, b"", length=last - first + 1)
            self._parts.objects.keys.note_opened()
            return
        content = answer.content
        if not content.is_eof():
            if content.exception() is not None:
                raise LeftError(Reason.ANSWER)
            return
        self._is_read = True
        try:
            plaintext = found.open_now(first, last, content.read_nowait())
        except StrongroomError as error:
            raise LeftError(Reason.DAMAGED, error) from None
        if len(plaintext) != last - first + 1:
            raise AssertionError("the answer has another length than was announced")
        self._finish(status, headers, plaintext, length=len(plaintext))
        self._parts.objects.keys.note_opened()

    def _open(self, answer: StoreAnswer) -> tuple[WholeObject, dict[str, str], tuple[int, int, int]]:
        """Return what an answer is about, and what is told of it: headers, status, first and last byte.

        Raises:
            LeftError: it is not plainly a good answer about a small sealed object.
            StrongroomError: it would be refused.
        """
        is_good = answer.status == OK or (answer.status == PARTIAL and self._asked is not None)
        if not is_good or (answer.method == "GET" and not _is_small(answer)):
            raise LeftError(Reason.ANSWER)
        objects, head = self._parts.objects, self._begun.verified.head
        found = objects.finder.find_now(self._read, answer)
        if found is None:
            raise LeftError(Reason.ANSWER)
        self._asked = self._asked if answer.method == "GET" else parse_range(head.header("range"))
        digests = _digests(found) if self._policy.etag is EtagMode.MD5 else None
        headers = told_headers(head, found.store_headers, etag_of(self._policy, digests, found.store_etag))
        size = found.segment.header.plaintext_bytes
        span = span_of(head, self._asked, headers, size)
        if wants_checksum(head, span):
            headers |= checksum_headers(_digests(found))
        shown = told_range(headers, span, size)
        _, first, last = shown
        if answer.method == "HEAD":
            objects.finder.note_whole(self._read.name)
        elif last - first >= CHUNK_BYTES:
            raise LeftError(Reason.SIZE)
        return found, headers, shown

    def _rest(self) -> Callable[[Incoming], Awaitable[None]]:
        reader, sent = self._parts.reader, self._sent
        if sent is not None and self._is_read:  # what was no good answer: the general path asks for it once more
            self._note_answer(sent)
            sent.finish()
            sent = None
        serve = reader.get if self._begun.call.operation is Operation.GET_OBJECT else reader.head
        return partial(serve, policy=self._policy, sent=sent)


def _is_small(answer: StoreAnswer) -> bool:
    length = number_in(answer.headers.get("Content-Length", ""))
    return length is not None and length <= _MAX_STORED


def _digests(found: WholeObject) -> Digests:
    """Return the digests of an object.

    Raises:
        LeftError: they would have to be read.
    """
    digests = found.known_digests()
    if digests is None:
        raise LeftError(Reason.ANSWER)
    return digests

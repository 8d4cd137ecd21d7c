"""PutObject of what fills a chunk at the most. All of its body is here, and was verified, before the store is asked.

What is decided, and by what, is that of ``operations.put``: its functions are called here. A request is sent to the
store once: whatever the store answers, the general path goes on with that answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

import aiohttp

from s3proxy.exchange.begun import Begun
from s3proxy.exchange.front_protocol import FrontProtocol
from s3proxy.exchange.incoming import Incoming
from s3proxy.fast.exchange import CHUNK_BYTES, Exchange, Parts
from s3proxy.fast.left import LeftError, Reason
from s3proxy.keys.policies import EtagMode, Policy
from s3proxy.operations.put import SealedPut, answered_of, write_request, written_of
from s3proxy.s3api.body import Body
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import object_headers, require_metadata_room
from s3proxy.stored import fresh
from s3proxy.stored.etags import bare_etag
from s3proxy.stored.read import OK
from strongroom.sealed.sealer import seal

MAX_SENT_BYTES: Final = CHUNK_BYTES + (8 << 10)  # of a body with its framing: at least 8 KiB are in each of its chunks
_CONDITIONS: Final = ("if-match", "if-none-match")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class FastWrite(Exchange):
    """One of them."""

    _policy: Policy
    _body: Body
    _headers: dict[str, str]
    _sealed: SealedPut | None = None

    def __init__(
        self,
        parts: Parts,
        front: FrontProtocol,
        begun: Begun,
        on_over: Callable[[Exchange], None],
        content: aiohttp.StreamReader,
    ) -> None:
        """Take a request that was admitted and has a place, and its body as it comes."""
        super().__init__(parts, front, begun, on_over)
        self._content = content

    def start(self) -> None:
        """Wait for the body.

        Raises:
            LeftError, StrongroomError: nothing was waited for.
        """
        call, verified = self._begun.call, self._begun.verified
        head = verified.head
        self._policy = self.policy()
        if any(head.has(name) for name in _CONDITIONS):
            raise LeftError(Reason.CONDITION)
        self._body = Body(verified, want_md5=self._policy.etag is EtagMode.MD5)
        if self._body.length > min(CHUNK_BYTES, self._parts.writer.buffered_bytes):
            raise LeftError(Reason.SIZE)
        self._headers = object_headers(call.headers)
        require_metadata_room(self._headers)
        self._front.hold(self)
        if head.has("expect"):
            self._begun.is_continued = True
            if self._front.transport is not None:
                self._front.transport.write(_CONTINUE)
        self.more()

    def more(self) -> None:
        """Go on once all of the body has come; more than it may have is not waited for."""
        if self._sent is not None or self.is_over:
            return
        if self._content.total_bytes > MAX_SENT_BYTES:  # HTTP did not say how long it is
            self.hand_over(Reason.SIZE)
        elif self._content.is_eof() or self._content.exception():
            self.progress()

    def lost(self) -> None:
        """Note a client that has gone before all of its body had come."""
        if self._sent is not None or self.is_over:
            return
        error, record = S3Error("IncompleteBody", "The connection ended before the body."), self._begun.course.record
        self._parts.dispatcher.report(record, error, error)
        record.status, record.error_code = error.status, error.code
        self.hand_over(Reason.BODY)

    def _go_on(self) -> None:
        if self._sent is None:
            self._send()
            return
        answer = self._answer()
        if answer is None:
            return
        if answer.status != OK:
            raise LeftError(Reason.ANSWER)
        if not answer.content.is_eof():
            if answer.content.exception() is not None:
                raise LeftError(Reason.ANSWER)
            return
        answered = answered_of(answer)
        store_etag = bare_etag(answered.pop("etag"))
        sealed = self._sealed
        if not store_etag or sealed is None:
            raise LeftError(Reason.ANSWER)
        self._parts.objects.known.keep(sealed.segment, sealed.digests)
        written = written_of(self._policy, sealed.digests, store_etag, answered)
        answer.content.read_nowait()
        self._finish(OK, written.headers, b"", length=0, received=self._body.length)

    def _send(self) -> None:
        """Seal the body and send it to the store, once everything that is claimed of it holds.

        Raises:
            LeftError: nothing was sent, and the body can be read again.
            StrongroomError: the same; it would be refused.
        """
        if self._content.exception() is not None:
            raise LeftError(Reason.BODY)
        raw = self._content.read_nowait()
        self._front.put_back(raw)
        plaintext = b"".join(self._body.feed(raw))
        digests = self._body.finish()
        objects = self._parts.objects
        key = objects.keys.seals_now(self._policy.name)
        if key is None:
            raise LeftError(Reason.KEY)
        segment = fresh.whole(key, len(plaintext))
        payload = seal(segment, plaintext, digests)
        request = write_request(self.name, self._headers, payload, segment, digests, plain_bytes=len(plaintext))
        sent = objects.store.send_now(request, self.progress)
        if sent is None:
            raise LeftError(Reason.STORE)
        self._sent, self._sealed = sent, SealedPut(segment, digests, replace(request, sent=sent))
        objects.keys.note_sealed(self._policy.name)

    def _rest(self) -> Callable[[Incoming], Awaitable[None]]:
        writer, sealed = self._parts.writer, self._sealed
        if sealed is None:
            return partial(writer.put, policy=self._policy)
        return partial(writer.finish, policy=self._policy, sealed=sealed)

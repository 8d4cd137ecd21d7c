"""One request on its way through the proxy, and how it is answered.

Bodies are read and written piece by piece: ``plaintext`` waits for the client, ``respond`` for the client to take what
was written. An answer that has begun and cannot be finished is aborted, never ended like a good one.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from socket import SO_LINGER, SOL_SOCKET
from typing import Final

from aiohttp import web
from aiohttp.http import HttpVersion11, StreamWriter

from s3proxy.exchange.access_record import AccessRecord
from s3proxy.exchange.memory import page_bytes, parsed_bytes
from s3proxy.exchange.pace import Patience, Sending, Taking
from s3proxy.exchange.places import Place
from s3proxy.s3api.body import Body
from s3proxy.s3api.canonical import encode_path, encode_text
from s3proxy.s3api.documents import MAX_DOCUMENT_BYTES
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.operations import Call
from s3proxy.s3api.sigv4 import Verified

XML_TYPE: Final = "application/xml"
_VERSION: Final = "x-amz-version-id"


class BrokenOffError(Exception):
    """The answer had begun; its connection is closed and there is nobody to tell."""


@dataclass
class Incoming:
    """A request that was authenticated and allowed.

    Attributes:
        request: aiohttp's.
        call: what it asks for.
        verified: who asks.
        request_id: of this exchange.
        patience: with its client.
        place: that it has.
        on_answer: called with each answer before it goes out.
        record: of it in the access log.
        put_on_record: writes that to the disk; raises S3Error if it cannot.
        received_bytes: of plaintext, so far.
        sent_bytes: of bodies of answers, so far.
        cut: why the client was cut off: "body" or "short_body" as it sends, or "answer" as it takes too slowly, or "".
        whole_by: when what is short must have come, in seconds of the event loop; None while nothing short comes.
        response: once it was answered.
        is_continued: whether the client was told to send the body.
    """

    request: web.BaseRequest
    call: Call
    verified: Verified
    request_id: str
    patience: Patience
    place: Place
    on_answer: Callable[[web.StreamResponse], None]
    record: AccessRecord
    put_on_record: Callable[[AccessRecord], Awaitable[None]]
    received_bytes: int = 0
    sent_bytes: int = 0
    cut: str = ""
    whole_by: float | None = None
    response: web.StreamResponse | None = field(default=None, repr=False)
    is_continued: bool = False

    @property
    def head(self) -> RequestHead:
        """The request's head."""
        return self.verified.head

    def location(self, key: str) -> str:
        """Return the URL of an object in the bucket of the request, by the host that the client knows it under."""
        call = self.call
        path = f"/{encode_text(key, safe='/')}" if call.is_virtual_hosted else encode_path(call.bucket, key)
        return f"{self.request.scheme}://{self.request.host}{path}"

    def open_body(self, *, want_md5: bool = False) -> Body:
        """Return what verifies the body.

        Raises:
            S3Error: what the head says about it does not hold together.
        """
        return Body(self.verified, want_md5=want_md5)

    def open_document(self, *, of_body: bool = True) -> Body:
        """Return what verifies a short body, which has to come within its time; one that is not announced is empty.

        Args:
            of_body: whether checksum headers are of this body, see ``Body``.

        Raises:
            S3Error: as ``open_body``, or it is too long.
        """
        body = Body(self.verified, want_md5=False, of_body=of_body, absent_is_empty=True)
        if body.length > MAX_DOCUMENT_BYTES:
            raise S3Error("MaxMessageLengthExceeded", "Your request was too large.")
        self.expect_short()
        return body

    async def plaintext(self, body: Body) -> AsyncIterator[memoryview]:
        """Yield the plaintext of the body as it comes. A piece is valid until the next one is asked for.

        Raises:
            S3Error: it is not what it claims to be, or the client is too slow or gone.
        """
        await self._continue()
        content, sending = self.request.content, Sending(self.patience)
        while True:
            try:
                data = content.read_nowait()
                if data:
                    sending.moved_bytes += len(data)
                else:
                    data = await self._next(sending)
            except TimeoutError:
                code, msg = "RequestTimeout", "Your socket connection to the server was not read from or written to."
                raise S3Error(code, msg) from None
            except (OSError, web.RequestPayloadError) as error:
                raise S3Error("IncompleteBody", "The connection ended before the body.") from error
            if not data:
                return
            for piece in body.feed(data):
                self.received_bytes += len(piece)
                yield piece

    async def _next(self, sending: Sending) -> bytes:
        """Wait for the next bytes of the body; none are its end.

        Raises:
            TimeoutError: the client is too slow.
        """
        content, loop = self.request.content, asyncio.get_running_loop()
        while True:
            begin = loop.time()
            look = begin + sending.next_look_s()
            data: bytes | None = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(look if self.whole_by is None else min(look, self.whole_by)):
                    data = await content.readany()
            now = loop.time()
            if data == b"":
                return data
            if self.whole_by is not None and now >= self.whole_by:
                self.cut = "short_body"
                raise TimeoutError
            if not sending.waited(now - begin, len(data or b"")):
                self.cut = "body"
                raise TimeoutError
            if data is not None:
                return data

    def expect_short(self) -> None:
        """Give the client the time for something short, from now on."""
        self.whole_by = asyncio.get_running_loop().time() + self.patience.short_body_timeout_s

    async def document(self, *, of_body: bool = True) -> bytes:
        """Return a short body, verified.

        Args:
            of_body: as of ``open_document``.

        Raises:
            S3Error: as ``open_document``, or as ``plaintext``.
        """
        body = self.open_document(of_body=of_body)
        document = b"".join([bytes(piece) async for piece in self.plaintext(body)])
        self.whole_by = None
        body.finish()
        return document

    async def respond(
        self, status: int, headers: Mapping[str, str], body: bytes = b"", *, length: int | None = -1
    ) -> None:
        """Answer with a body that is there.

        Args:
            status: of the answer.
            headers: of the answer.
            body: all of it.
            length: in the answer to HEAD, of the body that GET would have; None if that is not known.

        Raises:
            BrokenOffError: the client is gone, or takes nothing.
            S3Error: it must be on record before, and cannot be.
        """
        await self._record_answer(status, headers)
        # The first sends head and body in one packet; it would tell the length of nothing where none is known.
        response = web.StreamResponse(status=status) if length is None else web.Response(status=status, body=body)
        self._begin(response, headers, len(body) if length == -1 else length)
        taking = Taking(self.request, self.patience, len(body))
        try:
            with taking:
                await response.prepare(self.request)
                await response.write_eof()
        except OSError as error:
            self._note_cut(taking)
            self.abort()
            raise BrokenOffError from error
        self.sent_bytes = 0 if self.request.method == "HEAD" else len(body)

    async def respond_stream(
        self, status: int, headers: Mapping[str, str], length: int | None, pieces: AsyncIterator[memoryview | bytes]
    ) -> None:
        """Answer with a body that comes in pieces. The first one is awaited before anything is sent.

        Args:
            status: of the answer.
            headers: of the answer.
            length: of all pieces; None if that is not known.
            pieces: the body.

        Raises:
            BrokenOffError: an error came after the beginning; its cause is that error.
            S3Error: it must be on record before, and cannot be.
        """
        first = bytes(await anext(pieces, b""))
        if len(first) == length:
            if await anext(pieces, None) is not None:  # its end may still bring an error
                raise AssertionError("there is more of the answer than was announced")
            await self.respond(status, headers, first)
            return
        await self._record_answer(status, headers)
        response = web.StreamResponse(status=status)
        self._begin(response, headers, length)
        taking = Taking(self.request, self.patience)
        # Of HTTP/1.0 the end of the connection is the end: anyone who ends it before, ends it by a reset.
        only_the_end_tells = length is None and self.request.version < HttpVersion11
        try:
            with taking:
                if only_the_end_tells:
                    self._close_by_reset(on=True)
                await response.prepare(self.request)
                await self._write(first)
                del first
                async for piece in pieces:
                    # The buffer behind a view is used again, and a slow client's transport would still point into it.
                    await self._write(bytes(piece))
                if length is not None and self.sent_bytes != length:
                    raise AssertionError("the answer has another length than was announced")  # noqa: TRY301 - caught below, like anything else
                await response.write_eof()
                if only_the_end_tells:
                    self._close_by_reset(on=False)
        except BaseException as error:
            self._note_cut(taking)
            self.abort()
            if isinstance(error, Exception):
                raise BrokenOffError from error
            raise

    async def _record_answer(self, status: int, headers: Mapping[str, str]) -> None:
        """Note what is answered, and have it on disk first where that is asked for."""
        record = self.record
        record.status = status
        record.version_id = next((headers[name] for name in headers if name.lower() == _VERSION), "")
        if record.is_due:
            await self.put_on_record(record)

    def _note_cut(self, taking: Taking) -> None:
        if taking.is_cut:
            self.cut = "answer"

    async def hold_page(self, length: int) -> None:
        """Take the memory for a page of the store of this length, which nobody knew before it came.

        Raises:
            S3Error: SlowDown, as there is none.
        """
        await self.place.cover(page_bytes(length))

    async def hold_document(self, length: int) -> None:
        """Take the memory for a document of the store that is parsed, as ``hold_page`` does for a page.

        Raises:
            S3Error: SlowDown, as there is none.
        """
        await self.place.cover(parsed_bytes(length))

    def abort(self) -> None:
        """Close the connection in a way that no client takes for an end."""
        if self.request.transport is not None:
            self.request.transport.abort()

    def _close_by_reset(self, *, on: bool) -> None:
        if self.request.transport is not None:
            connection = self.request.transport.get_extra_info("socket")
            connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", on, 0))

    def _begin(self, response: web.StreamResponse, headers: Mapping[str, str], length: int | None) -> None:
        for name, value in headers.items():
            response.headers[name] = value
        response.headers["x-amz-request-id"] = self.request_id
        response.headers.setdefault("Server", "strongroom")
        if length is None:
            response.force_close()
            if self.request.version >= HttpVersion11:
                response.enable_chunked_encoding()
        elif response.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            response.headers["Content-Length"] = str(length)
        close_if_unread(self.request, response)
        self.on_answer(response)
        self.response = response

    async def _write(self, piece: bytes) -> None:
        writer = self.request.writer
        assert isinstance(writer, StreamWriter)  # noqa: S101 - of a response that was prepared
        await writer.write(piece, drain=False)
        if self.request.protocol.writing_paused:
            await writer.drain()  # ``Taking`` ends it
        self.sent_bytes += len(piece)

    async def _continue(self) -> None:
        """Answer Expect: 100-continue, now that the body is wanted (RFC 9110, section 10.1.1)."""
        expected = self.request.headers.get("Expect", "").lower() == "100-continue"
        if expected and not self.is_continued and self.request.version >= HttpVersion11:
            self.is_continued = True
            writer = self.request.writer
            await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.output_size = 0


def close_if_unread(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Announce the end of the connection in an answer that comes before the body was read.

    Where a body ends and the next request begins is unclear then: a client that waits for 100 Continue sends no body
    at all after a refusal (RFC 9110, section 10.1.1).
    """
    if not request.content.is_eof():
        response.force_close()

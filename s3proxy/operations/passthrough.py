"""Operations that mean the same on sealed objects, and objects that are not sealed: passed on to the store.

Bodies are verified on their way, and the store's answer is passed back.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

from s3proxy.exchange.incoming import Incoming
from s3proxy.exchange.outgoing import BodyOutcome, plain_of, read_plain, verified_pieces
from s3proxy.s3api.checksums import checksum_header
from s3proxy.s3api.documents import MAX_DOCUMENT_BYTES
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import passed_back
from s3proxy.s3api.operation_table import Operation
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.connection import READ_BYTES, StoreAnswer
from s3proxy.store.errors import store_error
from s3proxy.store.slash_keys import shown_answer
from s3proxy.stored.open import is_plaintext
from strongroom.errors import PeerError, StrongroomError

_CHECKSUM = "x-amz-checksum-"
_WITH_BODY = {"PUT", "POST"}
_CONTENT = {Operation.PUT_OBJECT, Operation.UPLOAD_PART}
_TELL_KEYS = {Operation.CREATE_MULTIPART_UPLOAD, Operation.COMPLETE_MULTIPART_UPLOAD, Operation.LIST_PARTS}
_NO_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


async def pass_on(
    incoming: Incoming, store: Store, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> None:
    """Pass a request on and its answer back.

    Args:
        incoming: the request.
        store: where it goes.
        headers: what replaces headers of the request.
        body: what replaces the body of the request, which was read then.

    Raises:
        StrongroomError: it is refused, here or by the store.
    """
    call, outcome = incoming.call, BodyOutcome()
    sent = dict(call.headers)
    sent_body: bytes | AsyncIterator[bytes] | None = body
    length = None
    if body is None and incoming.request.method in _WITH_BODY:
        is_content = call.operation in _CONTENT
        plain = plain_of(incoming, incoming.open_body() if is_content else incoming.open_document())
        if plain.length > MAX_DOCUMENT_BYTES:
            sent_body, length = verified_pieces(plain, outcome), plain.length
            sent |= incoming.verified.claims.headers  # by which it is verified on its way
        else:
            sent_body, digests = await read_plain(plain)
            if digests.checksum is not None:
                sent |= [checksum_header(digests.checksum)]
            # S3 demands it of some documents, where a checksum would do as well, and that was in the client's trailer.
            sent["content-md5"] = base64.b64encode(hashlib.md5(sent_body, usedforsecurity=False).digest()).decode()
    if call.operation is Operation.UPLOAD_PART:  # the store was told of no algorithm when the upload was begun
        sent = {name: value for name, value in sent.items() if not name.startswith(_CHECKSUM)}
    request = StoreRequest(
        method=incoming.request.method,
        bucket=call.bucket,
        key=call.key,
        query=call.query.pairs,
        headers=sent | dict(headers or {}),
        body=sent_body or None,
        length=length,
        is_empty=call.operation is Operation.PUT_OBJECT and not sent_body,
    )
    try:
        async with store.exchange(request) as response:
            if response.status >= HTTPStatus.MULTIPLE_CHOICES and response.status != HTTPStatus.TEMPORARY_REDIRECT:
                raise await relayed_error(response, bucket_asked=not call.key)
            await relay(incoming, response)
    except StrongroomError:
        if outcome.error is not None:
            raise outcome.error from None
        raise


async def relayed_error(response: StoreAnswer, *, bucket_asked: bool = False) -> S3Error:
    """Return a refusal of the store about what no proxy has sealed: the size that it tells is the client's, too."""
    error = await store_error(response, bucket_asked=bucket_asked)
    if error.code == "InvalidRange" and (told := response.headers.get("Content-Range")):
        error.headers |= {"Content-Range": told}
    return error


async def relay(incoming: Incoming, response: StoreAnswer) -> None:
    """Pass an answer of the store back as it is: it describes what no proxy has sealed."""
    headers = passed_back(response.headers)
    headers |= {name: value for name, value in response.headers.items() if name.lower().startswith(_CHECKSUM)}
    length = response.headers.get("Content-Length", "")
    if incoming.request.method == "HEAD" or response.status in _NO_BODY:
        await incoming.respond(response.status, headers, length=int(length) if length else None)
    elif incoming.call.operation in _TELL_KEYS and incoming.call.key.endswith("/"):
        told = await read_all(response, MAX_DOCUMENT_BYTES, make_room=incoming.hold_page)
        shown = shown_answer(told.decode("utf-8", "surrogateescape"), incoming.call.key)
        await incoming.respond(response.status, headers, shown.encode("utf-8", "surrogateescape"))
    elif length:
        await incoming.respond_stream(response.status, headers, int(length), response.pumped().pieces())
    else:
        await _relay_unknown_length(incoming, response, headers)


async def _relay_unknown_length(incoming: Incoming, response: StoreAnswer, headers: Mapping[str, str]) -> None:
    """Pass an answer back whose length the store does not tell; of one that is short the client is told it.

    Raises:
        PeerError: it has no end of its own: one that was cut off would look like one that is whole.
    """
    if not response.headers.get("Transfer-Encoding", "").lower().endswith("chunked"):
        msg = "the store tells neither the length of its answer nor where it ends"
        raise PeerError(msg, hint="let what stands between proxy and store speak HTTP/1.1")
    begun, pieces = bytearray(), response.content.iter_any()
    async for piece in pieces:
        begun += piece
        if len(begun) > READ_BYTES:
            break
    else:
        await incoming.respond(response.status, headers, bytes(begun))
        return

    async def all_pieces() -> AsyncIterator[bytes]:
        yield bytes(begun)
        begun.clear()
        async for piece in pieces:
            yield piece

    await incoming.respond_stream(response.status, headers, None, all_pieces())


async def send_plaintext(incoming: Incoming, store: Store) -> None:
    """Answer GetObject or HeadObject of an object that was seen to be plaintext.

    Raises:
        StrongroomError: the store refuses; or the object was sealed since, and the client is to ask again.
    """
    call = incoming.call
    request = StoreRequest(
        method=incoming.request.method,
        bucket=call.bucket,
        key=call.key,
        query=call.query.pairs,
        headers=call.headers,
    )
    async with store.exchange(request) as response:
        if response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            raise await relayed_error(response)
        if not is_plaintext(response.headers):
            raise S3Error("OperationAborted", "The object was replaced while it was read. Please try again.")
        await relay(incoming, response)

"""Operations that mean the same on sealed objects: passed on to the store, and its answer passed back."""

from http import HTTPStatus

import aiohttp

from s3proxy.headers import ENTRY_HEADER, passed_back, passed_headers
from s3proxy.incoming import Incoming
from s3proxy.store import Store, StoreRequest
from s3proxy.store_errors import store_error


async def pass_on(incoming: Incoming, store: Store) -> None:
    """Pass a request on, with its (short) body, and pass the answer back as it is.

    Raises:
        StrongroomError: it is refused, here or by the store.
    """
    call = incoming.call
    body = await incoming.document()
    request = StoreRequest(
        method=incoming.request.method,
        bucket=call.bucket,
        key=call.key,
        query=call.query.pairs,
        headers=passed_headers(incoming.head),
        body=body or None,
    )
    async with store.exchange(request) as response:
        if response.status >= HTTPStatus.MULTIPLE_CHOICES and response.status != HTTPStatus.TEMPORARY_REDIRECT:
            raise await store_error(response, bucket_asked=not call.key)
        await relay(incoming, response)


async def relay(incoming: Incoming, response: aiohttp.ClientResponse) -> None:
    """Pass an answer of the store back as it is: it describes what no proxy has sealed."""
    headers = passed_back(response.headers)
    for name in ("ETag", "Content-Range", "Accept-Ranges", "Cache-Control", "Content-Encoding", "Content-Disposition"):
        if name in response.headers:
            headers[name] = response.headers[name]
    for name, value in response.headers.items():
        if name.lower().startswith("x-amz-meta-") and name.lower() != ENTRY_HEADER:
            headers[name.lower()] = value
    length = response.headers.get("Content-Length", "")
    if incoming.request.method == "HEAD" or response.status in {204, 304}:
        await incoming.respond(response.status, headers, length=int(length or 0))
    elif length:
        await incoming.respond_stream(response.status, headers, int(length), response.content.iter_any())
    else:
        body = await response.read()
        await incoming.respond(response.status, headers, body)

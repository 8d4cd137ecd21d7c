"""Reading what nothing has sealed, where that is allowed: the store decides about ranges and conditions."""

from http import HTTPStatus

from s3proxy.exchange.incoming import Incoming
from s3proxy.operations.passthrough import relay, relayed_error
from s3proxy.s3api.byte_range import parse_range
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import DEFAULT_CONTENT_TYPE
from s3proxy.store.client import Store, StoreRequest
from s3proxy.store.slash_keys import FOLDER_ETAG
from s3proxy.stored.conditions import require_conditions
from s3proxy.stored.open import Folder, Plaintext, is_plaintext


async def send_unsealed(incoming: Incoming, store: Store, found: Plaintext) -> None:
    """Answer GetObject or HeadObject of what was seen and is not sealed.

    Raises:
        StrongroomError: the store refuses, or a condition does not hold.
    """
    if isinstance(found, Folder):
        await _send_folder(incoming, found)
    else:
        await send_plaintext(incoming, store)


async def _send_folder(incoming: Incoming, folder: Folder) -> None:
    """Answer with an empty object. The store is not asked again: its next answer need not be the one that was seen."""
    headers = {"ETag": FOLDER_ETAG, "Accept-Ranges": "bytes", "content-type": DEFAULT_CONTENT_TYPE}
    headers |= {name.lower(): value for name, value in folder.store_headers.items()}
    require_conditions(incoming.head, etag=headers["ETag"], last_modified=headers.get("last-modified", ""))
    if asked := parse_range(incoming.head.header("range")):
        asked.resolve(folder.stored_bytes)
    await incoming.respond(HTTPStatus.OK, headers)


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
            code, msg = "OperationAborted", "The object was replaced while it was read. Please try again."
            raise S3Error(code, msg)
        await relay(incoming, response)

"""Reading what nothing has sealed, where that is allowed: the store decides about ranges and conditions."""

from http import HTTPStatus

from s3proxy.front.errors import S3Error
from s3proxy.objects.open import is_plaintext
from s3proxy.objects.passthrough import relay, relayed_error
from s3proxy.serving.incoming import Incoming
from s3proxy.store.client import Store, StoreRequest


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

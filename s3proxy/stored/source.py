"""The source of a copy: found like what is read, and held against the conditions of the request."""

from http import HTTPStatus
from typing import Final

from s3proxy.s3api.access import require_visible
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.operations import Call
from s3proxy.store.client import StoreRequest
from s3proxy.store.errors import store_error
from s3proxy.stored.conditions import require_conditions
from s3proxy.stored.open import Objects
from s3proxy.stored.read import Name, Read, StoredObject
from s3proxy.stored.whole import SealedObject

_OWNER: Final = "x-amz-expected-bucket-owner"
_SOURCE_OWNER: Final = "x-amz-source-expected-bucket-owner"


async def open_source(objects: Objects, call: Call, head: RequestHead) -> StoredObject:
    """Find the source of a copy, and check the request's conditions on it.

    Raises:
        StrongroomError: it is refused, here or by the store.
    """
    source = call.copy_source
    assert source is not None  # noqa: S101 - of a copy
    require_visible(source.bucket, hidden_bucket=objects.system_bucket.name)
    policy = objects.policies.require(source.bucket, source.key)
    owner = head.header(_SOURCE_OWNER)
    name = Name(source.bucket, source.key, source.version_id)
    found = await _look(objects, Read(name, policy, {_OWNER: owner} if owner else {}))
    modified = found.store_headers.get("Last-Modified", "")
    require_conditions(head, etag=await found.etag(), last_modified=modified, prefix="x-amz-copy-source-")
    return found


async def _look(objects: Objects, read: Read) -> StoredObject:
    try:
        return await objects.finder.look(read)
    except S3Error as error:
        if error.code != "NoSuchKey":
            raise
        async with objects.store.exchange(StoreRequest(method="HEAD", bucket=read.name.bucket)) as response:
            if response.status == HTTPStatus.NOT_FOUND:  # an answer to HEAD does not say what is missing
                raise await store_error(response, bucket_asked=True) from None
        raise


def require_unsealed(source: StoredObject) -> None:
    """Return unless a sealed object would be copied to where nothing is sealed.

    The store would copy ciphertext that nobody can read there; plaintext is not to leave its seal by an operation that
    clients take for a rename.

    Raises:
        S3Error: InvalidRequest.
    """
    if isinstance(source, SealedObject):
        code, msg = "InvalidRequest", "A sealed object cannot be copied to a name that is not sealed."
        raise S3Error(code, msg + " Read it and write it.")

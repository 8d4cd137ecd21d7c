"""Finding out what the store can do, with a small object and a small upload in the proxy's own bucket."""

import secrets
from http import HTTPStatus
from typing import Final

from s3proxy.front.xml_read import parse_document
from s3proxy.front.xml_write import node, to_xml
from s3proxy.settings import Known, ProxySettings
from s3proxy.store.capabilities import Capabilities
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import store_error
from s3proxy.store.system_bucket import SystemBucket
from strongroom.errors import PeerError

_PREFIX: Final = "probe/"
_MAX_BYTES: Final = 1 << 16
_OTHER_ETAG: Final = '"00000000000000000000000000000000"'
_SAID: Final = {Known.YES: True, Known.NO: False, Known.AUTO: None}


async def probe_store(settings: ProxySettings, store: Store, bucket: SystemBucket) -> Capabilities:
    """Return what the store can do. What a setting says is not asked for.

    Raises:
        StrongroomError: the store cannot be reached, or does not let the proxy write to its own bucket.
    """
    part_counts, conditional = _SAID[settings.store_part_counts], _SAID[settings.store_conditional_writes]
    key = _PREFIX + secrets.token_hex(8)
    if part_counts is None or conditional is None:
        await bucket.put(key, b"probe")  # makes the bucket, if there is none
    try:
        if conditional is None:
            conditional = await _refuses(store, bucket, key, {"if-none-match": "*"}) and await _refuses(
                store, bucket, key, {"if-match": _OTHER_ETAG}
            )
        if part_counts is None:
            part_counts = await _counts_parts(store, bucket, key)
    finally:
        await _delete(store, bucket, key)
    return Capabilities(part_counts=part_counts, conditional_writes=conditional)


async def _refuses(store: Store, bucket: SystemBucket, key: str, condition: dict[str, str]) -> bool:
    """Say whether a write whose condition does not hold is refused."""
    request = StoreRequest(method="PUT", bucket=bucket.name, key=key, headers=condition, body=b"probe")
    async with store.exchange(request) as response:
        return response.status == HTTPStatus.PRECONDITION_FAILED


async def _counts_parts(store: Store, bucket: SystemBucket, key: str) -> bool:
    """Say whether the ETag of an upload of one part ends in -1."""
    begun = await _exchange(store, StoreRequest(method="POST", bucket=bucket.name, key=key, query=(("uploads", ""),)))
    upload_id = parse_document(begun[1], root="InitiateMultipartUploadResult").require("UploadId")
    query = (("partNumber", "1"), ("uploadId", upload_id))
    part = StoreRequest(method="PUT", bucket=bucket.name, key=key, query=query, body=b"probe")
    etag, _ = await _exchange(store, part)
    document = to_xml(node("CompleteMultipartUpload", node("Part", node("PartNumber", "1"), node("ETag", etag))))
    end = StoreRequest(method="POST", bucket=bucket.name, key=key, query=(("uploadId", upload_id),), body=document)
    _, answer = await _exchange(store, end)
    found = parse_document(answer, root="CompleteMultipartUploadResult").get("ETag") or ""
    return found.strip('"').endswith("-1")


async def _exchange(store: Store, request: StoreRequest) -> tuple[str, bytes]:
    """Return ETag and body of a good answer.

    Raises:
        StrongroomError: it is another one.
    """
    async with store.exchange(request) as response:
        if response.status != HTTPStatus.OK:
            raise await store_error(response)
        return response.headers.get("ETag", ""), await read_all(response, _MAX_BYTES)


async def _delete(store: Store, bucket: SystemBucket, key: str) -> None:
    try:
        async with store.exchange(StoreRequest(method="DELETE", bucket=bucket.name, key=key)):
            return
    except PeerError:
        return  # a lifecycle rule on the proxy's own bucket takes what is left

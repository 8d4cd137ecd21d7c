"""The store puts the parts of an upload together: the request that ends it, and what the store makes of it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from s3proxy.operations.multipart.upload import MAX_ANSWER_BYTES, StoredPart, Upload, parse_answer
from s3proxy.s3api.object_headers import passed_back
from s3proxy.s3api.xml_write import node, to_xml
from s3proxy.store.client import Store, read_all
from s3proxy.store.errors import error_in
from s3proxy.stored.etags import bare_etag
from strongroom.errors import PeerError


async def finish_upload(
    store: Store, upload: Upload, parts: Sequence[StoredPart], conditions: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """Complete an upload at the store.

    Args:
        store: where.
        upload: which.
        parts: of which the object is to be, in the order of their numbers; the last one ends in the manifest.
        conditions: of the write.

    Returns:
        The store's ETag without quotes, and the headers of its answer that clients may see.

    Raises:
        PeerError: the ETag does not tell the number of parts, so that nobody could read the object.
        StrongroomError: the store cannot be reached, or refuses.
    """
    headers = {**conditions, "content-type": "application/xml"}
    async with store.exchange(upload.request("POST", headers=headers, body=list_of_parts(parts))) as response:
        raw, status = await read_all(response, MAX_ANSWER_BYTES), response.status
        answered = passed_back(response.headers)
    if status != HTTPStatus.OK or b"<Error>" in raw:  # S3 begins to answer before it knows
        raise error_in(raw, status)
    etag = bare_etag(parse_answer(raw, "CompleteMultipartUploadResult").get("ETag") or "")
    if etag.rpartition("-")[2] != str(len(parts)):
        msg = f"the store made an object of {len(parts)} parts, and its ETag {etag} does not say so"
        raise PeerError(msg, hint="sealed multipart objects need a store whose ETags end in the number of parts")
    return etag, answered


def list_of_parts(parts: Sequence[StoredPart]) -> bytes:
    """Return the document that completes an upload."""
    listed = (node("Part", node("PartNumber", part.number), node("ETag", f'"{part.etag}"')) for part in parts)
    return to_xml(node("CompleteMultipartUpload", *listed))

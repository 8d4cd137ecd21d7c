"""Copying a multipart object within the store, part by part along the borders of its stored parts (ADR 0006).

Nothing is sealed again but the metadata entry: it names the manifest and is bound to the new name. CopyObject of the
store would lose the number of parts from the ETag, and with it the size in listings.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from s3proxy.operations.multipart.upload import StoredPart, Upload, create_upload, etag_of_part, finish_upload
from s3proxy.s3api.names import copy_source_header
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.store.client import Store, read_all
from s3proxy.store.errors import document_in
from s3proxy.store.listing import for_each
from s3proxy.stored import fresh
from s3proxy.stored.multipart import MultipartObject
from s3proxy.stored.read import Name
from strongroom.errors import StrongroomError
from strongroom.sealed.attributes import Attributes

_AT_ONCE: Final = 8
_MAX_ANSWER_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Target:
    """What a copy is to be.

    Attributes:
        name: where it is to stand.
        headers: that it gets: content type, user metadata, tags and so on, without an entry.
        attributes: sealed in its entry.
        conditions: of the write, for the store (``conditions_of_write``).
    """

    name: Name
    headers: Mapping[str, str]
    attributes: Attributes
    conditions: Mapping[str, str]


async def copy_multipart(store: Store, source: MultipartObject, target: Target) -> tuple[str, dict[str, str]]:
    """Copy a sealed multipart object under the same policy; its bytes do not pass through the proxy.

    The caller has checked that the target's name is under the policy that the source is sealed under
    (``source.segment.header.policy``), and the conditions on the source. The very object that was found is copied: if
    another one stands there by now, the store refuses.

    Args:
        store: where both are.
        source: what is copied.
        target: what the copy is to be.

    Returns:
        As ``finish_upload``; the version id is among the headers.

    Raises:
        StrongroomError: the source is damaged (rules 1 to 9 and 13 to 16), or the store refuses or cannot be reached.
            No upload is left behind unless the store does not answer any longer.
    """
    bucket, key, name = target.name.bucket, target.name.key, source.name
    segment, manifest = await source.manifest()
    entry = fresh.entry(segment, target.attributes, bucket=bucket, key=key)
    upload_id, _ = await create_upload(store, target.name, {**target.headers, ENTRY_HEADER: entry})
    upload = Upload(bucket, key, upload_id)
    copied = {
        "x-amz-copy-source": copy_source_header(name.bucket, name.key, name.version_id),
        "x-amz-copy-source-if-match": f'"{source.store_etag}"',
    }
    borders = [*manifest.stored_offsets()[:-1], manifest.stored_bytes]  # the last part ends in the manifest
    parts: dict[int, StoredPart] = {}

    async def copy_part(place: tuple[int, tuple[int, int]]) -> None:
        number, (begin, end) = place
        ranged = {**copied, "x-amz-copy-source-range": f"bytes={begin}-{end - 1}"}
        request = upload.request("PUT", query=(("partNumber", str(number)),), headers=ranged)
        async with store.exchange(request) as response:
            etag = etag_of_part((await document_in(response, "CopyPartResult")).get("ETag"))
        parts[number] = StoredPart(number, etag, end - begin)

    try:
        await for_each(enumerate(pairwise(borders), start=1), copy_part, at_once=_AT_ONCE)
        return await finish_upload(store, upload, [parts[number] for number in sorted(parts)], target.conditions)
    except BaseException:
        await asyncio.shield(_give_up(store, upload))
        raise


async def _give_up(store: Store, upload: Upload) -> None:
    with contextlib.suppress(StrongroomError):
        async with store.exchange(upload.request("DELETE")) as response:
            await read_all(response, _MAX_ANSWER_BYTES)

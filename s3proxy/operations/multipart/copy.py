"""Copying a multipart object within the store, part by part along the borders of its stored parts (ADR 0006).

Nothing is sealed again but the metadata entry: it names the manifest and is bound to the new name. CopyObject of the
store would lose the number of parts from the ETag, and with it the size in listings.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from typing import Final

from s3proxy.at_once import for_each
from s3proxy.operations.multipart.complete import finish_upload
from s3proxy.operations.multipart.upload import MAX_ANSWER_BYTES, StoredPart, Upload, parse_answer
from s3proxy.operations.multipart.uploads import create_upload
from s3proxy.s3api.names import copy_source_header
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.store.client import Store, read_all
from s3proxy.store.errors import error_in
from s3proxy.stored import fresh
from s3proxy.stored.etags import bare_etag
from s3proxy.stored.multipart import MultipartReader
from s3proxy.stored.open import Name, SealedObject
from strongroom.errors import StrongroomError
from strongroom.sealed.attributes import Attributes

_AT_ONCE: Final = 8
_MIB: Final = 1 << 20


@dataclass(frozen=True)
class MultipartCopy:
    """A copy that the store has.

    Attributes:
        etag: of the store, without quotes; it ends in the number of parts.
        headers: of the store's answer, as far as clients may see them; the version id is among them.
    """

    etag: str
    headers: dict[str, str]


async def copy_multipart(  # noqa: PLR0913 - all that a copy is made of
    store: Store,
    reader: MultipartReader,
    *,
    source: Name,
    found: SealedObject,
    target: Name,
    headers: Mapping[str, str],
    attributes: Attributes | None = None,
    conditions: Mapping[str, str] | None = None,
) -> MultipartCopy:
    """Copy a sealed multipart object under the same policy; its bytes do not pass through the proxy.

    The caller has checked that the target's name is under the policy that the source is sealed under
    (``found.segment.header.policy``), and the conditions on the source. The very object that was found is copied: if
    another one stands there by now, the store refuses.

    Args:
        store: where both are.
        reader: opens the manifest.
        source: name, and version if one was asked for, of what is copied.
        found: what was found there; ``found.is_multipart``.
        target: where the copy is to stand.
        headers: that the copy gets: content type, user metadata, tags and so on, without an entry.
        attributes: sealed in the copy's entry; None for those of the source.
        conditions: of the write, for the store (``conditions_of_write``).

    Raises:
        StrongroomError: the source is damaged (rules 1 to 9 and 13 to 16), or the store refuses or cannot be reached.
            No upload is left behind unless the store does not answer any longer.
    """
    segment, manifest = await reader.manifest(source, found)
    sealed = found.attributes if attributes is None else attributes
    entry = fresh.entry(segment, sealed, bucket=target.bucket, key=target.key)
    created = {**headers, ENTRY_HEADER: entry}
    upload_id, _ = await create_upload(store, target.bucket, target.key, created)
    upload = Upload(target.bucket, target.key, upload_id)
    copied = {
        "x-amz-copy-source": copy_source_header(source.bucket, source.key, source.version_id),
        "x-amz-copy-source-if-match": f'"{found.store_etag}"',
    }
    borders = [*manifest.stored_offsets()[:-1], manifest.stored_bytes]  # the last part ends in the manifest
    parts: dict[int, StoredPart] = {}

    async def copy_part(place: tuple[int, tuple[int, int]]) -> None:
        number, (begin, end) = place
        ranged = {**copied, "x-amz-copy-source-range": f"bytes={begin}-{end - 1}"}
        parts[number] = await _copy_part(store, upload, number, end - begin, ranged)

    try:
        await for_each(_numbered(borders), copy_part, at_once=_AT_ONCE)
        stored = [parts[number] for number in sorted(parts)]
        etag, answered = await finish_upload(store, upload, stored, conditions or {})
    except BaseException:
        await asyncio.shield(_give_up(store, upload))
        raise
    return MultipartCopy(etag, answered)


async def _numbered(borders: list[int]) -> AsyncIterator[tuple[int, tuple[int, int]]]:
    for place in enumerate(pairwise(borders), start=1):
        yield place


async def _copy_part(store: Store, upload: Upload, number: int, length: int, headers: dict[str, str]) -> StoredPart:
    request = upload.request("PUT", query=(("partNumber", str(number)),), headers=headers)
    async with store.exchange(request) as response:
        raw, status = await read_all(response, _MIB), response.status
    if status != HTTPStatus.OK or b"<Error>" in raw:  # S3 begins to answer before it knows
        raise error_in(raw, status)
    return StoredPart(number, bare_etag(parse_answer(raw, "CopyPartResult").get("ETag") or ""), length)


async def _give_up(store: Store, upload: Upload) -> None:
    with contextlib.suppress(StrongroomError):
        async with store.exchange(upload.request("DELETE")) as response:
            await read_all(response, MAX_ANSWER_BYTES)

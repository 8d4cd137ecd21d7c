"""Copies of small parts, kept until their upload is completed or aborted (ADR 0006).

A part under 5 MiB may turn out to be the last one: then it is uploaded again with the manifest behind it, perhaps by
another proxy. The copy is named after upload tag, part number and the ETag of that very attempt, so that two attempts
at a part are never mistaken for each other. A part that small counts as uploaded only while its copy is there.
"""

import logging
from http import HTTPStatus
from typing import Final

from s3proxy.operations.multipart.upload import MAX_ETAG_CHARACTERS, StoredPart, Upload
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.operations import no_such_upload
from s3proxy.store.answers import number_in
from s3proxy.store.client import Store, StoreRequest, Together, read_all
from s3proxy.store.connection import Held
from s3proxy.store.errors import store_error
from s3proxy.store.listing import for_each, list_objects
from s3proxy.store.system_bucket import SystemBucket
from strongroom.errors import PeerError, StrongroomError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)

PREFIX: Final = "uploads/"  # what a lifecycle rule of the store may expire
_REMOVED_AT_ONCE: Final = 16
_MAX_COPIES: Final = 12_000  # of 10,000 parts of which one may be small in the end; each costs anyone who looks at them
_MAX_REMOVED: Final = 100_000  # a store whose list does not end is not followed for ever


class KeptParts:
    """The copies in the proxy's own bucket."""

    def __init__(self, store: Store, bucket: SystemBucket) -> None:
        """Take the store and the bucket."""
        self._store = store
        self._bucket = bucket

    async def keep(self, upload: Upload, part: StoredPart, sealed: Held) -> None:
        """Keep a copy of a part that the store has taken.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        await self._bucket.put(_key(upload, part), sealed)

    async def find(self, upload: Upload, together: Together, *, most: int = _MAX_COPIES) -> list[StoredPart]:
        """Return of which parts there are copies.

        Args:
            upload: whose.
            together: what has the list of them counted.
            most: that are looked at.

        Raises:
            StrongroomError: the store cannot be reached, or refuses, or there are more than this many.
        """
        prefix = _prefix(upload)
        kept: list[StoredPart] = []
        seen = 0
        try:
            async for item in list_objects(self._store, self._bucket.name, prefix=prefix, together=together):
                text, _, etag = item.key.removeprefix(prefix).partition("/")
                number = number_in(text)
                if number is not None and 0 < len(etag) <= MAX_ETAG_CHARACTERS:
                    kept.append(StoredPart(number, etag, item.stored_bytes))
                seen += 1
                if seen > most:  # of whatever name: or else a list of others could go on for ever
                    msg = f"more than {most} attempts at the small parts of an upload"
                    raise PeerError(msg, hint="abort the upload and begin anew")
        except S3Error as error:
            if error.code != "NoSuchBucket":
                raise
        return kept

    async def read(self, upload: Upload, part: StoredPart) -> bytes:
        """Return the copy of a part that ``find`` has found.

        Raises:
            StrongroomError: the store cannot be reached, or refuses; NoSuchUpload, as the copy went with its upload.
        """
        request = StoreRequest(method="GET", bucket=self._bucket.name, key=_key(upload, part))
        async with self._store.exchange(request) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                raise no_such_upload()
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            return await read_all(response, part.stored_bytes)

    async def remove_all(self, upload: Upload, together: Together) -> None:
        """Remove the copies of an upload that was given up, also where they are too many to go on with it.

        Raises:
            StrongroomError: as ``find``.
        """
        await self.remove(upload, await self.find(upload, together, most=_MAX_REMOVED))

    async def remove(self, upload: Upload, parts: list[StoredPart]) -> None:
        """Remove copies. What stays because the store fails is garbage and does no harm, so that is only logged."""

        async def remove_one(part: StoredPart) -> None:
            request = StoreRequest(method="DELETE", bucket=self._bucket.name, key=_key(upload, part))
            async with self._store.exchange(request) as response:
                if response.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
                    raise await store_error(response)

        try:
            await for_each(parts, remove_one, at_once=_REMOVED_AT_ONCE)
        except StrongroomError as error:
            fields = {"under": _prefix(upload), "reason": error.message}
            log_event(_log, logging.WARNING, "copies_not_removed", fields)


def _prefix(upload: Upload) -> str:
    return f"{PREFIX}{upload.tag.hex()}/"


def _key(upload: Upload, part: StoredPart) -> str:
    return f"{_prefix(upload)}{part.number}/{part.etag}"

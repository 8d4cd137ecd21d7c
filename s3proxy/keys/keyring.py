"""The keyring: records of bucket keys, kept as objects in the proxy's own bucket.

``docs/object-format.md``, section "Keyring". A record is written before the first object is sealed under its key, so
that a change of the KEK rewraps records and touches no object.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from s3proxy.front.errors import S3Error
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import store_error
from s3proxy.store.listing import list_objects
from s3proxy.store.system_bucket import SystemBucket
from strongroom.sealed.keyring import KeyRecord, parse_record, record_name
from strongroom.sealed.wrapping import WrappedKey

PREFIX: Final = "keyring/"
_MAX_RECORD_BYTES: Final = 1 << 16  # a record of this version has 300 bytes; others may have put more into it


class Keyring:
    """The records in one bucket."""

    def __init__(self, store: Store, bucket: SystemBucket) -> None:
        """Take where records are kept."""
        self._store = store
        self._bucket = bucket

    async def find(self, policy: str, key_id: bytes) -> KeyRecord | None:
        """Return the record of a bucket key, or None.

        Raises:
            IntegrityError: what stands there is no record of it.
            StrongroomError: the store cannot be reached, or refuses.
        """
        return await self.read(record_name(policy, key_id))

    async def read(self, name: str) -> KeyRecord | None:
        """Return the record of a name, or None.

        Raises:
            IntegrityError: what stands there is no record of that name.
            StrongroomError: the store cannot be reached, or refuses.
        """
        request = StoreRequest(method="GET", bucket=self._bucket.name, key=PREFIX + name)
        async with self._store.exchange(request) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            raw = await read_all(response, _MAX_RECORD_BYTES)
        return parse_record(raw, name=name)

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        """Write the record of a new bucket key.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self.write(KeyRecord(policy, key_id, wrapped, created))

    async def write(self, record: KeyRecord) -> None:
        """Write a record, in the place of what stands there.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        await self._bucket.put(PREFIX + record.name, record.encode(), content_type="application/json")

    async def names(self) -> AsyncIterator[str]:
        """Give the names of all records.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        try:
            async for entry in list_objects(self._store, self._bucket.name, prefix=PREFIX):
                yield entry.key.removeprefix(PREFIX)
        except S3Error as error:
            if error.code != "NoSuchBucket":  # then nothing was ever sealed
                raise

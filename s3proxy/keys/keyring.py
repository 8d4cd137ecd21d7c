"""The keyring: records of bucket keys, kept as objects in the proxy's own bucket.

``docs/object-format.md``, section "Keyring". A record is written before the first object is sealed under its key, so
that a change of the KEK rewraps records and touches no object.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from heapq import nlargest
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote_plus

from s3proxy.keys.kek import Cause, KeyNotAvailableError
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.xml_read import Element, parse_document
from s3proxy.store.answers import OddAnswerError, require_token
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import UnacceptedError, store_error
from s3proxy.store.listing import list_objects
from s3proxy.store.system_bucket import SystemBucket, SystemBucketError
from strongroom.errors import IntegrityError, PeerError, UnavailableError
from strongroom.sealed.header import ID_BYTES
from strongroom.sealed.keyring import KeyRecord, is_record_name, parse_record, record_name
from strongroom.sealed.names import POLICY_NAME
from strongroom.sealed.wrapping import WrappedKey

PREFIX: Final = "keyring/"
WITNESS_ID: Final = bytes(ID_BYTES)
"""The id of a record that nothing is sealed under: it tells, for each policy, whether the KEK is the one it was."""
_MAX_RECORD_BYTES: Final = 1 << 16  # a record of this version has 300 bytes; others may have put more into it
_MAX_PAGE_BYTES: Final = 6 << 20
_PAGE_ENTRIES: Final = 1000
_MAX_ENTRIES: Final = 1_000_000  # of a whole list: a store whose list does not end is not followed for ever
_MAX_POLICIES: Final = 10_000
_MAX_KEY_CHARACTERS: Final = 1024  # percent-encoded
_MAX_TIME_CHARACTERS: Final = 64


class _EndlessError(OddAnswerError):
    """A list of the keyring goes on and on."""


class Keyring:
    """The records in one bucket."""

    def __init__(self, store: Store, bucket: SystemBucket) -> None:
        """Take where records are kept."""
        self._store = store
        self._bucket = bucket

    def where(self, name: str) -> str:
        """Return where the record of a name is, for people."""
        return f"{PREFIX}{name} in {self._bucket.name}"

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
                raise self._refusal(await store_error(response), f"GET {PREFIX}{name}")
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
        """Write a record, instead of what stands there.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        try:
            await self._bucket.put(PREFIX + record.name, record.encode(), content_type="application/json")
        except S3Error as error:
            raise self._refusal(error, f"PUT {PREFIX}{record.name}") from None
        except SystemBucketError as error:
            raise KeyNotAvailableError(Cause.KEYRING, error.message, hint=error.hint) from None

    async def names(self, policy: str = "") -> AsyncIterator[str]:
        """Give the names of all records, or of those of one policy.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        prefix = f"{PREFIX}{policy}/" if policy else PREFIX
        try:
            async for entry in list_objects(self._store, self._bucket.name, prefix=prefix):
                yield entry.key.removeprefix(PREFIX)
        except S3Error as error:
            if error.code != "NoSuchBucket":
                raise self._refusal(error, f"a list of {prefix}") from None

    async def newest(self, count: int) -> AsyncIterator[KeyRecord]:
        """Give the records that were written last, but for what is not a record.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        found: list[tuple[str, str]] = []
        with contextlib.suppress(_EndlessError):  # then it is the newest of those that were seen
            async for page in self._pages(()):
                found = nlargest(count, [*found, *_records_in(page)])
        for _, name in found:
            with contextlib.suppress(IntegrityError):
                record = await self.read(name)
                if record is not None:
                    yield record

    async def policies(self) -> set[str]:
        """Return the names of the policies that have records.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        found: set[str] = set()
        async for page in self._pages((("delimiter", "/"),)):
            prefixes = [unquote_plus(item.get("Prefix") or "") for item in page.all("CommonPrefixes")]
            names = (prefix.removeprefix(PREFIX).removesuffix("/") for prefix in prefixes)
            found.update(name for name in names if POLICY_NAME.fullmatch(name))
            if len(found) > _MAX_POLICIES:
                raise OddAnswerError(f"the store lists more than {_MAX_POLICIES} policies in the keyring")
        return found

    async def _pages(self, more: tuple[tuple[str, str], ...]) -> AsyncIterator[Element]:
        """Give the pages of a list of the keyring; none if there is no bucket.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        base = (("list-type", "2"), ("encoding-type", "url"), ("prefix", PREFIX), *more)
        token = ""
        seen = 0
        while True:
            query = (*base, ("continuation-token", token)) if token else base
            request = StoreRequest(method="GET", bucket=self._bucket.name, query=query)
            async with self._store.exchange(request) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    return
                if response.status != HTTPStatus.OK:
                    raise self._refusal(await store_error(response, bucket_asked=True), f"a list of {PREFIX}")
                page = parse_document(await read_all(response, _MAX_PAGE_BYTES), root="ListBucketResult")
            yield page
            before, token = token, page.get("NextContinuationToken") or ""
            require_token(token)
            if page.get("IsTruncated") != "true" or token in {"", before}:
                return
            seen += max(len(page.children), _PAGE_ENTRIES)  # an empty page takes as long as a full one
            if seen > _MAX_ENTRIES:
                raise _EndlessError(f"the store's list of {PREFIX} does not end")

    def _refusal(self, error: S3Error, request: str) -> PeerError | KeyNotAvailableError:
        """Return what the store's refusal of a request of the proxy's own is: no refusal of what a client asked for."""
        msg = f"the store answers {error.status} {error.code} to {request} in {self._bucket.name}: {error.message}"
        if isinstance(error, UnacceptedError):
            return KeyNotAvailableError(Cause.KEYRING, msg, hint=error.hint)
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return UnavailableError(msg, hint="see the log of the store")
        hint = f"give the store credentials of the proxy the right to list, read and write {self._bucket.name}"
        return KeyNotAvailableError(Cause.KEYRING, msg, hint=hint)


def _records_in(page: Element) -> Iterator[tuple[str, str]]:
    """Give time and name of each record that a page lists; other names may have any length, and each is asked for."""
    for item in page.all("Contents"):
        key = item.get("Key") or ""
        name = unquote_plus(key).removeprefix(PREFIX) if len(key) <= _MAX_KEY_CHARACTERS else ""
        if is_record_name(name):
            yield (item.get("LastModified") or "")[:_MAX_TIME_CHARACTERS], name

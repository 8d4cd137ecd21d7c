"""The source of a copy, opened for reading: sealed or not, whole or multipart, all or a range of it.

What is read is the very object whose conditions were checked: each request to the store names its ETag.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from s3proxy.conditions import require_conditions
from s3proxy.front.errors import S3Error
from s3proxy.front.head import RequestHead
from s3proxy.front.operations import CopySource
from s3proxy.multipart_read import MultipartReader
from s3proxy.object_open import Found, Name, ObjectFinder, is_plaintext, stored_bytes_of
from s3proxy.object_read import opened_pieces
from s3proxy.policies import Mode, Policies
from s3proxy.store import Store, StoreRequest
from s3proxy.store_errors import store_error
from strongroom.sealed.ranges import plan_range


@dataclass(frozen=True)
class Source:
    """An object that is to be copied.

    Attributes:
        name: where it stands, with the version that was asked for.
        found: its opened entry; None when it is no sealed object.
        plaintext_bytes: its length.
        etag: that clients see, with quotes.
        store_etag: without quotes.
        store_headers: of the answer that it was found by.
    """

    name: Name
    found: Found | None
    plaintext_bytes: int
    etag: str
    store_etag: str
    store_headers: Mapping[str, str]


class SourceReader:
    """Opens and reads sources of copies."""

    def __init__(
        self, store: Store, policies: Policies, finder: ObjectFinder, multipart: MultipartReader, *, hidden_bucket: str
    ) -> None:
        """Take the store, what opens objects, and the bucket that nobody may copy from."""
        self._store = store
        self._policies = policies
        self._finder = finder
        self._multipart = multipart
        self._hidden_bucket = hidden_bucket

    async def open(self, source: CopySource, head: RequestHead) -> Source:
        """Find a source and check the conditions of the copy on it (``x-amz-copy-source-if-*``).

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        if source.bucket == self._hidden_bucket:
            code, msg = "AccessDenied", "Access Denied"
            raise S3Error(code, msg, hint="the proxy's own bucket is not for clients")
        policy = self._policies.require(source.bucket, source.key)
        name = Name(source.bucket, source.key, source.version_id)
        request = StoreRequest(method="HEAD", bucket=name.bucket, key=name.key, query=name.query)
        async with self._store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            store_headers = response.headers
        store_etag = store_headers.get("ETag", "").strip('"')
        if policy.mode is Mode.PASSTHROUGH or (policy.mode is Mode.MIGRATE and is_plaintext(store_headers)):
            size = stored_bytes_of(store_headers)
            opened = Source(name, None, size, f'"{store_etag}"', store_etag, store_headers)
        else:
            found = await self._finder.find(name, store_headers)
            etag = await self._finder.etag(name, found, policy)
            if found.is_multipart:
                size = (await self._multipart.manifest(name, found))[1].plaintext_bytes
            else:
                size = found.segment.header.plaintext_bytes
            opened = Source(name, found, size, etag, store_etag, store_headers)
        modified = store_headers.get("Last-Modified", "")
        require_conditions(head, etag=opened.etag, last_modified=modified, prefix="x-amz-copy-source-")
        return opened

    async def pieces(self, source: Source, first: int, last: int) -> AsyncIterator[memoryview]:
        """Give the plaintext of a source from byte ``first`` to ``last``; nothing when ``last`` is before ``first``.

        Raises:
            StrongroomError: it is damaged, another one by now, or the store refuses.
        """
        name, found = source.name, source.found
        if found is not None and found.is_multipart:
            opened = await self._multipart.manifest(name, found)
            async for piece in self._multipart.pieces(name, found, opened, first, last):
                yield piece
            return
        if last < first:
            return
        headers = {"if-match": f'"{source.store_etag}"'}
        plan = None
        if found is None:
            headers["range"] = f"bytes={first}-{last}"
        elif (first, last) != (0, source.plaintext_bytes - 1):
            plan = plan_range(first, last, source.plaintext_bytes, found.segment.header.chunk_log2)
            headers["range"] = f"bytes={plan.stored_first}-{plan.stored_last}"
        request = StoreRequest(method="GET", bucket=name.bucket, key=name.key, query=name.query, headers=headers)
        async with self._store.exchange(request) as response:
            if response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                raise await store_error(response)
            if found is None:
                async for data in response.content.iter_any():
                    yield memoryview(data)
            else:
                async for piece in opened_pieces(found, plan, response):
                    yield piece

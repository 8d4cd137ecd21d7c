"""Going through all objects of a bucket at the store, page by page, for the proxy's own work and not for a client.

``for_each`` does the same to many things, several at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import unquote_plus

from s3proxy.s3api.xml_read import Element, parse_document
from s3proxy.store.answers import OddAnswerError, number_in, require_token
from s3proxy.store.client import Store, StoreRequest, Together, read_all
from s3proxy.store.errors import store_error
from s3proxy.store.slash_keys import is_kept_key, shown_key
from strongroom.errors import StrongroomError

T = TypeVar("T")

_MAX_EMPTY_PAGES: Final = 1000  # one after the other; S3 has some behind many deleted versions
_MAX_KEY_CHARACTERS: Final = 16 << 10  # percent-encoded; some are asked for again, held, or told
_MAX_PAGE_BYTES: Final = 6 << 20  # 1,000 names of 1,024 bytes, each byte percent-encoded, and room


@dataclass(frozen=True)
class StoredName:
    """One object of a listing.

    Attributes:
        key: decoded.
        etag: the store's, without quotes.
        stored_bytes: its size at the store.
    """

    key: str
    etag: str
    stored_bytes: int


async def list_objects(
    store: Store, bucket: str, *, prefix: str = "", start_after: str = "", together: Together | None = None
) -> AsyncIterator[StoredName]:
    """Give the objects of a bucket in the order of the store.

    Args:
        store: where.
        bucket: which.
        prefix: what their names begin with.
        start_after: a name; those up to it are left out.
        together: what has all of it counted, where what it lists is held for a client.

    Raises:
        PeerError: the store's answer is nonsense.
        StrongroomError: the store cannot be reached, or refuses; a bucket that does not exist is NoSuchBucket.
    """
    base = [("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)]
    place = [("start-after", start_after)] if start_after else []
    folders: list[str] = []  # in which the listing is
    empty_pages = 0
    while True:
        request = StoreRequest(method="GET", bucket=bucket, query=(*base, *place))
        async with store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response, bucket_asked=True)
            make_room = together.next() if together else None
            page = _parse(await read_all(response, _MAX_PAGE_BYTES, make_room=make_room))
        empty_pages += 1  # unless something of it is given
        for item in page.all("Contents"):
            entry = _entry(item)
            while folders and not entry.key.startswith(folders[-1]):
                folders.pop()
            if store.capabilities.slash_content is False and is_kept_key(entry.key):
                entry = replace(entry, key=shown_key(entry.key))
                if entry.key in folders:  # a folder of this name was given: what is read under it is this
                    continue
            elif entry.key.endswith("/"):
                folders.append(entry.key)
            empty_pages = 0
            yield entry
        token = page.get("NextContinuationToken")
        if page.get("IsTruncated") != "true":
            return
        if not token or place == [("continuation-token", token)] or empty_pages > _MAX_EMPTY_PAGES:
            raise OddAnswerError(f"the store's list of {bucket} does not go on")
        require_token(token)
        place = [("continuation-token", token)]


async def for_each(
    items: AsyncIterator[T] | Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int
) -> None:
    """Do the work for each item; items are taken only as fast as they are done.

    Raises:
        Exception: the first one that the work or the items raise, as it is; the rest is given up.
    """
    room = asyncio.Semaphore(at_once)

    async def one(item: T) -> None:
        try:
            await work(item)
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            async for item in items if isinstance(items, AsyncIterator) else _each(items):
                await room.acquire()
                group.create_task(one(item))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item


def _parse(raw: bytes) -> Element:
    try:
        return parse_document(raw, root="ListBucketResult")
    except StrongroomError:
        raise OddAnswerError("the store answers a list that cannot be read") from None


def _entry(item: Element) -> StoredName:
    key, size = item.get("Key"), number_in(item.get("Size") or "")
    if not key or size is None:
        raise OddAnswerError("the store lists an object without its name or size")
    if len(key) > _MAX_KEY_CHARACTERS:
        raise OddAnswerError("the store lists an object with a name that is too long")
    return StoredName(unquote_plus(key), (item.get("ETag") or "").strip('"'), size)

"""The source of a copy, opened for reading: sealed or not, whole or multipart, all or a range of it.

What is read is the very object whose conditions were checked: each request to the store names its ETag.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from s3proxy.keys.policies import Policies, Policy
from s3proxy.s3api.access import require_visible
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.operations import Call
from s3proxy.store.answers import OddAnswerError
from s3proxy.store.client import Store, StoreRequest
from s3proxy.store.connections import StoreAnswer
from s3proxy.store.errors import reread_error, store_error
from s3proxy.stored.conditions import require_conditions
from s3proxy.stored.multipart import MultipartReader
from s3proxy.stored.open import Name, ObjectFinder, SealedObject, UnsealedObject, range_begin_of
from s3proxy.stored.pieces import opened_pieces
from strongroom.sealed.ranges import RangePlan, plan_range

_OWNER: Final = "x-amz-expected-bucket-owner"
_SOURCE_OWNER: Final = "x-amz-source-expected-bucket-owner"


@dataclass(frozen=True)
class Source:
    """An object that is to be copied.

    Attributes:
        name: where it stands, with the version that was asked for.
        found: what stands there.
        plaintext_bytes: its length.
        etag: that clients see, with quotes.
    """

    name: Name
    found: SealedObject | UnsealedObject
    plaintext_bytes: int
    etag: str


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

    async def open(self, call: Call, head: RequestHead) -> Source:
        """Find the source of a copy, and check the request's conditions on it.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        source = call.copy_source
        assert source is not None  # noqa: S101 - of a copy
        require_visible(source.bucket, hidden_bucket=self._hidden_bucket)
        policy = self._policies.require(source.bucket, source.key)
        name = Name(source.bucket, source.key, source.version_id)
        found = await self._look(name, policy, head.header(_SOURCE_OWNER))
        etag = await self._finder.etag(name, found, policy)
        modified = found.store_headers.get("Last-Modified", "")
        require_conditions(head, etag=etag, last_modified=modified, prefix="x-amz-copy-source-")
        if isinstance(found, UnsealedObject):
            size = found.stored_bytes
        elif found.is_multipart:
            size = (await self._multipart.manifest(name, found))[1].plaintext_bytes
        else:
            size = found.segment.header.plaintext_bytes
        return Source(name, found, size, etag)

    async def _look(self, name: Name, policy: Policy, owner: str) -> SealedObject | UnsealedObject:
        try:
            return await self._finder.look(name, policy, headers={_OWNER: owner} if owner else None)
        except S3Error as error:
            if error.code != "NoSuchKey":
                raise
            async with self._store.exchange(StoreRequest(method="HEAD", bucket=name.bucket)) as response:
                if response.status == HTTPStatus.NOT_FOUND:  # an answer to HEAD does not say what is missing
                    raise await store_error(response, bucket_asked=True) from None
            raise

    async def pieces(self, source: Source, first: int, last: int) -> AsyncIterator[memoryview]:
        """Yield the plaintext of a source from byte ``first`` to ``last``; nothing if ``last`` is before ``first``.

        Raises:
            StrongroomError: it is damaged, another one by now, or the store refuses.
        """
        name, found = source.name, source.found
        if last < first:
            return
        if isinstance(found, SealedObject) and found.is_multipart:
            opened = await self._multipart.manifest(name, found)
            async for piece in self._multipart.pieces(name, found, opened, first, last):
                yield piece
            return
        headers = {"if-match": f'"{found.store_etag}"'}
        plan: RangePlan | None = None
        if isinstance(found, UnsealedObject):
            headers["range"] = f"bytes={first}-{last}"
        elif (first, last) != (0, source.plaintext_bytes - 1):
            plan = plan_range(first, last, source.plaintext_bytes, found.segment.header.chunk_log2)
            headers["range"] = f"bytes={plan.stored_first}-{plan.stored_last}"
        request = StoreRequest(method="GET", bucket=name.bucket, key=name.key, query=name.query, headers=headers)
        async with self._store.exchange(request) as response:
            if response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                raise await reread_error(response)
            if isinstance(found, UnsealedObject):
                async for piece in _exactly(response, first, last - first + 1):
                    yield piece
            else:
                async for piece in opened_pieces(found, plan, response):
                    yield piece


async def _exactly(response: StoreAnswer, first: int, length: int) -> AsyncIterator[memoryview]:
    """Give the bytes that were asked for of what no seal tells the place and the end of.

    Raises:
        PeerError: the store answers with others, or with more or fewer.
    """
    left = length if range_begin_of(response.headers) == first else -1
    async for data in response.content.iter_any():
        left -= len(data)
        if left < 0:
            break
        yield memoryview(data)
    if left:
        raise OddAnswerError("the store answers with another range than was asked for")


def require_unsealed(source: Source) -> None:
    """Return unless a sealed object would be copied to where nothing is sealed.

    The store would copy ciphertext that nobody can read there; plaintext is not to leave its seal by an operation that
    clients take for a rename.

    Raises:
        S3Error: InvalidRequest.
    """
    if isinstance(source.found, SealedObject):
        code, msg = "InvalidRequest", "A sealed object cannot be copied to a name that is not sealed."
        raise S3Error(code, msg + " Read it and write it.")

"""Reading an object: from a range of plaintext to stored bytes, and from these to what a client gets.

An answer of the store becomes one opened object (``ObjectFinder``): whole (``whole``), multipart (``multipart``) or not
sealed (here). Its reader need not ask which: ``size``, ``etag`` and ``digests`` are those of the plaintext,
``pieces(first, last)`` yields a range of it.

**Where the bytes are.** A segment is a header of 256 bytes and then chunks of plaintext, all but the last of one size
c, each followed by a tag of 16 bytes. The plaintext bytes first … last are in the chunks first div c … last div c;
chunk i begins at stored byte 256 + i·(c + 16). Only whole chunks can be verified, so whole chunks are read, and what
the first and the last one hold beyond the range is dropped. The length is in the header, and the keys derived from a
header are right only if nothing in it was changed.

**One request.** The metadata entry, which comes with every answer about an object, holds the header of a whole object.
GET knows the chunk size, but not the length before that answer: so it asks for the chunks of the range as if the object
were long enough (``Read.request``) and leaves what follows the last one it needs. For the last k bytes it asks for one
chunk more than k bytes fill, since the last chunk may be short. Where the request depends on what is there (If-Range, a
part by its number, a name that was last read as a multipart object) the metadata is asked for first.

**What is verified before the first byte goes out.** The entry opens under this very name (rules 11 and 12 of
docs/object-format.md) with a bucket key that the policies of the name allow (6, 7); the stored length is the one in the
header (8); the client's conditions hold for the ETag that clients see; the manifest of a multipart object is opened.
From then on a chunk goes out as soon as its own tag holds (9), which proves its content, its place, and whether it is
the last one. The last chunk of a whole object that is read to its end waits for the footer (10). An answer that fits
into one piece is begun only when all of that holds; a longer one that fails later is broken off, so that nothing short
or wrong ends like a good answer.

**The same object.** The first answer has the store's ETag. Every later request, for the footer, the manifest, parts or
chunks, sends it as If-Match: if another object is there by then the store refuses, and the client is told to try again.
"""

import abc
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.policies import Policies, Policy
from s3proxy.s3api.byte_range import ByteRange
from s3proxy.s3api.object_headers import DEFAULT_CONTENT_TYPE
from s3proxy.store.answers import OddAnswerError, range_begin_of, stored_bytes_of
from s3proxy.store.client import Store, StoreRequest
from s3proxy.store.connection import StoreAnswer
from s3proxy.store.errors import reread_error
from s3proxy.store.slash_keys import FOLDER_ETAG
from s3proxy.stored.etags import KnownDigests, bare_etag
from strongroom.sealed.digests import Digests
from strongroom.sealed.header import Header
from strongroom.sealed.manifest import Manifest, PartRecord
from strongroom.sealed.ranges import blind_range, blind_suffix
from strongroom.sealed.segment import Segment
from strongroom.secret import Secret
from strongroom.service.lru import Lru

_KEPT_NAMES: Final = 10_000
_KEPT_SEGMENTS: Final = 4096  # parts that were read from the middle; about 8 kB of memory each
_KEPT_MANIFESTS_BYTES: Final = 32 << 20  # of memory: of one part about 3,700, of a thousand parts about 200
_MANIFEST_BYTES: Final = 9000  # of memory, beside its parts and the ETag: most of it are keys
_PART_BYTES: Final = 150  # of memory

OK, PARTIAL, UNSATISFIABLE = 200, 206, 416


@dataclass(frozen=True)
class Name:
    """The name of an object, and perhaps of one of its versions."""

    bucket: str
    key: str
    version_id: str = ""

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The query that names the version."""
        return (("versionId", self.version_id),) if self.version_id else ()


@dataclass(frozen=True)
class Read:
    """A wish to read what is under a name.

    Attributes:
        name: which.
        policy: that the name is under.
        headers: of the client, that go with every request to the store.
        overrides: parameters that change headers of the answer; the store obeys them.
    """

    name: Name
    policy: Policy
    headers: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[tuple[str, str], ...] = ()

    def request(self, method: str, asked: ByteRange | None = None) -> StoreRequest:
        """Return what the store is asked before it is known what is there: for all of it, or a range of plaintext."""
        headers = self.headers
        if asked is not None:
            if asked.first is None:
                headers = {**headers, "range": f"bytes=-{blind_suffix(asked.last or 1)}"}
            else:
                first, last = blind_range(asked.first, asked.last)
                headers = {**headers, "range": f"bytes={first}-{'' if last is None else last}"}
        name = self.name
        query = name.query + self.overrides
        return StoreRequest(method=method, bucket=name.bucket, key=name.key, query=query, headers=headers)


class Access:
    """What opened objects are read by: the store, the keys, and what is remembered of objects.

    Attributes:
        store: where they are.
        known: digests of whole objects.
        manifests: by header, ETag and size of what they are the manifests of.
        part_headers: those of parts that were read from the middle, by manifest, ETag and number.
        multipart_names: of multipart objects, when they were last read.
    """

    def __init__(self, store: Store, keys: BucketKeys, policies: Policies, known: KnownDigests) -> None:
        """Take the store, the keys, and what may be sealed under what."""
        self.store = store
        self.known = known
        self.manifests = Lru[tuple[bytes, str, int], tuple[Segment, Manifest]](_KEPT_MANIFESTS_BYTES)
        self.part_headers = Lru[tuple[bytes, str, int], Segment](_KEPT_SEGMENTS)
        self.multipart_names = Lru[tuple[str, str], None](_KEPT_NAMES)
        self._keys = keys
        self._policies = policies

    def keep_manifest(self, place: tuple[bytes, str, int], proof: tuple[Segment, Manifest]) -> None:
        """Keep a manifest that was opened, by the memory that it takes: the store gives ETags any length."""
        weight = _MANIFEST_BYTES + _PART_BYTES * len(proof[1].parts) + len(place[1])
        self.manifests.keep(place, proof, weight=weight)

    async def secret(self, name: Name, header: Header) -> Secret:
        """Return the bucket key that a header names, if it may be used for this name.

        Raises:
            RefusedError: rule 6.
            UnavailableError: it cannot be unwrapped now.
        """
        return await self._keys.to_open(header, self._policies.readable(name.bucket, name.key))

    def secret_at_hand(self, name: Name, header: Header) -> Secret | None:
        """Return what ``secret`` returns without asking anybody, else None."""
        return self._keys.opens_now(header, self._policies.readable(name.bucket, name.key))


class StoredObject(abc.ABC):
    """What is stored under a name.

    Attributes:
        read: what was asked for.
        store_headers: of the answer that it was found by.
        store_etag: without quotes.
        stored_bytes: of the whole stored object.
        is_multipart: whether the body is parts and a manifest.
        is_passed_on: whether what the store answers about it is what clients get.
    """

    is_multipart = False
    is_passed_on = False

    def __init__(self, access: Access, read: Read, headers: Mapping[str, str]) -> None:
        """Take what was asked for, and the headers of the store's answer.

        Raises:
            PeerError: they do not say how long the object is.
        """
        self.read = read
        self.store_headers = headers
        self.store_etag = bare_etag(headers.get("ETag", ""))
        self.stored_bytes = stored_bytes_of(headers)
        self._access = access

    @property
    def name(self) -> Name:
        """The name that was asked for."""
        return self.read.name

    def ask_again(self, first: int, last: int) -> contextlib.AbstractAsyncContextManager[StoreAnswer]:
        """Ask the store for a range of the stored bytes of this very object."""
        match = {"range": f"bytes={first}-{last}", "if-match": f'"{self.store_etag}"'}
        name = self.read.name
        return self._access.store.exchange(
            StoreRequest(
                method="GET", bucket=name.bucket, key=name.key, query=name.query, headers={**self.read.headers, **match}
            )
        )

    @abc.abstractmethod
    async def size(self) -> int:
        """Return the number of bytes that clients see."""

    @abc.abstractmethod
    async def etag(self) -> str:
        """Return the ETag that clients see, with quotes."""

    @abc.abstractmethod
    async def digests(self) -> Digests:
        """Return what is known of its plaintext."""

    async def parts(self) -> tuple[PartRecord, ...]:
        """Return the client's parts; none of what was put in one piece."""
        return ()

    @abc.abstractmethod
    def pieces(self, first: int, last: int) -> AsyncIterator[memoryview]:
        """Yield the plaintext from byte ``first`` to ``last``; nothing if ``last`` is before ``first``.

        A piece is valid until the next one is asked for.
        """


class UnsealedObject(StoredObject):
    """A stored object that nothing has sealed, in a bucket where that is allowed."""

    is_passed_on = True

    async def size(self) -> int:
        """Return the number of bytes that clients see."""
        return self.stored_bytes

    async def etag(self) -> str:
        """Return the ETag as it is passed through."""
        return f'"{self.store_etag}"'

    async def digests(self) -> Digests:
        """Return nothing: what the store says of it was never held against it."""
        return Digests()

    async def pieces(self, first: int, last: int) -> AsyncIterator[memoryview]:
        """Yield the bytes that were asked for of what no seal tells the place and the end of.

        Raises:
            PeerError: the store answers with others, or with more or fewer.
            StrongroomError: another object is there by now, or the store refuses.
        """
        if last < first:
            return
        async with self.ask_again(first, last) as answer:
            if answer.status not in {OK, PARTIAL}:
                raise await reread_error(answer)
            left = last - first + 1 if range_begin_of(answer.headers) == first else -1
            async for data in answer.pumped().pieces():
                left -= len(data)
                if left < 0:
                    break
                yield data
            if left:
                raise OddAnswerError("the store answers with another range than was asked for")


class Folder(UnsealedObject):
    """What a store that keeps no content under a key that ends in a slash has there: only that it exists.

    Clients get an empty object that is made here. Of what the store says, nothing but the date is passed on.
    """

    is_passed_on = False

    def __init__(self, access: Access, read: Read, headers: Mapping[str, str]) -> None:
        """Take the date."""
        super().__init__(access, read, {"ETag": FOLDER_ETAG, "Content-Length": "0"})
        modified = headers.get("Last-Modified", "")
        self.store_headers = {"Content-Type": DEFAULT_CONTENT_TYPE} | ({"Last-Modified": modified} if modified else {})

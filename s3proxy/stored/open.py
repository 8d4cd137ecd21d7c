"""Finding out what a stored object is: the metadata entry is opened under the name that was asked for.

Nothing of an object, not even its size, is told before this has held.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.policies import EtagMode, Mode, Policies, Policy
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.store.answers import OddAnswerError, number_in
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import reread_error, store_error
from s3proxy.store.slash_keys import FOLDER_ETAG
from s3proxy.stored.etags import KnownDigests, bare_etag, etag_of, opaque_etag
from strongroom.errors import PeerError
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Digests
from strongroom.sealed.entry import open_entry, parse_entry
from strongroom.sealed.header import Header, Kind
from strongroom.sealed.opener import open_footer
from strongroom.sealed.refusal import refuse
from strongroom.sealed.segment import Segment
from strongroom.sealed.sizes import FOOTER_BYTES
from strongroom.secret import Secret


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
class SealedObject:
    """A stored object whose entry holds.

    Attributes:
        segment: of the entry: the object's own, a marker or the manifest.
        attributes: sealed in the entry.
        store_etag: without quotes.
        stored_bytes: of the whole stored object.
        store_headers: of the answer that it was found by.
    """

    segment: Segment
    attributes: Attributes
    store_etag: str
    stored_bytes: int
    store_headers: Mapping[str, str]

    @property
    def is_multipart(self) -> bool:
        """Whether the body is parts and a manifest."""
        return self.segment.header.kind is not Kind.WHOLE


@dataclass(frozen=True)
class UnsealedObject:
    """A stored object that nothing has sealed, in a bucket where that is allowed.

    Attributes:
        store_etag: without quotes.
        stored_bytes: of the object.
        store_headers: of the answer that it was found by.
    """

    store_etag: str
    stored_bytes: int
    store_headers: Mapping[str, str]


@dataclass(frozen=True)
class Folder(UnsealedObject):
    """What a store that keeps no content under a key that ends in a slash has there: only that it exists.

    Clients get an empty object that is made here. Of what the store says, nothing but the date is passed on.
    """


class ObjectFinder:
    """Opens entries, and reads what stands at the end of stored objects."""

    def __init__(self, store: Store, keys: BucketKeys, policies: Policies, known: KnownDigests) -> None:
        """Take the store, the keys, and what may be sealed under what."""
        self._store = store
        self._keys = keys
        self._policies = policies
        self._known = known

    async def find(self, name: Name, store_headers: Mapping[str, str]) -> SealedObject:
        """Open the entry in an answer of the store to GET or HEAD.

        Raises:
            RefusedError: rules 1 to 8 and 11, 12.
            UnavailableError: its bucket key cannot be unwrapped now.
            PeerError: the answer does not say how long the object is, or has no ETag.
        """
        entry = parse_entry(store_headers.get(ENTRY_HEADER))
        secret = await self.secret(name, entry.header)
        segment, attributes = open_entry(entry, secret, bucket=name.bucket, key=name.key)
        stored = stored_bytes_of(store_headers)
        if segment.header.kind is Kind.WHOLE and stored != segment.header.stored_bytes:
            refuse(8, f"{stored} bytes are stored, the header says {segment.header.stored_bytes}")
        return SealedObject(segment, attributes, store_etag_of(store_headers), stored, store_headers)

    async def secret(self, name: Name, header: Header) -> Secret:
        """Return the bucket key that a header names, if it may be used for this name.

        Raises:
            RefusedError: rule 6.
            UnavailableError: it cannot be unwrapped now.
        """
        return await self._keys.to_open(header, self._policies.readable(name.bucket, name.key))

    async def head(self, name: Name, *, query: tuple[tuple[str, str], ...] = ()) -> SealedObject:
        """Ask the store for an object's metadata, and open its entry.

        Raises:
            StrongroomError: as ``find``, or the store refuses.
        """
        request = StoreRequest(method="HEAD", bucket=name.bucket, key=name.key, query=(*name.query, *query))
        async with self._store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            return await self.find(name, response.headers)

    async def look(
        self,
        name: Name,
        policy: Policy,
        *,
        query: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> SealedObject | UnsealedObject:
        """Ask the store what stands under a name.

        Args:
            name: which.
            policy: that the name is under.
            query: more to ask the store with.
            headers: likewise.

        Raises:
            StrongroomError: as ``find``, or the store refuses. Plaintext under a sealed name breaks rule 11.
        """
        request = StoreRequest(
            method="HEAD", bucket=name.bucket, key=name.key, query=(*name.query, *query), headers=headers
        )
        async with self._store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            return self.unsealed(name, policy, response.headers) or await self.find(name, response.headers)

    def unsealed(self, name: Name, policy: Policy, told: Mapping[str, str]) -> UnsealedObject | None:
        """Return what the store answers with if it is not sealed and need not be, else None.

        Args:
            name: that was asked for.
            policy: that the name is under.
            told: the headers of the answer.

        Raises:
            UnavailableError: it is not known yet what the store makes of such a name.
            PeerError: the answer does not say how long the object is.
        """
        if policy.mode is Mode.PASSTHROUGH or (policy.mode is Mode.MIGRATE and is_plaintext(told)):
            return UnsealedObject(bare_etag(told.get("ETag", "")), stored_bytes_of(told), told)
        if not (name.key.endswith("/") and is_plaintext(told)) or stored_bytes_of(told):
            return None
        if self._store.capabilities.keeps_slash_content():  # then it was not the store that dropped what was sealed
            return None
        modified = told.get("Last-Modified", "")
        return Folder(bare_etag(FOLDER_ETAG), 0, {"Last-Modified": modified} if modified else {})

    async def digests(self, name: Name, found: SealedObject) -> Digests:
        """Return the digests of a whole object: from the entry, from memory, or by one read of its footer.

        Raises:
            StrongroomError: rule 10, or the store refuses.
        """
        known = found.attributes.digests or self._known.find(found.segment)
        if known is None:
            raw = await self.read_stored(name, found, found.stored_bytes - FOOTER_BYTES, found.stored_bytes - 1)
            known = open_footer(found.segment, raw)
            self._known.keep(found.segment, known)
        return known

    async def digests_to_show(
        self, name: Name, found: SealedObject, policy: Policy, *, checksum_wanted: bool
    ) -> Digests:
        """Return the digests of a whole object as far as an answer shows them, without a read that it does not need.

        Raises:
            StrongroomError: as ``digests``.
        """
        if policy.etag is EtagMode.OPAQUE and not checksum_wanted:
            return Digests()
        return await self.digests(name, found)

    async def etag(self, name: Name, found: SealedObject | UnsealedObject, policy: Policy) -> str:
        """Return the ETag that clients see of an object, with quotes.

        Raises:
            StrongroomError: as ``digests``.
        """
        if isinstance(found, UnsealedObject):
            return f'"{found.store_etag}"'  # as it is passed through
        if found.is_multipart or policy.etag is EtagMode.OPAQUE:
            return opaque_etag(found.store_etag)
        return etag_of(policy, await self.digests(name, found), found.store_etag)

    async def written_etag(self, name: Name, segment: Segment, answered: Mapping[str, str]) -> str:
        """Return the store's ETag, without quotes, of an object that was just written, where its answer has none.

        Args:
            name: of the object.
            segment: of which it was made.
            answered: headers of the store's answer, in lower case.

        Raises:
            S3Error: OperationAborted, as another one stands there by now and nothing tells the ETag of this one.
            StrongroomError: as ``find``, or the store refuses.
        """
        version = answered.get("x-amz-version-id", "")
        found = await self.head(replace(name, version_id="" if version == "null" else version))
        if found.segment.raw != segment.raw:
            raise S3Error("OperationAborted", "The object was replaced while it was written. Please try again.")
        return found.store_etag

    async def read_stored(self, name: Name, found: SealedObject, first: int, last: int) -> bytes:
        """Read a few stored bytes of the very object that was found.

        Raises:
            StrongroomError: it is another one by now, or the store refuses.
        """
        request = self.stored_range(name, found, first, last)
        async with self._store.exchange(request) as response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:
                raise await reread_error(response)
            raw = await read_all(response, last - first + 1)
        if len(raw) != last - first + 1:
            refuse(8, f"{len(raw)} stored bytes where {last - first + 1} were asked for")
        return raw

    def stored_range(self, name: Name, found: SealedObject, first: int, last: int) -> StoreRequest:
        """Return the request for a range of the very object that was found."""
        headers = {"range": f"bytes={first}-{last}", "if-match": f'"{found.store_etag}"'}
        return StoreRequest(method="GET", bucket=name.bucket, key=name.key, query=name.query, headers=headers)


def store_etag_of(headers: Mapping[str, str]) -> str:
    """Return the store's ETag of a sealed object, without quotes. What is read of it later is asked for by that.

    Raises:
        PeerError: there is none.
    """
    etag = bare_etag(headers.get("ETag", ""))
    if not etag:
        msg = "the store answers without the ETag of the object"
        raise PeerError(msg, hint="sealed objects need a store that tells the ETag with each answer")
    return etag


def stored_bytes_of(headers: Mapping[str, str]) -> int:
    """Return how long the whole stored object is, from the headers of an answer with all or some of it.

    Raises:
        PeerError: they do not say.
    """
    text = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    size = number_in(text)
    if size is None:
        raise OddAnswerError("the store does not say how long the object is")
    return size


def range_begin_of(headers: Mapping[str, str]) -> int:
    """Return where an answer with some of an object begins, 0 for one with all of it.

    Raises:
        PeerError: it does not say.
    """
    text = headers.get("Content-Range", "")
    if not text:
        return 0
    first = number_in(text.removeprefix("bytes").strip().partition("-")[0])
    if first is None:
        raise OddAnswerError("the store answers with a range that cannot be read")
    return first


def is_plaintext(headers: Mapping[str, str]) -> bool:
    """Return whether an object has no entry."""
    return ENTRY_HEADER not in headers

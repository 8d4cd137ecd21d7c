"""Finding out what a stored object is: the metadata entry is opened under the name that was asked for.

Nothing of an object, not even its size, is told before this has held.

``Objects`` is what operations take whole: all that objects are read and written with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.policies import Mode, Policies, Policy
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.store.answers import stored_bytes_of
from s3proxy.store.client import Store
from s3proxy.store.connection import StoreAnswer
from s3proxy.store.errors import store_error
from s3proxy.store.sent import SentRequest
from s3proxy.store.system_bucket import SystemBucket
from s3proxy.stored.etags import KnownDigests
from s3proxy.stored.multipart import MultipartObject
from s3proxy.stored.read import Access, Folder, Name, Read, StoredObject, UnsealedObject
from s3proxy.stored.whole import SealedObject, WholeObject
from strongroom.sealed.entry import open_entry, parse_entry
from strongroom.sealed.header import Kind
from strongroom.sealed.segment import Segment


class ObjectFinder:
    """Opens what answers of the store are about.

    Attributes:
        access: what opened objects are read by.
    """

    def __init__(self, store: Store, keys: BucketKeys, policies: Policies, known: KnownDigests) -> None:
        """Take the store, the keys, and what may be sealed under what."""
        self.access = Access(store, keys, policies, known)

    def expects_multipart(self, name: Name) -> bool:
        """Return whether there was a multipart object under a name when it was last read.

        Then it is better asked for its metadata first: the body of an answer that nobody wants costs a connection.
        """
        return (name.bucket, name.key) in self.access.multipart_names

    async def look(self, read: Read, sent: SentRequest | None = None) -> StoredObject:
        """Ask the store what is under a name.

        Args:
            read: what is asked for.
            sent: that request to the store, if it was sent already.

        Raises:
            StrongroomError: as ``find``, or the store refuses.
        """
        async with self.access.store.exchange(replace(read.request("HEAD"), sent=sent)) as answer:
            if answer.status != HTTPStatus.OK:
                raise await store_error(answer)
            found = await self.find(read, answer)
        if not found.is_multipart:
            self.note_whole(read.name)
        return found

    def note_whole(self, name: Name) -> None:
        """Note that no multipart object is under a name by now."""
        self.access.multipart_names.drop((name.bucket, name.key))

    async def find(self, read: Read, answer: StoreAnswer) -> StoredObject:
        """Open what an answer of the store to GET or HEAD is about.

        Raises:
            RefusedError: rules 1 to 8 and 11, 12; plaintext under a sealed name breaks rule 11.
            UnavailableError: its bucket key cannot be unwrapped now, or it is not known yet what the store makes of
                such a name.
            PeerError: the answer does not say how long the object is, or has no ETag.
        """
        headers = answer.headers
        if (unsealed := self._unsealed(read, headers)) is not None:
            return unsealed
        name, entry = read.name, parse_entry(headers.get(ENTRY_HEADER))
        secret = await self.access.secret(name, entry.header)
        held = open_entry(entry, secret, bucket=name.bucket, key=name.key)
        kind = WholeObject if entry.header.kind is Kind.WHOLE else MultipartObject
        return kind(self.access, read, answer, held)

    def find_now(self, read: Read, answer: StoreAnswer) -> WholeObject | None:
        """Return what ``find`` returns if it is a whole object, and its key is at hand, else None.

        Raises:
            StrongroomError: as ``find``.
        """
        text = answer.headers.get(ENTRY_HEADER)
        if not text or read.policy.mode is Mode.PASSTHROUGH:
            return None
        name, entry = read.name, parse_entry(text)
        if entry.header.kind is not Kind.WHOLE:
            return None
        secret = self.access.secret_at_hand(name, entry.header)
        if secret is None:
            return None
        held = open_entry(entry, secret, bucket=name.bucket, key=name.key)
        return WholeObject(self.access, read, answer, held)

    def _unsealed(self, read: Read, headers: Mapping[str, str]) -> UnsealedObject | None:
        """Return what the store answers with if it is not sealed and need not be, else None."""
        mode = read.policy.mode
        if mode is Mode.PASSTHROUGH or (mode is Mode.MIGRATE and is_plaintext(headers)):
            return UnsealedObject(self.access, read, headers)
        if not (read.name.key.endswith("/") and is_plaintext(headers)) or stored_bytes_of(headers):
            return None
        # If the store keeps such content, then it was not the store that dropped what was sealed.
        return None if self.access.store.capabilities.keeps_slash_content() else Folder(self.access, read, headers)

    async def written_etag(self, name: Name, policy: Policy, segment: Segment, answered: Mapping[str, str]) -> str:
        """Return the store's ETag, without quotes, of an object that was just written, where its answer has none.

        Args:
            name: of the object.
            policy: that it was sealed under.
            segment: of which it was made.
            answered: headers of the store's answer, in lower case.

        Raises:
            S3Error: OperationAborted, as another one is there by now, and nothing tells the ETag of this one.
            StrongroomError: as ``look``.
        """
        version = answered.get("x-amz-version-id", "")
        found = await self.look(Read(replace(name, version_id="" if version == "null" else version), policy))
        if not isinstance(found, SealedObject) or found.segment.raw != segment.raw:
            raise S3Error("OperationAborted", "The object was replaced while it was written. Please try again.")
        return found.store_etag


def is_plaintext(headers: Mapping[str, str]) -> bool:
    """Return whether an object has no entry."""
    return ENTRY_HEADER not in headers


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The parts of one process.

    Attributes:
        store: where objects are.
        policies: what is sealed under what.
        keys: bucket keys in use.
        known: digests of objects that were lately seen.
        finder: opens what is stored.
        system_bucket: where the proxy keeps what is not its clients'.
    """

    store: Store
    policies: Policies
    keys: BucketKeys
    known: KnownDigests
    finder: ObjectFinder
    system_bucket: SystemBucket

"""Writing whole objects, for PutObject and whatever else makes one.

A body is sealed as it comes in. Nothing is stored unless everything that is claimed of it holds.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from s3proxy.exchange.incoming import Incoming
from s3proxy.exchange.outgoing import (
    BodyOutcome,
    PlainBody,
    plain_of,
    read_plain,
    sealed_pieces,
    verified_pieces,
)
from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.policies import EtagMode, Mode, Policy
from s3proxy.s3api.checksums import checksum_header
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import answer_headers, object_headers, require_metadata_room
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.store.client import Store, StoreRequest
from s3proxy.store.errors import store_error
from s3proxy.stored import fresh
from s3proxy.stored.conditions import conditions_of_write
from s3proxy.stored.etags import KnownDigests, bare_etag, etag_of
from s3proxy.stored.open import Name, ObjectFinder
from strongroom.errors import StrongroomError
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Digests
from strongroom.sealed.sealer import SegmentSealer, seal
from strongroom.sealed.sizes import largest_whole_bytes

MAX_WHOLE_BYTES = largest_whole_bytes()


@dataclass(frozen=True)
class Written:
    """A whole object that the store has.

    Attributes:
        etag: that clients see, with quotes.
        digests: of the plaintext.
        headers: what the store answers that clients may know, with the ETag and the checksum.
    """

    etag: str
    digests: Digests
    headers: dict[str, str]


class ObjectWriter:
    """Writes whole objects."""

    def __init__(
        self, store: Store, keys: BucketKeys, finder: ObjectFinder, known: KnownDigests, *, buffered_bytes: int
    ) -> None:
        """Take where objects go, what seals them, and up to which size they are read first."""
        self._finder = finder
        self._store = store
        self._keys = keys
        self._known = known
        self._buffered_bytes = buffered_bytes

    async def put(self, incoming: Incoming, policy: Policy) -> None:
        """Serve PutObject.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        head, name = incoming.head, Name(incoming.call.bucket, incoming.call.key)
        body = incoming.open_body(want_md5=policy.etag is EtagMode.MD5)
        headers = object_headers(incoming.call.headers)
        headers |= await conditions_of_write(head, name, policy, self._finder)
        written = await self.write(name, policy, headers, plain_of(incoming, body))
        await incoming.respond(HTTPStatus.OK, written.headers)

    async def write_anywhere(self, name: Name, policy: Policy, headers: Mapping[str, str], plain: PlainBody) -> Written:
        """Store a plaintext as the policy of its name has it: sealed, or in a bucket that is passed through as it is.

        Raises:
            StrongroomError: as ``write``.
        """
        if policy.mode is not Mode.PASSTHROUGH:
            return await self.write(name, policy, headers, plain)
        outcome = BodyOutcome()
        payload: bytes | AsyncIterator[bytes]
        if plain.length <= self._buffered_bytes:  # and so what is empty: the store would have all of it at once
            payload, outcome.digests = await read_plain(plain)
        else:
            payload = verified_pieces(plain, outcome)
        answered = await self._send(name, headers, payload, plain.length, outcome, is_empty=not plain.length)
        etag = answered["ETag"] = answered.pop("etag")
        return Written(etag, outcome.digests or Digests(), answered)

    async def write(self, name: Name, policy: Policy, headers: Mapping[str, str], plain: PlainBody) -> Written:
        """Seal a plaintext and store it.

        Args:
            name: where.
            policy: that the name is under.
            headers: what is kept with the object, and conditions for the store.
            plain: the plaintext.

        Raises:
            StrongroomError: it is too long, is not what it claims to be, or the store refuses.
        """
        if plain.length > MAX_WHOLE_BYTES:
            code, msg = "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
            raise S3Error(code, msg, details={"MaxSizeAllowed": str(MAX_WHOLE_BYTES)})
        require_metadata_room(headers)
        segment = fresh.whole(await self._keys.to_seal(policy.name), plain.length)
        outcome = BodyOutcome()
        payload: bytes | AsyncIterator[bytes]
        if plain.length <= self._buffered_bytes:
            whole, outcome.digests = await read_plain(plain)
            payload = seal(segment, whole, outcome.digests)
        else:
            payload = sealed_pieces(SegmentSealer(segment), plain, outcome, with_footer=True)
        entry = fresh.entry(segment, Attributes(outcome.digests), bucket=name.bucket, key=name.key)
        answered = await self._send(
            name,
            {**headers, ENTRY_HEADER: entry},
            payload,
            segment.header.stored_bytes,
            outcome,
            is_empty=not plain.length,
        )
        digests = outcome.digests or Digests()
        self._known.keep(segment, digests)
        store_etag = bare_etag(answered.pop("etag")) or await self._finder.written_etag(name, segment, answered)
        etag = answered["ETag"] = etag_of(policy, digests, store_etag)
        if digests.checksum is not None:
            header, value = checksum_header(digests.checksum)
            answered |= {header: value, "x-amz-checksum-type": "FULL_OBJECT"}
        return Written(etag, digests, answered)

    async def _send(  # noqa: PLR0913 - what there is to say of it
        self,
        name: Name,
        headers: Mapping[str, str],
        payload: bytes | AsyncIterator[bytes],
        length: int,
        outcome: BodyOutcome,
        *,
        is_empty: bool,
    ) -> dict[str, str]:
        """Send what is to be stored; return what the store answers, with its ETag."""
        request = StoreRequest(
            method="PUT",
            bucket=name.bucket,
            key=name.key,
            headers=headers,
            body=payload,
            length=length,
            is_empty=is_empty,
        )
        try:
            async with self._store.exchange(request) as response:
                if response.status != HTTPStatus.OK:
                    raise await store_error(response)
                answered = answer_headers(response.headers) | {"etag": response.headers.get("ETag", "")}
        except StrongroomError:
            if outcome.error is not None:
                raise outcome.error from None
            raise
        answered.pop("last-modified", None)
        return answered

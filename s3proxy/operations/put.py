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
    seal_plain,
    sealed_pieces,
    verified_pieces,
)
from s3proxy.keys.policies import EtagMode, Mode, Policy
from s3proxy.s3api.checksums import checksum_header
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import answer_headers, object_headers, require_metadata_room
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.store.client import StoreRequest
from s3proxy.store.connection import StoreAnswer
from s3proxy.store.errors import store_error
from s3proxy.stored import fresh
from s3proxy.stored.conditions import conditions_of_write
from s3proxy.stored.etags import bare_etag, etag_of
from s3proxy.stored.open import Objects
from s3proxy.stored.read import Name
from strongroom.errors import StrongroomError
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Digests
from strongroom.sealed.sealer import SegmentSealer
from strongroom.sealed.segment import Segment
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


@dataclass(frozen=True, slots=True)
class SealedPut:
    """A PutObject on its way to the store.

    Attributes:
        segment: of the object.
        digests: of its plaintext.
        request: to the store; knows that it was sent.
    """

    segment: Segment
    digests: Digests
    request: StoreRequest


@dataclass(frozen=True)
class ObjectWriter:
    """Writes whole objects; up to ``buffered_bytes`` they are read before they are sent on."""

    objects: Objects
    buffered_bytes: int

    async def put(self, incoming: Incoming, policy: Policy) -> None:
        """Serve PutObject."""
        head, name = incoming.head, Name(incoming.call.bucket, incoming.call.key)
        body = incoming.open_body(want_md5=policy.etag is EtagMode.MD5)
        headers = object_headers(incoming.call.headers)
        headers |= await conditions_of_write(head, name, policy, self.objects.finder)
        written = await self.write(name, policy, headers, plain_of(incoming, body))
        await incoming.respond(HTTPStatus.OK, written.headers)

    async def write_anywhere(self, name: Name, policy: Policy, headers: Mapping[str, str], plain: PlainBody) -> Written:
        """Store a plaintext as the policy of its name has it: sealed, or in a bucket that is passed through as it is.

        Raises:
            StrongroomError: as ``write``.
        """
        if policy.mode is not Mode.PASSTHROUGH:
            return await self.write(name, policy, headers, plain)
        digests, answered = await self._store(name, headers, plain, None)
        etag = answered["ETag"] = answered.pop("etag")
        return Written(etag, digests, answered)

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
        segment = fresh.whole(await self.objects.keys.to_seal(policy.name), plain.length)
        digests, answered = await self._store(name, headers, plain, segment)
        return await self._written(name, policy, segment, digests, answered)

    async def finish(self, incoming: Incoming, policy: Policy, sealed: SealedPut) -> None:
        """Serve a PutObject whose body was sealed, and sent to the store, already."""
        incoming.received_bytes = sealed.segment.header.plaintext_bytes
        answered = await self._ask(sealed.request)
        name = Name(sealed.request.bucket, sealed.request.key)
        written = await self._written(name, policy, sealed.segment, sealed.digests, answered)
        await incoming.respond(HTTPStatus.OK, written.headers)

    async def _written(
        self, name: Name, policy: Policy, segment: Segment, digests: Digests, answered: dict[str, str]
    ) -> Written:
        self.objects.known.keep(segment, digests)
        store_etag = bare_etag(answered.pop("etag"))
        store_etag = store_etag or await self.objects.finder.written_etag(name, policy, segment, answered)
        return written_of(policy, digests, store_etag, answered)

    async def _store(
        self, name: Name, headers: Mapping[str, str], plain: PlainBody, segment: Segment | None
    ) -> tuple[Digests, dict[str, str]]:
        """Store a plaintext, sealed if there is a segment for it.

        Returns:
            Its digests, and what the store answers, with its ETag.
        """
        outcome = BodyOutcome()
        payload: bytes | memoryview | AsyncIterator[bytes | memoryview]
        if plain.length <= self.buffered_bytes:  # and so what is empty: the store would have all of it at once
            if segment is None:
                payload, outcome.digests = await read_plain(plain)
            else:
                payload, outcome.digests = await seal_plain(segment, plain, with_footer=True)
        elif segment is None:
            payload = verified_pieces(plain, outcome)
        else:
            payload = sealed_pieces(SegmentSealer(segment), plain, outcome, with_footer=True)
        try:
            answered = await self._ask(
                write_request(name, headers, payload, segment, outcome.digests, plain_bytes=plain.length)
            )
        except StrongroomError:
            if outcome.error is not None:
                raise outcome.error from None
            raise
        return outcome.digests or Digests(), answered

    async def _ask(self, request: StoreRequest) -> dict[str, str]:
        """Have the store keep an object; return what its answer says that clients may know, with its ETag.

        Raises:
            StrongroomError: it refuses.
        """
        async with self.objects.store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            return answered_of(response)


def write_request(  # noqa: PLR0913 - an object has these parts
    name: Name,
    headers: Mapping[str, str],
    payload: bytes | memoryview | AsyncIterator[bytes | memoryview],
    segment: Segment | None,
    digests: Digests | None,
    *,
    plain_bytes: int,
) -> StoreRequest:
    """Return the request that stores an object.

    Args:
        name: where.
        headers: what is kept with it, and conditions for the store.
        payload: as it is stored.
        segment: of it, None for what is not sealed.
        digests: of the plaintext, if they are known when it begins.
        plain_bytes: length of the plaintext.
    """
    if segment is not None:
        entry = fresh.entry(segment, Attributes(digests), bucket=name.bucket, key=name.key)
        headers = {**headers, ENTRY_HEADER: entry}
    return StoreRequest(
        method="PUT",
        bucket=name.bucket,
        key=name.key,
        headers=headers,
        body=payload,
        length=plain_bytes if segment is None else segment.header.stored_bytes,
        is_empty=not plain_bytes,
    )


def answered_of(response: StoreAnswer) -> dict[str, str]:
    """Return what the answer to a write says that clients may know, with the store's ETag."""
    answered = answer_headers(response.headers) | {"etag": response.headers.get("ETag", "")}
    answered.pop("last-modified", None)
    return answered


def written_of(policy: Policy, digests: Digests, store_etag: str, answered: dict[str, str]) -> Written:
    """Return an object that was written.

    Args:
        policy: that it was sealed under.
        digests: of it.
        store_etag: without quotes.
        answered: ``answered_of`` the store's answer, without its ETag.
    """
    etag = answered["ETag"] = etag_of(policy, digests, store_etag)
    if digests.checksum is not None:
        header, value = checksum_header(digests.checksum)
        answered |= {header: value, "x-amz-checksum-type": "FULL_OBJECT"}
    return Written(etag, digests, answered)

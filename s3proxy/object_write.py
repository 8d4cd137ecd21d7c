"""PutObject: a body is sealed as it comes in. Nothing is stored unless everything the client claims of it holds."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from s3proxy.bucket_keys import BucketKeys
from s3proxy.conditional_write import conditions_of_write
from s3proxy.front.body import Body, stored_content_encoding
from s3proxy.front.checksums import checksum_header
from s3proxy.front.errors import S3Error
from s3proxy.headers import ENTRY_HEADER, answer_headers, object_headers
from s3proxy.incoming import Incoming
from s3proxy.known_digests import KnownDigests, etag_of
from s3proxy.object_open import Name, ObjectFinder
from s3proxy.policies import EtagMode, Policy
from s3proxy.store import Store, StoreRequest
from s3proxy.store_errors import store_error
from strongroom.errors import StrongroomError
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Digests
from strongroom.sealed.entry import ENTRY_NONCE_BYTES, seal_entry
from strongroom.sealed.header import ID_BYTES, SALT_BYTES, Kind
from strongroom.sealed.sealer import SegmentSealer, seal
from strongroom.sealed.segment import begin_segment
from strongroom.sealed.sizes import largest_whole_bytes

MAX_WHOLE_BYTES = largest_whole_bytes()


@dataclass
class Outcome:
    """What became of a body that was being sent to the store.

    Attributes:
        digests: once it was verified.
        error: why it came to nothing.
    """

    digests: Digests | None = None
    error: Exception | None = None


async def sealed_pieces(
    sealer: SegmentSealer, incoming: Incoming, body: Body, outcome: Outcome, *, with_footer: bool
) -> AsyncIterator[bytes]:
    """Seal a body as it comes. The last piece is given only after the body was verified.

    An error ends the transfer: aiohttp closes the connection, and the store drops what is shorter than announced.
    """
    try:
        async for plain in incoming.plaintext(body):
            for piece in sealer.update(plain):
                yield bytes(piece)
        found = body.finish()
        digests = Digests(found.md5, found.checksum)
        last = bytes(sealer.finish(digests if with_footer else None))
        outcome.digests = digests
        yield last
    except GeneratorExit:
        raise
    except Exception as error:
        outcome.error = error
        raise


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
        call, head = incoming.call, incoming.head
        body = incoming.open_body(want_md5=policy.etag is EtagMode.MD5)
        if body.length > MAX_WHOLE_BYTES:
            code, msg = "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
            raise S3Error(code, msg, details={"MaxSizeAllowed": str(MAX_WHOLE_BYTES)})
        headers = object_headers(head, content_encoding=stored_content_encoding(head))
        headers |= await conditions_of_write(head, Name(call.bucket, call.key), policy, self._finder)
        key = await self._keys.to_seal(policy.name)
        segment = begin_segment(
            key,
            kind=Kind.WHOLE,
            plaintext_bytes=body.length,
            salt=os.urandom(SALT_BYTES),
            object_id=os.urandom(ID_BYTES),
        )
        outcome = Outcome()
        payload: bytes | AsyncIterator[bytes]
        if body.length <= self._buffered_bytes:
            plain = b"".join([bytes(piece) async for piece in incoming.plaintext(body)])
            found = body.finish()
            outcome.digests = Digests(found.md5, found.checksum)
            payload = seal(segment, plain, outcome.digests)
        else:
            payload = sealed_pieces(SegmentSealer(segment), incoming, body, outcome, with_footer=True)
        nonce, attributes = os.urandom(ENTRY_NONCE_BYTES), Attributes(outcome.digests)
        headers[ENTRY_HEADER] = seal_entry(segment, attributes, bucket=call.bucket, key=call.key, nonce=nonce)
        request = StoreRequest(
            method="PUT",
            bucket=call.bucket,
            key=call.key,
            headers=headers,
            body=payload,
            length=segment.header.stored_bytes,
        )
        try:
            async with self._store.exchange(request) as response:
                if response.status != HTTPStatus.OK:
                    raise await store_error(response)
                answered = answer_headers(response.headers)
                store_etag = response.headers.get("ETag", "")
        except StrongroomError:
            if outcome.error is not None:
                raise outcome.error from None
            raise
        digests = outcome.digests or Digests()
        self._known.keep(segment, digests)
        answered.pop("last-modified", None)
        answered["ETag"] = etag_of(policy, digests, store_etag)
        if digests.checksum is not None:
            name, value = checksum_header(digests.checksum)
            answered |= {name: value, "x-amz-checksum-type": "FULL_OBJECT"}
        await incoming.respond(200, answered)

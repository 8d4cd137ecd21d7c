"""GetObject and HeadObject: ranges and conditions over plaintext, one request to the store for a whole object.

A chunk is passed on only after its tag held. What fails before the first chunk answers an error; what fails later
breaks the connection off.
"""

from s3proxy.exchange.incoming import Incoming
from s3proxy.keys.policies import Policy
from s3proxy.operations.passthrough import send_unsealed
from s3proxy.s3api.byte_range import ByteRange, parse_range
from s3proxy.s3api.checksums import checksum_header
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import answer_headers, read_headers
from s3proxy.store.client import Store, StoreRequest
from s3proxy.store.connections import StoreAnswer
from s3proxy.store.errors import reread_error, store_error
from s3proxy.stored.conditions import range_applies, require_conditions
from s3proxy.stored.etags import etag_of
from s3proxy.stored.multipart import MultipartReader
from s3proxy.stored.open import Name, ObjectFinder, SealedObject, UnsealedObject
from s3proxy.stored.pieces import opened_pieces
from strongroom.sealed.digests import ChecksumScope, Digests
from strongroom.sealed.ranges import blind_range, blind_suffix, plan_range
from strongroom.sealed.refusal import refuse

_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416


class ObjectReader:
    """Reads objects."""

    def __init__(self, store: Store, finder: ObjectFinder, multipart: MultipartReader) -> None:
        """Take the store, what opens entries, and what reads multipart objects."""
        self._store = store
        self._finder = finder
        self._multipart = multipart

    async def get(self, incoming: Incoming, policy: Policy) -> None:
        """Serve GetObject.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        name, asked = name_of(incoming), parse_range(incoming.head.header("range"))
        depends = "partNumber" in incoming.call.query or (asked is not None and incoming.head.has("if-range"))
        if depends or self._multipart.is_expected(name):
            await self._get_what_depends(incoming, policy, name, asked)
        else:
            await self._get(incoming, policy, name, asked)

    async def _get_what_depends(self, incoming: Incoming, policy: Policy, name: Name, asked: ByteRange | None) -> None:
        """Send what cannot well be asked for before it is known what stands there.

        A part, a range under If-Range, or what is probably a multipart object.
        """
        found = await self._finder.look(name, policy, query=overrides(incoming), headers=read_headers(incoming.head))
        if isinstance(found, UnsealedObject) or not found.is_multipart:
            self._multipart.forget(name)
        if isinstance(found, UnsealedObject):
            await send_unsealed(incoming, self._store, found)
            return
        etag = await self._finder.etag(name, found, policy)
        if not range_applies(incoming.head, etag=etag, last_modified=found.store_headers.get("Last-Modified", "")):
            asked = None
        if found.is_multipart:
            await self._multipart.send(incoming, name, found, asked)
            return
        require_only_part(incoming)
        await self._get(incoming, policy, name, None if "partNumber" in incoming.call.query else asked, seen=found)

    async def _get(
        self,
        incoming: Incoming,
        policy: Policy,
        name: Name,
        asked: ByteRange | None,
        *,
        seen: SealedObject | None = None,
    ) -> None:
        """Send an object or a range of it: the very one that was seen, if one was."""
        found: SealedObject | UnsealedObject
        async with self._store.exchange(self._request(incoming, name, asked, seen)) as response:
            if response.status not in {_OK, _PARTIAL, _UNSATISFIABLE}:
                raise await (store_error(response) if seen is None else reread_error(response))
            if response.status == _UNSATISFIABLE:
                found = await self._finder.look(name, policy)
                if isinstance(found, SealedObject) and not found.is_multipart and asked is not None:
                    asked.resolve(found.segment.header.plaintext_bytes)
                    refuse(8, "the store has less of it than its header says")
            else:
                unsealed = self._finder.unsealed(name, policy, response.headers)
                found = unsealed or await self._finder.find(name, response.headers)
                if isinstance(found, SealedObject) and not found.is_multipart:
                    await self._send_whole(incoming, policy, name, found, asked, response)
                    return
        if isinstance(found, SealedObject):
            await self._multipart.send(incoming, name, found, asked)
        else:
            await send_unsealed(incoming, self._store, found)

    async def head(self, incoming: Incoming, policy: Policy) -> None:
        """Serve HeadObject.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        name = name_of(incoming)
        found = await self._finder.look(name, policy, query=overrides(incoming), headers=read_headers(incoming.head))
        if isinstance(found, UnsealedObject):
            await send_unsealed(incoming, self._store, found)
            return
        asked = parse_range(incoming.head.header("range"))
        if found.is_multipart:
            await self._multipart.send(incoming, name, found, asked)
            return
        require_only_part(incoming)
        digests = await self._finder.digests_to_show(name, found, policy, checksum_wanted=wants_checksum(incoming))
        headers = self._headers(incoming, policy, found, digests, whole=asked is None)
        size = found.segment.header.plaintext_bytes
        status = _OK
        if asked is not None:
            first, last = asked.resolve(size)
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            size, status = last - first + 1, _PARTIAL
        await incoming.respond(status, headers, length=size)

    def _request(
        self, incoming: Incoming, name: Name, asked: ByteRange | None, seen: SealedObject | None
    ) -> StoreRequest:
        headers = read_headers(incoming.head) | ({"if-match": f'"{seen.store_etag}"'} if seen else {})
        if asked is not None:
            if asked.first is None:
                headers["range"] = f"bytes=-{blind_suffix(asked.last or 1)}"
            else:
                first, last = blind_range(asked.first, asked.last)
                headers["range"] = f"bytes={first}-{'' if last is None else last}"
        query = name.query + overrides(incoming)
        return StoreRequest(method="GET", bucket=name.bucket, key=name.key, query=query, headers=headers)

    async def _send_whole(  # noqa: PLR0913, PLR0917 - what there is to know
        self,
        incoming: Incoming,
        policy: Policy,
        name: Name,
        found: SealedObject,
        asked: ByteRange | None,
        response: StoreAnswer,
    ) -> None:
        digests = await self._finder.digests_to_show(name, found, policy, checksum_wanted=wants_checksum(incoming))
        headers = self._headers(incoming, policy, found, digests, whole=asked is None)
        size = found.segment.header.plaintext_bytes
        if asked is None:
            await incoming.respond_stream(_OK, headers, size, opened_pieces(found, None, response))
            return
        first, last = asked.resolve(size)
        plan = plan_range(first, last, size, found.segment.header.chunk_log2)
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        pieces = opened_pieces(found, plan, response)
        await incoming.respond_stream(_PARTIAL, headers, last - first + 1, pieces)

    def _headers(
        self, incoming: Incoming, policy: Policy, found: SealedObject, digests: Digests, *, whole: bool
    ) -> dict[str, str]:
        """Return the headers of an answer, once its conditions hold."""
        headers = answer_headers(found.store_headers)
        headers["ETag"] = etag_of(policy, digests, found.store_etag)
        headers["Accept-Ranges"] = "bytes"
        require_conditions(incoming.head, etag=headers["ETag"], last_modified=headers.get("last-modified", ""))
        if whole:
            headers |= checksum_headers(incoming, digests)
        return headers


def name_of(incoming: Incoming) -> Name:
    """Return the name that a request asks for."""
    call = incoming.call
    return Name(call.bucket, call.key, call.query.get("versionId"))


def require_only_part(incoming: Incoming) -> None:
    """Return if a part of a whole object is asked for that it has: number 1, or none.

    Raises:
        S3Error: InvalidPartNumber.
    """
    if incoming.call.query.get("partNumber") not in {"", "1"}:
        raise S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable")


def overrides(incoming: Incoming) -> tuple[tuple[str, str], ...]:
    """Return the parameters that change headers of the answer; the store obeys them."""
    return tuple(pair for pair in incoming.call.query.pairs if pair[0].startswith("response-"))


def wants_checksum(incoming: Incoming) -> bool:
    """Return whether a client asks for the checksum of an object."""
    return incoming.head.header("x-amz-checksum-mode").upper() == "ENABLED"


def checksum_headers(incoming: Incoming, digests: Digests) -> dict[str, str]:
    """Return the checksum of an object for a client that asks for it."""
    if digests.checksum is None or not wants_checksum(incoming):
        return {}
    name, value = checksum_header(digests.checksum)
    scope = "FULL_OBJECT" if digests.checksum.scope is ChecksumScope.FULL_OBJECT else "COMPOSITE"
    return {name: value, "x-amz-checksum-type": scope}

"""Reading multipart objects: the manifest first, then the parts, in one request if all of them are wanted."""

from collections.abc import AsyncIterator
from itertools import accumulate

from s3proxy.exchange.incoming import Incoming
from s3proxy.s3api.byte_range import ByteRange
from s3proxy.s3api.checksums import checksum_header
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import answer_headers
from s3proxy.store.answers import number_in
from s3proxy.store.client import Store
from s3proxy.store.errors import reread_error
from s3proxy.stored.conditions import range_applies, require_conditions
from s3proxy.stored.etags import opaque_etag
from s3proxy.stored.open import Name, ObjectFinder, SealedObject
from strongroom.sealed.digests import ChecksumScope, Digests
from strongroom.sealed.header import Kind, parse_header
from strongroom.sealed.manifest import Manifest, PartRange, open_manifest, require_binding
from strongroom.sealed.opener import SegmentOpener
from strongroom.sealed.refusal import refuse
from strongroom.sealed.segment import Segment, admit_segment
from strongroom.sealed.sizes import (
    HEADER_BYTES,
    MANIFEST_FIXED_BYTES,
    MANIFEST_RECORD_BYTES,
    MAX_PARTS,
    manifest_stored_bytes,
)
from strongroom.service.lru import Lru

_OK, _PARTIAL = 200, 206
_KEPT_NAMES = 10_000
_KEPT_SEGMENTS = 4096  # parts that were read from the middle; about 2 kB of memory each
_KEPT_PARTS = 100_000  # in all manifests together, about 100 bytes of memory each

Opened = tuple[Segment, Manifest]


class MultipartReader:
    """Reads multipart objects."""

    def __init__(self, store: Store, finder: ObjectFinder) -> None:
        """Take the store and what opens entries."""
        self._store = store
        self._finder = finder
        self._manifests = Lru[tuple[bytes, str, int], Opened](_KEPT_PARTS)
        self._segments = Lru[tuple[bytes, str, int], Segment](_KEPT_SEGMENTS)
        self._names = Lru[tuple[str, str], None](_KEPT_NAMES)

    def is_expected(self, name: Name) -> bool:
        """Return whether a multipart object stood under a name when it was last read.

        Then it is better asked for its metadata first: the body of an answer that nobody wants costs a connection.
        """
        return (name.bucket, name.key) in self._names

    def forget(self, name: Name) -> None:
        """Take note that something else stands under a name."""
        self._names.drop((name.bucket, name.key))

    async def send(self, incoming: Incoming, name: Name, found: SealedObject, asked: ByteRange | None) -> None:
        """Answer GetObject or HeadObject.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        etag = opaque_etag(found.store_etag)
        headers = answer_headers(found.store_headers) | {"ETag": etag, "Accept-Ranges": "bytes"}
        modified = headers.get("last-modified", "")
        require_conditions(incoming.head, etag=etag, last_modified=modified)
        opened = await self.manifest(name, found)
        manifest = opened[1]
        size = manifest.plaintext_bytes
        first, last, status = 0, size - 1, _OK
        if "partNumber" in incoming.call.query:
            first, last = _part_bounds(manifest, incoming.call.query.get("partNumber"))
            headers["x-amz-mp-parts-count"] = str(len(manifest.client_parts))
            status = _PARTIAL if first <= last else _OK  # no Content-Range can say that there is nothing
        elif asked is not None and range_applies(incoming.head, etag=etag, last_modified=modified):
            first, last = asked.resolve(size)
            status = _PARTIAL
        else:
            headers |= _checksum(incoming, manifest.digests)
        if status == _PARTIAL:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        if incoming.request.method == "HEAD":
            await incoming.respond(status, headers, length=last - first + 1)
        else:
            pieces = self.pieces(name, found, opened, first, last)
            await incoming.respond_stream(status, headers, last - first + 1, pieces)

    async def manifest(self, name: Name, found: SealedObject) -> Opened:
        """Return the manifest of an object, which proves that it is whole and has this name.

        Raises:
            StrongroomError: rules 1 to 9 and 13 to 16, or the store refuses.
        """
        self._names.keep((name.bucket, name.key), None)
        place = found.segment.raw, found.store_etag, found.stored_bytes
        known = self._manifests.get(place)
        if known is None:
            length = manifest_stored_bytes(_part_count(found))
            if length > found.stored_bytes:
                refuse(13, "it has no room for its manifest")
            raw = await self._finder.read_stored(name, found, found.stored_bytes - length, found.stored_bytes - 1)
            segment, manifest = open_manifest(raw, await self._finder.secret(name, parse_header(raw)))
            require_binding(found.segment, segment, manifest, bucket=name.bucket, key=name.key)
            manifest.require_size(found.stored_bytes)
            known = segment, manifest
            self._manifests.keep(place, known, weight=len(manifest.parts))
        return known

    async def pieces(
        self, name: Name, found: SealedObject, opened: Opened, first: int, last: int
    ) -> AsyncIterator[memoryview]:
        """Yield the plaintext from byte ``first`` to ``last``.

        Raises:
            StrongroomError: rules 5 to 10 and 16, or the store refuses.
        """
        manifest = opened[1]
        if first == 0 and last == manifest.plaintext_bytes - 1:  # of an empty object, too
            async for piece in self._all_parts(name, found, opened):
                yield piece
            return
        for part in manifest.plan(first, last) if first <= last else ():
            async for piece in self._one_part(name, found, opened, part):
                yield piece

    async def _all_parts(self, name: Name, found: SealedObject, opened: Opened) -> AsyncIterator[memoryview]:
        """Open all parts, padding included, from one answer of the store."""
        manifest = opened[1]
        offsets = manifest.stored_offsets()
        request = self._finder.stored_range(name, found, 0, offsets[-1] - 1)
        index, head, left = 0, bytearray(), 0
        opener: SegmentOpener | None = None
        async with self._store.exchange(request) as response:
            if response.status != _PARTIAL:
                raise await reread_error(response)
            async for data in response.content.iter_any():
                view = memoryview(data)
                while view and index < len(manifest.parts):
                    if opener is None:
                        taken = min(HEADER_BYTES - len(head), len(view))
                        head += view[:taken]
                        view = view[taken:]
                        if len(head) < HEADER_BYTES:
                            break
                        segment = await self._admit(name, opened, index, bytes(head))
                        opener = SegmentOpener(segment)
                        for _ in opener.update(segment.raw):
                            pass
                        left = segment.header.stored_bytes - HEADER_BYTES
                    for piece in opener.update(view[:left]):
                        yield piece
                    taken = min(left, len(view))
                    left -= taken
                    view = view[taken:]
                    if not left:
                        opener.finish()
                        opener, head = None, bytearray()
                        index += 1
        if index < len(manifest.parts):
            refuse(16, f"the store sent {index} of {len(manifest.parts)} parts")

    async def _one_part(
        self, name: Name, found: SealedObject, opened: Opened, part: PartRange
    ) -> AsyncIterator[memoryview]:
        """Open a range of one part; its header comes with the range if that begins where the part does.

        The headers of other parts are kept: who reads from the middle of an object mostly comes again.
        """
        index = opened[1].parts.index(part.record)
        plan, begin = part.plan, part.stored_offset
        at_start = plan.first_chunk == 0
        first = begin if at_start else begin + plan.stored_first
        request = self._finder.stored_range(name, found, first, begin + plan.stored_last)
        opener = None if at_start else SegmentOpener(await self._segment(name, found, opened, part), plan)
        head = bytearray()
        async with self._store.exchange(request) as response:
            if response.status != _PARTIAL:
                raise await reread_error(response)
            async for data in response.content.iter_any():
                view = memoryview(data)
                if opener is None:
                    taken = min(HEADER_BYTES - len(head), len(view))
                    head += view[:taken]
                    view = view[taken:]
                    if len(head) < HEADER_BYTES:
                        continue
                    opener = SegmentOpener(await self._admit(name, opened, index, bytes(head)), plan)
                for piece in opener.update(view):
                    yield piece
        if opener is None:
            refuse(8, "the store sent less than a header")
        opener.finish()

    async def _segment(self, name: Name, found: SealedObject, opened: Opened, part: PartRange) -> Segment:
        """Return the header of a part with its keys, from memory or by a request of its own."""
        place = opened[0].raw, found.store_etag, part.record.number
        segment = self._segments.get(place)
        if segment is None:
            begin = part.stored_offset
            raw = await self._finder.read_stored(name, found, begin, begin + HEADER_BYTES - 1)
            index = opened[1].parts.index(part.record)
            segment = await self._admit(name, opened, index, raw)
            self._segments.keep(place, segment)
        return segment

    async def _admit(self, name: Name, opened: Opened, index: int, raw: bytes) -> Segment:
        segment = admit_segment(raw, await self._finder.secret(name, parse_header(raw)))
        opened[1].require_part(index, opened[0].header.object_id, segment.header)
        return segment


def _part_count(found: SealedObject) -> int:
    header = found.segment.header
    if header.kind is Kind.MANIFEST:
        return (header.plaintext_bytes - MANIFEST_FIXED_BYTES) // MANIFEST_RECORD_BYTES
    _, dash, text = found.store_etag.rpartition("-")
    number = number_in(text) if dash else None
    if number is None or not 1 <= number <= MAX_PARTS:
        refuse(13, "a marker on a body that is not a multipart object")
    return number


def _part_bounds(manifest: Manifest, text: str) -> tuple[int, int]:
    """Return first and last byte of one of the client's parts."""
    ends = list(accumulate(part.plaintext_bytes for part in manifest.client_parts))
    for part, end in zip(manifest.client_parts, ends, strict=True):
        if str(part.number) == text:
            return end - part.plaintext_bytes, end - 1
    code, msg = "InvalidPartNumber", "The requested partnumber is not satisfiable"
    error = S3Error(code, msg)
    error.status = 416
    raise error


def _checksum(incoming: Incoming, digests: Digests) -> dict[str, str]:
    if digests.checksum is None or incoming.head.header("x-amz-checksum-mode").upper() != "ENABLED":
        return {}
    name, value = checksum_header(digests.checksum)
    scope = "FULL_OBJECT" if digests.checksum.scope is ChecksumScope.FULL_OBJECT else "COMPOSITE"
    return {name: value, "x-amz-checksum-type": scope}

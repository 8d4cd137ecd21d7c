"""A multipart object: parts, one after the other, each a segment of its own, and then the manifest.

**What proves it.** Nothing of the body is known when an upload is created, so the entry holds a marker: a header that
is bound to the name and says nothing about the parts. (The entry of a copy holds the header of the manifest instead.)
The store's ETag ends in the number of parts N, and a manifest has 416 + 16·N bytes: one request for the end of the
object brings it. It names the object (rule 15) or is the one in the entry (13), and lists number and length of each
part; these lengths must add up to the stored one (16). Until then nothing about the object is told, not even its size.
An opened manifest is kept by entry, ETag and stored length: the next read of the same object costs no request for it.

**From a range to requests.** The manifest says where each part begins, in the plaintext and in the store. All of the
object is one request: the header of each part is checked against the manifest (16) before its chunks are opened, its
padding and length after them (8, 10). A range is one request for each part that it touches. If it begins in the first
chunk of a part, the header comes along; if it begins later, the header is a request of its own, and is kept, since
whoever reads from the middle of an object mostly comes back for what follows.

**What cannot be mixed.** Every part carries the tag of its upload, and its keys are derived from its own header. A part
that is missing, in another place, or of another upload contradicts the manifest; a chunk that was moved or changed
fails its tag. Only two attempts of equal length at the same part of one upload look alike to a reader
(docs/object-format.md, "What is not protected").
"""

from collections.abc import AsyncIterator, Iterator

from s3proxy.store.answers import number_in
from s3proxy.stored.etags import opaque_etag
from s3proxy.stored.read import Name
from s3proxy.stored.whole import SealedObject, StoredBytes, opened, require_bytes
from strongroom.sealed.digests import Digests
from strongroom.sealed.header import Kind, parse_header
from strongroom.sealed.manifest import Manifest, PartRecord, open_manifest, require_binding
from strongroom.sealed.ranges import RangePlan
from strongroom.sealed.refusal import refuse
from strongroom.sealed.segment import Segment, admit_segment
from strongroom.sealed.sizes import (
    HEADER_BYTES,
    MANIFEST_FIXED_BYTES,
    MANIFEST_RECORD_BYTES,
    MAX_PARTS,
    manifest_stored_bytes,
)

Proof = tuple[Segment, Manifest]
_Run = list[tuple[int, RangePlan | None]]  # parts by their place in the manifest, and what of them: None for all


class MultipartObject(SealedObject):
    """A sealed object that was put in parts."""

    is_multipart = True
    _proof: Proof | None = None

    async def manifest(self) -> Proof:
        """Return the manifest, which proves that the object is whole and has this name.

        Raises:
            StrongroomError: rules 1 to 9 and 13 to 16, or the store refuses.
        """
        if self._proof is None:
            name, access = self.read.name, self._access
            access.multipart_names.keep((name.bucket, name.key), None)
            place = self.segment.raw, self.store_etag, self.stored_bytes
            self._proof = access.manifests.get(place)
            if self._proof is None:
                self._proof = await self._read_manifest(name)
                access.keep_manifest(place, self._proof)
        return self._proof

    async def _read_manifest(self, name: Name) -> Proof:
        length = manifest_stored_bytes(self._part_count())
        if length > self.stored_bytes:
            refuse(13, "it has no room for its manifest")
        raw = await self.read_stored(self.stored_bytes - length, self.stored_bytes - 1)
        segment, manifest = open_manifest(raw, await self._access.secret(name, parse_header(raw)))
        require_binding(self.segment, segment, manifest, bucket=name.bucket, key=name.key)
        manifest.require_size(self.stored_bytes)
        return segment, manifest

    def _part_count(self) -> int:
        header = self.segment.header
        if header.kind is Kind.MANIFEST:
            return (header.plaintext_bytes - MANIFEST_FIXED_BYTES) // MANIFEST_RECORD_BYTES
        _, dash, text = self.store_etag.rpartition("-")
        number = number_in(text) if dash else None
        if number is None or not 1 <= number <= MAX_PARTS:
            refuse(13, "a marker on a body that is not a multipart object")
        return number

    async def size(self) -> int:
        """Return the length of the plaintext of all parts.

        Raises:
            StrongroomError: as ``manifest``.
        """
        return (await self.manifest())[1].plaintext_bytes

    async def etag(self) -> str:
        """Return the ETag that clients see, with quotes."""
        return opaque_etag(self.store_etag)

    async def digests(self) -> Digests:
        """Return what the request that completed the upload told.

        Raises:
            StrongroomError: as ``manifest``.
        """
        return (await self.manifest())[1].digests

    async def parts(self) -> tuple[PartRecord, ...]:
        """Return the client's parts.

        Raises:
            StrongroomError: as ``manifest``.
        """
        return (await self.manifest())[1].client_parts

    async def pieces(self, first: int, last: int) -> AsyncIterator[memoryview]:
        """Yield the plaintext from byte ``first`` to ``last``.

        Raises:
            StrongroomError: rules 1 to 10 and 13 to 16, or the store refuses.
        """
        proof = await self.manifest()
        for begin, end, run in _runs(proof[1], first, last):
            index, plan = run[0]
            known = await self._header(proof, index, begin - plan.stored_first) if plan and plan.first_chunk else None
            async with self.ask_again(begin, end) as answer:
                await require_bytes(answer)
                stored = StoredBytes(answer, begin)
                for index, plan in run:
                    segment = known or await self._next_header(proof, index, stored, keep=plan is None)
                    async for piece in opened(segment, plan, stored):
                        yield piece

    async def _next_header(self, proof: Proof, index: int, stored: StoredBytes, *, keep: bool) -> Segment:
        """Return the header of the part that comes next, and keep it there if all of the part is to be opened."""
        raw = bytes((await stored.peek(HEADER_BYTES))[:HEADER_BYTES])
        if len(raw) < HEADER_BYTES:
            refuse(16, f"the store sent {len(raw)} bytes where part {index + 1} of the manifest begins")
        segment = await self._admit(proof, index, raw)
        if not keep:
            await stored.take(HEADER_BYTES)
        return segment

    async def _header(self, proof: Proof, index: int, begin: int) -> Segment:
        """Return the header of a part with its keys, from memory or by a request of its own."""
        place = proof[0].raw, self.store_etag, proof[1].parts[index].number
        known = self._access.part_headers.get(place)
        if known is None:
            known = await self._admit(proof, index, await self.read_stored(begin, begin + HEADER_BYTES - 1))
            self._access.part_headers.keep(place, known)
        return known

    async def _admit(self, proof: Proof, index: int, raw: bytes) -> Segment:
        segment = admit_segment(raw, await self._access.secret(self.read.name, parse_header(raw)))
        proof[1].require_part(index, proof[0].header.object_id, segment.header)
        return segment


def _runs(manifest: Manifest, first: int, last: int) -> Iterator[tuple[int, int, _Run]]:
    """Yield first and last stored byte of each request that a range of plaintext takes, and the parts in it."""
    if first == 0 and last == manifest.plaintext_bytes - 1:  # of an empty object, too
        yield 0, manifest.stored_offsets()[-1] - 1, [(index, None) for index in range(len(manifest.parts))]
        return
    for part in manifest.plan(first, last) if first <= last else ():
        skipped = part.plan.stored_first if part.plan.first_chunk else 0
        yield part.stored_offset + skipped, part.stored_offset + part.plan.stored_last, [(part.index, part.plan)]

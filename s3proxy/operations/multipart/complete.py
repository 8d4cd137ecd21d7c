"""CompleteMultipartUpload: the manifest is sealed, becomes the end of the last part, and the store puts all together.

Any proxy can complete an upload, and complete it again: everything that is needed stands at the store. If this fails
on its way, the store has a part more or a longer one, which ``parts`` knows to leave out.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.keys.policies import Policy
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.parts import ClientParts
from s3proxy.operations.multipart.plan import Completion, checksum_of_object, plan_completion
from s3proxy.operations.multipart.upload import (
    StoredPart,
    Upload,
    finish_upload,
    list_of_parts,
    list_stored_parts,
    send_part,
    upload_of,
)
from s3proxy.operations.passthrough import pass_on
from s3proxy.s3api.checksums import CHECKSUM_TYPE, checksum_nodes
from s3proxy.s3api.documents import CompletedPart, parse_complete_multipart_upload
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.sigv4 import Verified
from s3proxy.s3api.xml_write import node, to_xml
from s3proxy.store.client import Together
from s3proxy.stored import fresh
from s3proxy.stored.conditions import conditions_of_write
from s3proxy.stored.etags import opaque_etag
from s3proxy.stored.multipart import MultipartObject
from s3proxy.stored.open import Objects
from s3proxy.stored.read import Read
from s3proxy.stored.source import open_source, require_unsealed
from strongroom.sealed.digests import Checksum, Digests
from strongroom.sealed.header import Kind, parse_header
from strongroom.sealed.manifest import Manifest
from strongroom.sealed.names import name_tag
from strongroom.sealed.opener import SegmentOpener
from strongroom.sealed.refusal import refuse
from strongroom.sealed.sealer import seal
from strongroom.sealed.segment import admit_segment
from strongroom.sealed.wrapping import BucketKey

_OVER = {"NoSuchUpload", "InvalidPart"}  # what a request may meet when the same one was, or is just being, served


@dataclass(frozen=True)
class Completed:
    """An upload that has become an object.

    Attributes:
        etag: of the store, without quotes.
        checksum: of the object.
        headers: of the store's answer, as far as clients may see them.
    """

    etag: str
    checksum: Checksum | None
    headers: dict[str, str]


@dataclass(frozen=True)
class UploadCompleter:
    """Completes uploads; of ``equal_parts`` where the store wants all but the last to be of one size."""

    objects: Objects
    kept: KeptParts
    equal_parts: bool

    async def complete(self, incoming: Incoming, policy: Policy) -> None:
        """Serve CompleteMultipartUpload."""
        upload = upload_of(incoming)
        document = await incoming.document(of_body=False)
        asked = parse_complete_multipart_upload(document)
        together = Together(incoming.hold_document, size=len(document))
        try:
            completed = await self._complete(incoming.verified, policy, upload, asked, together)
        except S3Error as error:
            before = await self._find_completed(policy, upload, asked) if error.code in _OVER else None
            if before is None:
                raise
            completed = before
            # What served it before may have failed here.
            await self.kept.remove(upload, await self.kept.find(upload, together))
        await _answer(incoming, completed)

    async def _complete(
        self, verified: Verified, policy: Policy, upload: Upload, asked: Sequence[CompletedPart], together: Together
    ) -> Completed:
        store, head = self.objects.store, verified.head
        listed, kept = await self._parts_of(upload, together)
        completion = plan_completion(asked, ClientParts(listed, kept), equal_parts=self.equal_parts)
        lengths = completion.lengths
        _require_size(head, sum(lengths))
        checksum = checksum_of_object(verified.claims.checksum, head.header(CHECKSUM_TYPE), asked, lengths)
        conditions = await conditions_of_write(head, upload.name, policy, self.objects.finder)
        manifest = Manifest(completion.records, name_tag(upload.bucket, upload.key), Digests(checksum=checksum))
        key = await self.objects.keys.to_seal(policy.name)
        sealed = fresh.manifest(key, manifest, upload_tag=upload.tag, meant=_meant_by(asked))
        carrier = await self._upload_carrier(upload, completion, sealed, key)
        etag, headers = await finish_upload(store, upload, completion.stored(carrier), conditions)
        await self.kept.remove(upload, kept)
        return Completed(etag, checksum, headers)

    async def _parts_of(self, upload: Upload, together: Together) -> tuple[list[StoredPart], list[StoredPart]]:
        """Return the parts that the store lists, and those of which there are copies; neither list outlasts an error.

        Raises:
            StrongroomError: the store cannot be reached, or refuses, or there is no memory for the lists.
        """
        try:
            async with asyncio.TaskGroup() as group:
                listing = group.create_task(list_stored_parts(self.objects.store, upload, together=together))
                finding = group.create_task(self.kept.find(upload, together))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return listing.result(), finding.result()

    async def _upload_carrier(
        self, upload: Upload, completion: Completion, manifest: bytes, key: BucketKey
    ) -> StoredPart:
        """Upload the part that ends in the sealed manifest."""
        if completion.small is not None:
            sealed = await self.kept.read(upload, completion.small)
            await self._require_copy(upload, completion.small, sealed)
        else:
            sealed = seal(fresh.part(key, 0, upload_tag=upload.tag, number=completion.number), b"")
        body = sealed + manifest
        return await send_part(self.objects.store, upload, completion.number, body, len(body))

    async def _require_copy(self, upload: Upload, part: StoredPart, sealed: bytes) -> None:
        """Check a kept copy as a reader of the object would: what cannot be read must not be completed.

        Raises:
            RefusedError: rules 1 to 10 and 16.
        """
        segment = admit_segment(sealed, await self.objects.finder.access.secret(upload.name, parse_header(sealed)))
        found = segment.header.kind, segment.header.object_id, segment.header.part_number, len(sealed)
        if found != (Kind.PART, upload.tag, part.number, part.stored_bytes):
            refuse(16, f"the copy of part {part.number} is another one")
        opener = SegmentOpener(segment)
        for _ in opener.update(sealed):
            pass
        opener.finish()

    async def _find_completed(self, policy: Policy, upload: Upload, asked: Sequence[CompletedPart]) -> Completed | None:
        """Return what the same request came to before, if the object of this very upload stands there."""
        try:
            found = await self.objects.finder.look(Read(upload.name, policy))
        except S3Error as error:
            if error.code != "NoSuchKey":
                raise
            return None
        if not isinstance(found, MultipartObject):
            return None
        segment, manifest = await found.manifest()
        found_parts = segment.header.object_id, segment.header.salt[-fresh.MEANT_BYTES :]
        if found_parts != (upload.tag, _meant_by(asked)):
            return None
        version = found.store_headers.get("x-amz-version-id")
        headers = {"x-amz-version-id": version} if version else {}
        return Completed(found.store_etag, manifest.digests.checksum, headers)


async def _answer(incoming: Incoming, completed: Completed) -> None:
    call = incoming.call
    elements = [
        node("Location", incoming.location(call.key)),
        node("Bucket", call.bucket),
        node("Key", call.key),
        node("ETag", opaque_etag(completed.etag)),
    ]
    if completed.checksum is not None:
        elements += checksum_nodes(completed.checksum)
    answer = to_xml(node("CompleteMultipartUploadResult", *elements))
    await incoming.respond(200, completed.headers | {"Content-Type": XML_TYPE}, answer)


def _meant_by(asked: Sequence[CompletedPart]) -> bytes:
    """Return what tells the attempts at parts of which an object is made from all others.

    It is a part of the manifest's salt, which readers take as it is: nothing else of a finished object tells its
    attempts, and who completes an upload with other ones must not be told that this object is of those.
    """
    meant = "".join(f"{part.number} {opaque_etag(part.etag)}\n" for part in asked)
    return hashlib.sha256(meant.encode("utf-8", "surrogateescape")).digest()[: fresh.MEANT_BYTES]


def _require_size(head: RequestHead, size: int) -> None:
    """Return if the object is as long as the client says, if it does.

    Raises:
        S3Error: InvalidRequest.
    """
    claimed = head.header("x-amz-mp-object-size")
    if claimed and claimed != str(size):
        code = "InvalidRequest"
        msg = (
            f"The provided 'x-amz-mp-object-size' header value {claimed[:20]} does not match what was computed: {size}"
        )
        raise S3Error(code, msg)


async def copy_unsealed_part(objects: Objects, incoming: Incoming) -> None:
    """Serve UploadPartCopy where nothing is sealed, from what is not sealed either."""
    require_unsealed(await open_source(objects, incoming.call, incoming.head))
    await pass_on(incoming, objects.store)


async def complete_unsealed(objects: Objects, incoming: Incoming) -> None:
    """Serve CompleteMultipartUpload where nothing is sealed.

    Checksums of parts were verified on their way and not passed on, so the store knows none that it could compare; what
    the request claims of the whole object is therefore held against those of the parts here.
    """
    document = await incoming.document(of_body=False)
    asked = parse_complete_multipart_upload(document)
    claim = incoming.verified.claims.checksum
    if claim is not None:
        together = Together(incoming.hold_document, size=len(document))
        listed = await list_stored_parts(objects.store, upload_of(incoming), together=together)
        sizes = {(part.number, part.etag): part.stored_bytes for part in listed}
        lengths = [sizes.get((part.number, part.etag), 0) for part in asked]
        checksum_of_object(claim, incoming.head.header(CHECKSUM_TYPE), asked, lengths)
    body = list_of_parts([StoredPart(part.number, part.etag, 0) for part in asked])
    await pass_on(incoming, objects.store, body=body)

"""CompleteMultipartUpload: the manifest is sealed, becomes the end of the last part, and the store puts all together.

Any proxy can complete an upload, and complete it again: everything that is needed stands at the store. If this fails
on its way, the store has a part more or a longer one, which ``multipart_parts`` knows to leave out.
"""

import asyncio
import os
from collections.abc import Sequence

from s3proxy.bucket_keys import BucketKeys
from s3proxy.conditional_write import conditions_of_write
from s3proxy.front.canonical import encode_path
from s3proxy.front.checksums import checksum_text
from s3proxy.front.documents import CompletedPart, parse_complete_multipart_upload
from s3proxy.front.errors import S3Error
from s3proxy.front.xml_write import node, to_xml
from s3proxy.incoming import XML_TYPE, Incoming
from s3proxy.multipart_checksum import checksum_of_object
from s3proxy.multipart_finish import finish_upload
from s3proxy.multipart_kept import KeptParts
from s3proxy.multipart_parts import ClientParts
from s3proxy.multipart_plan import Completion, plan_completion
from s3proxy.multipart_read import MultipartReader
from s3proxy.multipart_upload import (
    StoredPart,
    Upload,
    list_stored_parts,
    no_such_upload,
    send_part,
    upload_of,
)
from s3proxy.object_open import ObjectFinder, Plaintext
from s3proxy.policies import Policy
from s3proxy.store import Store
from strongroom.sealed.digests import Checksum, Digests
from strongroom.sealed.header import SALT_BYTES, Kind, parse_header
from strongroom.sealed.manifest import Manifest, PartRecord, seal_manifest
from strongroom.sealed.names import name_tag
from strongroom.sealed.opener import SegmentOpener
from strongroom.sealed.refusal import refuse
from strongroom.sealed.sealer import seal
from strongroom.sealed.segment import admit_segment, begin_segment
from strongroom.sealed.wrapping import BucketKey

_GONE = {"NoSuchUpload", "NoSuchKey"}


class UploadCompleter:
    """Completes uploads."""

    def __init__(
        self, store: Store, keys: BucketKeys, kept: KeptParts, finder: ObjectFinder, reader: MultipartReader
    ) -> None:
        """Take the store, what seals manifests, where copies of small parts are, and what reads the finished."""
        self._store = store
        self._keys = keys
        self._kept = kept
        self._finder = finder
        self._reader = reader

    async def complete(self, incoming: Incoming, policy: Policy) -> None:
        """Serve CompleteMultipartUpload.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        upload, head = upload_of(incoming), incoming.head
        asked = parse_complete_multipart_upload(await incoming.document(of_body=False))
        try:
            listed, kept = await asyncio.gather(list_stored_parts(self._store, upload), self._kept.find(upload))
        except S3Error as error:
            if error.code != "NoSuchUpload":
                raise
            await self._answer_again(incoming, policy, upload, asked)
            return
        completion = plan_completion(asked, ClientParts(listed, kept))
        _require_size(incoming, sum(completion.lengths))
        checksum = checksum_of_object(head, asked, completion.lengths)
        conditions = await conditions_of_write(head, upload.name, policy, self._finder)
        manifest = Manifest(completion.records, name_tag(upload.bucket, upload.key), Digests(checksum=checksum))
        key = await self._keys.to_seal(policy.name)
        carrier = await self._upload_carrier(upload, completion, manifest, key)
        try:
            etag, headers = await finish_upload(self._store, upload, completion.stored(carrier), conditions)
        except S3Error as error:
            if error.code != "NoSuchUpload":
                raise
            await self._answer_again(incoming, policy, upload, asked)  # the same request came twice, and one was faster
            return
        await self._kept.remove(upload, kept)
        await _answer(incoming, etag, checksum, headers)

    async def _upload_carrier(
        self, upload: Upload, completion: Completion, manifest: Manifest, key: BucketKey
    ) -> StoredPart:
        """Upload the part that ends in the manifest."""
        if completion.small is not None:
            sealed = await self._kept.read(upload, completion.small)
            await self._require_copy(upload, completion.small, sealed)
        else:
            segment = begin_segment(
                key,
                kind=Kind.PART,
                plaintext_bytes=0,
                salt=os.urandom(SALT_BYTES),
                object_id=upload.tag,
                part_number=completion.number,
            )
            sealed = seal(segment, b"")
        body = sealed + seal_manifest(key, manifest, upload_tag=upload.tag, salt=os.urandom(SALT_BYTES))
        return await send_part(self._store, upload, completion.number, body, len(body))

    async def _require_copy(self, upload: Upload, part: StoredPart, sealed: bytes) -> None:
        """Check a kept copy as a reader of the object would: what cannot be read must not be completed.

        Raises:
            RefusedError: rules 1 to 10 and 16.
        """
        segment = admit_segment(sealed, await self._finder.secret(upload.name, parse_header(sealed)))
        found = segment.header.kind, segment.header.object_id, segment.header.part_number, len(sealed)
        if found != (Kind.PART, upload.tag, part.number, part.stored_bytes):
            refuse(16, f"the copy of part {part.number} is another one")
        opener = SegmentOpener(segment)
        for _ in opener.update(sealed):
            pass
        opener.finish()

    async def _answer_again(
        self, incoming: Incoming, policy: Policy, upload: Upload, asked: Sequence[CompletedPart]
    ) -> None:
        """Answer a request that was answered before: the object of this very upload stands there.

        Raises:
            S3Error: NoSuchUpload, as it does not.
        """
        try:
            found = await self._finder.look(upload.name, policy)
        except S3Error as error:
            raise (no_such_upload() if error.code in _GONE else error) from None
        if isinstance(found, Plaintext) or not found.is_multipart:
            raise no_such_upload()
        segment, manifest = await self._reader.manifest(upload.name, found)
        if segment.header.object_id != upload.tag or not _same_parts(asked, manifest.client_parts):
            raise no_such_upload()
        await self._kept.remove(upload, await self._kept.find(upload))  # the first answer may have failed before that
        headers = {"x-amz-version-id": found.store_headers.get("x-amz-version-id", "")}
        known = {name: value for name, value in headers.items() if value}
        await _answer(incoming, found.store_etag, manifest.digests.checksum, known)


async def _answer(incoming: Incoming, etag: str, checksum: Checksum | None, headers: dict[str, str]) -> None:
    call, request = incoming.call, incoming.request
    path = encode_path(call.bucket, call.key)
    elements = [
        node("Location", f"{request.scheme}://{request.host}{path}"),
        node("Bucket", call.bucket),
        node("Key", call.key),
        node("ETag", f'"{etag}"'),
    ]
    if checksum is not None:
        elements.append(node(f"Checksum{checksum.algorithm.name}", checksum_text(checksum)))
        elements.append(node("ChecksumType", checksum.scope.name))
    answer = to_xml(node("CompleteMultipartUploadResult", *elements))
    await incoming.respond(200, headers | {"Content-Type": XML_TYPE}, answer)


def _same_parts(asked: Sequence[CompletedPart], records: Sequence[PartRecord]) -> bool:
    return [part.number for part in asked] == [record.number for record in records]


def _require_size(incoming: Incoming, size: int) -> None:
    """Return if the object is as long as the client says, if it does.

    Raises:
        S3Error: InvalidRequest.
    """
    claimed = incoming.head.header("x-amz-mp-object-size")
    if claimed and claimed != str(size):
        code = "InvalidRequest"
        msg = (
            f"The provided 'x-amz-mp-object-size' header value {claimed[:20]} does not match what was computed: {size}"
        )
        raise S3Error(code, msg)

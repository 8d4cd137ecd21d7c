"""Uploads to names that are not sealed: passed on, where that alone is not enough."""

from s3proxy.exchange.incoming import Incoming
from s3proxy.operations.multipart.checksum import checksum_of_object
from s3proxy.operations.multipart.finish import list_of_parts
from s3proxy.operations.multipart.upload import StoredPart, list_stored_parts, upload_of
from s3proxy.operations.passthrough import pass_on
from s3proxy.s3api.checksums import claimed_checksum
from s3proxy.s3api.documents import parse_complete_multipart_upload
from s3proxy.store.client import Store
from s3proxy.stored.source import SourceReader, require_unsealed


class UnsealedUploads:
    """What is not merely passed on."""

    def __init__(self, store: Store, sources: SourceReader) -> None:
        """Take the store, and what opens sources of copies."""
        self._store = store
        self._sources = sources

    async def copy(self, incoming: Incoming) -> None:
        """Serve UploadPartCopy from what is not sealed either.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        require_unsealed(await self._sources.open(incoming.call, incoming.head))
        await pass_on(incoming, self._store)

    async def complete(self, incoming: Incoming) -> None:
        """Serve CompleteMultipartUpload.

        Checksums of parts were verified on their way and not passed on, so the store knows none that it could compare;
        what the request claims of the whole object is therefore held against those of the parts here.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        asked = parse_complete_multipart_upload(await incoming.document(of_body=False))
        if claimed_checksum(incoming.head) is not None:
            listed = await list_stored_parts(self._store, upload_of(incoming))
            lengths = {(part.number, part.etag): part.stored_bytes for part in listed}
            checksum_of_object(incoming.head, asked, [lengths.get((part.number, part.etag), 0) for part in asked])
        body = list_of_parts([StoredPart(part.number, part.etag, 0) for part in asked])
        await pass_on(incoming, self._store, body=body)

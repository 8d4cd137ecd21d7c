"""What serves the operations of multipart uploads: their parts, made once and put together."""

from collections.abc import Awaitable, Callable

from s3proxy.bucket_keys import BucketKeys
from s3proxy.copy_source import SourceReader
from s3proxy.front.operation_table import Operation
from s3proxy.incoming import Incoming
from s3proxy.multipart_complete import UploadCompleter
from s3proxy.multipart_kept import KeptParts
from s3proxy.multipart_read import MultipartReader
from s3proxy.multipart_uploads import MultipartUploads
from s3proxy.multipart_write import PartWriter
from s3proxy.object_open import ObjectFinder
from s3proxy.policies import Policies, Policy
from s3proxy.store import Store
from s3proxy.system_bucket import SystemBucket


def multipart_handlers(  # noqa: PLR0913 - what they are made of
    store: Store,
    policies: Policies,
    *,
    keys: BucketKeys,
    finder: ObjectFinder,
    reader: MultipartReader,
    system_bucket: SystemBucket,
) -> dict[Operation, Callable[[Incoming, Policy], Awaitable[None]]]:
    """Return what serves each operation on names that are sealed."""
    kept = KeptParts(store, system_bucket)
    sources = SourceReader(store, policies, finder, reader, hidden_bucket=system_bucket.name)
    uploads = MultipartUploads(store, keys, kept)
    parts = PartWriter(store, keys, kept, sources)
    return {
        Operation.CREATE_MULTIPART_UPLOAD: uploads.create,
        Operation.UPLOAD_PART: parts.upload,
        Operation.UPLOAD_PART_COPY: parts.copy,
        Operation.LIST_PARTS: uploads.list_parts,
        Operation.ABORT_MULTIPART_UPLOAD: uploads.abort,
        Operation.COMPLETE_MULTIPART_UPLOAD: UploadCompleter(store, keys, kept, finder, reader).complete,
    }

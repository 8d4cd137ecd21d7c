"""What serves the operations of multipart uploads: their parts, made once and put together."""

from collections.abc import Awaitable, Callable

from s3proxy.exchange.incoming import Incoming
from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.policies import Mode, Policies, Policy
from s3proxy.operations.multipart.complete import UnsealedUploads, UploadCompleter
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.uploads import MultipartUploads
from s3proxy.operations.multipart.write import PartWriter
from s3proxy.operations.passthrough import pass_on
from s3proxy.s3api.operation_table import Operation
from s3proxy.store.client import Store
from s3proxy.store.system_bucket import SystemBucket
from s3proxy.stored.multipart import MultipartReader
from s3proxy.stored.open import ObjectFinder
from s3proxy.stored.source import SourceReader

_Handler = Callable[[Incoming], Awaitable[None]]
_Sealed = Callable[[Incoming, Policy], Awaitable[None]]


def multipart_handlers(  # noqa: PLR0913 - what they are made of
    store: Store,
    policies: Policies,
    *,
    keys: BucketKeys,
    finder: ObjectFinder,
    reader: MultipartReader,
    system_bucket: SystemBucket,
    equal_parts: bool,
) -> dict[Operation, _Handler]:
    """Return what serves each operation."""
    kept = KeptParts(store, system_bucket)
    sources = SourceReader(store, policies, finder, reader, hidden_bucket=system_bucket.name)
    uploads = MultipartUploads(store, keys, kept)
    parts = PartWriter(store, keys, kept, sources)
    completer = UploadCompleter(store, keys, kept, finder, reader, equal_parts=equal_parts)
    unsealed = UnsealedUploads(store, sources)

    async def passed_on(incoming: Incoming) -> None:
        await pass_on(incoming, store)

    def either(sealed: _Sealed, otherwise: _Handler = passed_on) -> _Handler:
        async def handle(incoming: Incoming) -> None:
            policy = policies.require(incoming.call.bucket, incoming.call.key)
            await (otherwise(incoming) if policy.mode is Mode.PASSTHROUGH else sealed(incoming, policy))

        return handle

    return {
        Operation.CREATE_MULTIPART_UPLOAD: either(uploads.create),
        Operation.UPLOAD_PART: either(parts.upload),
        Operation.UPLOAD_PART_COPY: either(parts.copy, unsealed.copy),
        Operation.LIST_PARTS: either(uploads.list_parts),
        Operation.ABORT_MULTIPART_UPLOAD: either(uploads.abort),
        Operation.COMPLETE_MULTIPART_UPLOAD: either(completer.complete, unsealed.complete),
    }

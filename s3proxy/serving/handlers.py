"""What serves which operation: on sealed objects, or where a policy passes them through."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from s3proxy.exchange.incoming import Incoming
from s3proxy.keys.policies import Mode, Policy
from s3proxy.operations.copy import ObjectCopier
from s3proxy.operations.delete import ObjectDeleter
from s3proxy.operations.get import ObjectReader
from s3proxy.operations.lists.objects import Lister
from s3proxy.operations.multipart.complete import UploadCompleter, complete_unsealed, copy_unsealed_part
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.uploads import MultipartUploads
from s3proxy.operations.multipart.write import PartWriter
from s3proxy.operations.passthrough import pass_on
from s3proxy.operations.post import PostUploader
from s3proxy.operations.put import ObjectWriter
from s3proxy.s3api.credentials import Credentials
from s3proxy.s3api.operation_table import Operation
from s3proxy.s3api.rules import BUCKET_DOCUMENTS, BUCKET_SETTINGS
from s3proxy.serving.dispatch import Handler
from s3proxy.storage import Storage
from strongroom.service.following import Followed

_Sealed = Callable[[Incoming, Policy], Awaitable[None]]

# What means the same on sealed objects.
PASSED_ON: Final = (
    *BUCKET_SETTINGS, *BUCKET_DOCUMENTS,
    Operation.CREATE_BUCKET, Operation.DELETE_OBJECT_TAGGING, Operation.GET_BUCKET_ENCRYPTION,
    Operation.GET_BUCKET_LOCATION, Operation.GET_BUCKET_VERSIONING, Operation.GET_OBJECT_ACL,
    Operation.GET_OBJECT_LEGAL_HOLD, Operation.GET_OBJECT_LOCK_CONFIGURATION, Operation.GET_OBJECT_RETENTION,
    Operation.GET_OBJECT_TAGGING, Operation.HEAD_BUCKET, Operation.PUT_BUCKET_ACL,
    Operation.PUT_BUCKET_LIFECYCLE_CONFIGURATION, Operation.PUT_BUCKET_POLICY, Operation.PUT_BUCKET_VERSIONING,
    Operation.PUT_OBJECT_ACL, Operation.PUT_OBJECT_LEGAL_HOLD, Operation.PUT_OBJECT_LOCK_CONFIGURATION,
    Operation.PUT_OBJECT_RETENTION, Operation.PUT_OBJECT_TAGGING,
)  # fmt: skip


def handlers_of(
    storage: Storage, credentials: Followed[Credentials], *, buffered_bytes: int, equal_parts: bool
) -> dict[Operation, Handler]:
    """Return what serves each operation that is offered.

    Args:
        storage: what all of it stands on.
        credentials: of the clients.
        buffered_bytes: bodies up to this size are read before they are sent on.
        equal_parts: whether the store wants all parts of an upload but the last to be of one size.
    """
    objects = storage.objects
    reader, writer = ObjectReader(objects), ObjectWriter(objects, buffered_bytes)
    lister, deleter = Lister(objects), ObjectDeleter(objects)
    kept = KeptParts(objects.store, objects.system_bucket)
    uploads, parts = MultipartUploads(objects, kept), PartWriter(objects, kept)
    completer = UploadCompleter(objects, kept, equal_parts)

    async def passed_on(incoming: Incoming) -> None:
        await pass_on(incoming, objects.store)

    def by_policy(sealed: _Sealed, otherwise: Handler = passed_on) -> Handler:
        async def handle(incoming: Incoming) -> None:
            policy = objects.policies.require(incoming.call.bucket, incoming.call.key)
            await (otherwise(incoming) if policy.mode is Mode.PASSTHROUGH else sealed(incoming, policy))

        return handle

    return dict.fromkeys(PASSED_ON, passed_on) | {
        Operation.LIST_BUCKETS: lister.buckets,
        Operation.LIST_OBJECTS: lister.objects,
        Operation.LIST_OBJECTS_V2: lister.objects,
        Operation.LIST_OBJECT_VERSIONS: lister.objects,
        Operation.LIST_MULTIPART_UPLOADS: lister.uploads,
        Operation.DELETE_OBJECT: deleter.one,
        Operation.DELETE_OBJECTS: deleter.several,
        Operation.CREATE_MULTIPART_UPLOAD: by_policy(uploads.create),
        Operation.UPLOAD_PART: by_policy(parts.upload),
        Operation.UPLOAD_PART_COPY: by_policy(parts.copy, partial(copy_unsealed_part, objects)),
        Operation.LIST_PARTS: by_policy(uploads.list_parts),
        Operation.ABORT_MULTIPART_UPLOAD: by_policy(uploads.abort),
        Operation.COMPLETE_MULTIPART_UPLOAD: by_policy(completer.complete, partial(complete_unsealed, objects)),
        Operation.COPY_OBJECT: ObjectCopier(objects, writer).serve,
        Operation.CORS_PREFLIGHT: passed_on,
        Operation.GET_OBJECT_ATTRIBUTES: by_policy(reader.attributes),
        Operation.POST_OBJECT: PostUploader(writer, credentials).serve,
        Operation.GET_OBJECT: by_policy(reader.get),
        Operation.HEAD_OBJECT: by_policy(reader.head),
        Operation.PUT_OBJECT: by_policy(writer.put),
    }

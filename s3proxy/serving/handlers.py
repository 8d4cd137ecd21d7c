"""What serves which operation: on sealed objects, or where a policy passes them through."""

from collections.abc import Awaitable, Callable
from typing import Final

from s3proxy.exchange.incoming import Incoming
from s3proxy.keys.policies import Mode, Policy
from s3proxy.operations.attributes import AttributesReader
from s3proxy.operations.copy import ObjectCopier
from s3proxy.operations.delete import ObjectDeleter
from s3proxy.operations.get import ObjectReader
from s3proxy.operations.lists.buckets import BucketLister
from s3proxy.operations.lists.objects import ObjectLister
from s3proxy.operations.multipart.complete import UnsealedUploads, UploadCompleter
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.uploads import MultipartUploads
from s3proxy.operations.multipart.write import PartWriter
from s3proxy.operations.passthrough import pass_on
from s3proxy.operations.post import PostUploader
from s3proxy.operations.put import ObjectWriter
from s3proxy.s3api.credentials import Credentials
from s3proxy.s3api.operation_table import Operation
from s3proxy.serving.dispatch import Handler
from s3proxy.settings import ProxySettings
from s3proxy.storage import Storage
from s3proxy.stored.multipart import MultipartReader
from s3proxy.stored.source import SourceReader
from strongroom.service.following import Followed

_Sealed = Callable[[Incoming, Policy], Awaitable[None]]

# What means the same on sealed objects.
PASSED_ON: Final = (
    Operation.CREATE_BUCKET,
    Operation.DELETE_BUCKET,
    Operation.DELETE_BUCKET_CORS,
    Operation.DELETE_BUCKET_LIFECYCLE,
    Operation.DELETE_BUCKET_POLICY,
    Operation.DELETE_BUCKET_TAGGING,
    Operation.DELETE_BUCKET_OWNERSHIP_CONTROLS,
    Operation.DELETE_OBJECT_TAGGING,
    Operation.DELETE_PUBLIC_ACCESS_BLOCK,
    Operation.GET_BUCKET_ACCELERATE_CONFIGURATION,
    Operation.GET_BUCKET_ACL,
    Operation.GET_BUCKET_CORS,
    Operation.GET_BUCKET_ENCRYPTION,
    Operation.GET_BUCKET_LIFECYCLE_CONFIGURATION,
    Operation.GET_BUCKET_LOCATION,
    Operation.GET_BUCKET_LOGGING,
    Operation.GET_BUCKET_NOTIFICATION_CONFIGURATION,
    Operation.GET_BUCKET_OWNERSHIP_CONTROLS,
    Operation.GET_BUCKET_POLICY,
    Operation.GET_BUCKET_POLICY_STATUS,
    Operation.GET_BUCKET_REPLICATION,
    Operation.GET_BUCKET_REQUEST_PAYMENT,
    Operation.GET_BUCKET_TAGGING,
    Operation.GET_BUCKET_VERSIONING,
    Operation.GET_BUCKET_WEBSITE,
    Operation.GET_OBJECT_ACL,
    Operation.GET_OBJECT_LEGAL_HOLD,
    Operation.GET_OBJECT_LOCK_CONFIGURATION,
    Operation.GET_OBJECT_RETENTION,
    Operation.GET_OBJECT_TAGGING,
    Operation.GET_PUBLIC_ACCESS_BLOCK,
    Operation.HEAD_BUCKET,
    Operation.PUT_BUCKET_ACL,
    Operation.PUT_BUCKET_CORS,
    Operation.PUT_BUCKET_LIFECYCLE_CONFIGURATION,
    Operation.PUT_BUCKET_OWNERSHIP_CONTROLS,
    Operation.PUT_BUCKET_POLICY,
    Operation.PUT_BUCKET_TAGGING,
    Operation.PUT_BUCKET_VERSIONING,
    Operation.PUT_OBJECT_ACL,
    Operation.PUT_OBJECT_LEGAL_HOLD,
    Operation.PUT_OBJECT_LOCK_CONFIGURATION,
    Operation.PUT_OBJECT_RETENTION,
    Operation.PUT_OBJECT_TAGGING,
    Operation.PUT_PUBLIC_ACCESS_BLOCK,
)


def handlers_of(
    storage: Storage, settings: ProxySettings, credentials: Followed[Credentials]
) -> dict[Operation, Handler]:
    """Return what serves each operation that is offered."""
    store, policies, finder, hidden = storage.store, storage.policies, storage.finder, storage.system_bucket.name
    buffered_bytes = settings.buffered_body_bytes
    multipart = MultipartReader(store, finder)
    sources = SourceReader(store, policies, finder, multipart, hidden_bucket=hidden)
    reader = ObjectReader(store, finder, multipart)
    writer = ObjectWriter(store, storage.keys, finder, storage.known, buffered_bytes=buffered_bytes)
    copier = ObjectCopier(store, policies, finder=finder, sources=sources, multipart=multipart, writer=writer)
    poster = PostUploader(policies, credentials, writer, hidden_bucket=hidden, buffered_bytes=buffered_bytes)
    lister = ObjectLister(store, policies, finder)
    deleter = ObjectDeleter(store, policies, finder)
    kept = KeptParts(store, storage.system_bucket)
    uploads = MultipartUploads(store, storage.keys, kept)
    parts = PartWriter(store, storage.keys, kept, sources)
    equal_parts = settings.store_equal_parts
    completer = UploadCompleter(store, storage.keys, kept, finder, multipart, equal_parts=equal_parts)
    unsealed = UnsealedUploads(store, sources)

    async def passed_on(incoming: Incoming) -> None:
        await pass_on(incoming, store)

    def by_policy(sealed: _Sealed, otherwise: Handler = passed_on) -> Handler:
        async def handle(incoming: Incoming) -> None:
            policy = policies.require(incoming.call.bucket, incoming.call.key)
            await (otherwise(incoming) if policy.mode is Mode.PASSTHROUGH else sealed(incoming, policy))

        return handle

    return dict.fromkeys(PASSED_ON, passed_on) | {
        Operation.LIST_BUCKETS: BucketLister(store, hidden_bucket=hidden).serve,
        Operation.LIST_OBJECTS: lister.serve,
        Operation.LIST_OBJECTS_V2: lister.serve,
        Operation.LIST_OBJECT_VERSIONS: lister.serve,
        Operation.LIST_MULTIPART_UPLOADS: lister.uploads,
        Operation.DELETE_OBJECT: deleter.one,
        Operation.DELETE_OBJECTS: deleter.several,
        Operation.CREATE_MULTIPART_UPLOAD: by_policy(uploads.create),
        Operation.UPLOAD_PART: by_policy(parts.upload),
        Operation.UPLOAD_PART_COPY: by_policy(parts.copy, unsealed.copy),
        Operation.LIST_PARTS: by_policy(uploads.list_parts),
        Operation.ABORT_MULTIPART_UPLOAD: by_policy(uploads.abort),
        Operation.COMPLETE_MULTIPART_UPLOAD: by_policy(completer.complete, unsealed.complete),
        Operation.COPY_OBJECT: copier.serve,
        Operation.CORS_PREFLIGHT: passed_on,
        Operation.GET_OBJECT_ATTRIBUTES: by_policy(AttributesReader(store, finder, multipart).serve),
        Operation.POST_OBJECT: poster.serve,
        Operation.GET_OBJECT: by_policy(reader.get),
        Operation.HEAD_OBJECT: by_policy(reader.head),
        Operation.PUT_OBJECT: by_policy(writer.put),
    }

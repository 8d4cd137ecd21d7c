"""What serves which operation."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from s3proxy.exchange.incoming import Incoming
from s3proxy.keys.policies import Mode, Policies, Policy
from s3proxy.operations.attributes import AttributesReader
from s3proxy.operations.copy import ObjectCopier
from s3proxy.operations.delete import ObjectDeleter
from s3proxy.operations.get import ObjectReader
from s3proxy.operations.lists.buckets import BucketLister
from s3proxy.operations.lists.objects import ObjectLister
from s3proxy.operations.passthrough import pass_on
from s3proxy.operations.post import PostUploader
from s3proxy.operations.put import ObjectWriter
from s3proxy.s3api.credentials import Credentials
from s3proxy.s3api.operation_table import Operation
from s3proxy.store.client import Store
from s3proxy.stored.multipart import MultipartReader
from s3proxy.stored.open import ObjectFinder
from s3proxy.stored.source import SourceReader

Handler = Callable[[Incoming], Awaitable[None]]
_ByPolicy = Callable[[Incoming, Policy], Awaitable[None]]

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


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What operations are served with; ``app`` makes it."""

    store: Store
    policies: Policies
    finder: ObjectFinder
    reader: ObjectReader
    writer: ObjectWriter
    multipart: Mapping[Operation, Handler]
    multipart_reader: MultipartReader
    credentials: Callable[[], Credentials]
    hidden_bucket: str
    buffered_bytes: int


def handlers_of(parts: Parts) -> dict[Operation, Handler]:
    """Return what serves each operation that is offered."""
    store, policies, reader, writer = parts.store, parts.policies, parts.reader, parts.writer
    lister = ObjectLister(store, policies, parts.finder)
    deleter = ObjectDeleter(store, policies, parts.finder)
    multipart = parts.multipart_reader
    sources = SourceReader(store, policies, parts.finder, multipart, hidden_bucket=parts.hidden_bucket)
    copier = ObjectCopier(store, policies, finder=parts.finder, sources=sources, multipart=multipart, writer=writer)
    uploader = PostUploader(
        policies,
        parts.credentials,
        writer,
        hidden_bucket=parts.hidden_bucket,
        buffered_bytes=parts.buffered_bytes,
    )

    def by_policy(serve: _ByPolicy) -> Handler:
        async def handle(incoming: Incoming) -> None:
            policy = policies.require(incoming.call.bucket, incoming.call.key)
            if policy.mode is Mode.PASSTHROUGH:
                await pass_on(incoming, store)
            else:
                await serve(incoming, policy)

        return handle

    async def passed_on(incoming: Incoming) -> None:
        await pass_on(incoming, store)

    return dict.fromkeys(PASSED_ON, passed_on) | {
        Operation.LIST_BUCKETS: BucketLister(store, hidden_bucket=parts.hidden_bucket).serve,
        Operation.LIST_OBJECTS: lister.serve,
        Operation.LIST_OBJECTS_V2: lister.serve,
        Operation.LIST_OBJECT_VERSIONS: lister.serve,
        Operation.LIST_MULTIPART_UPLOADS: lister.uploads,
        Operation.DELETE_OBJECT: deleter.one,
        Operation.DELETE_OBJECTS: deleter.several,
        **parts.multipart,
        Operation.COPY_OBJECT: copier.serve,
        Operation.CORS_PREFLIGHT: passed_on,
        Operation.GET_OBJECT_ATTRIBUTES: by_policy(AttributesReader(store, parts.finder, multipart).serve),
        Operation.POST_OBJECT: uploader.serve,
        Operation.GET_OBJECT: by_policy(reader.get),
        Operation.HEAD_OBJECT: by_policy(reader.head),
        Operation.PUT_OBJECT: by_policy(writer.put),
    }

"""What serves which operation."""

from collections.abc import Awaitable, Callable
from typing import Final

from s3proxy.front.operation_table import Operation
from s3proxy.incoming import Incoming
from s3proxy.object_read import ObjectReader
from s3proxy.object_write import ObjectWriter
from s3proxy.passthrough import pass_on
from s3proxy.policies import Mode, Policies, Policy
from s3proxy.store import Store

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
    Operation.DELETE_OBJECT,
    Operation.DELETE_OBJECT_TAGGING,
    Operation.GET_BUCKET_ACL,
    Operation.GET_BUCKET_CORS,
    Operation.GET_BUCKET_LIFECYCLE_CONFIGURATION,
    Operation.GET_BUCKET_LOCATION,
    Operation.GET_BUCKET_OWNERSHIP_CONTROLS,
    Operation.GET_BUCKET_POLICY,
    Operation.GET_BUCKET_POLICY_STATUS,
    Operation.GET_BUCKET_REQUEST_PAYMENT,
    Operation.GET_BUCKET_TAGGING,
    Operation.GET_BUCKET_VERSIONING,
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
    store: Store, policies: Policies, *, reader: ObjectReader, writer: ObjectWriter
) -> dict[Operation, Handler]:
    """Return what serves each operation that is offered."""

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
        Operation.GET_OBJECT: by_policy(reader.get),
        Operation.HEAD_OBJECT: by_policy(reader.head),
        Operation.PUT_OBJECT: by_policy(writer.put),
    }

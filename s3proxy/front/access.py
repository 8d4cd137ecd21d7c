"""Which right each operation needs, and on what. Default deny: an operation that stands in no table is refused.

DeleteObjects names its keys in the body and ListBuckets shows what is visible: there the app asks the principal itself,
key by key. A copy needs READ on its source, too.
"""

from typing import Final

from s3proxy.front.credentials import Principal, Right
from s3proxy.front.errors import S3Error
from s3proxy.front.head import RequestHead
from s3proxy.front.operation_table import Operation
from s3proxy.front.operations import Call, copy_source

_ON_KEY: Final[dict[Operation, tuple[Right, ...]]] = {
    **dict.fromkeys(
        (
            Operation.GET_OBJECT,
            Operation.HEAD_OBJECT,
            Operation.GET_OBJECT_ATTRIBUTES,
            Operation.GET_OBJECT_TAGGING,
            Operation.GET_OBJECT_RETENTION,
            Operation.GET_OBJECT_LEGAL_HOLD,
        ),
        (Right.READ,),
    ),
    **dict.fromkeys(
        (
            Operation.PUT_OBJECT,
            Operation.COPY_OBJECT,
            Operation.CREATE_MULTIPART_UPLOAD,
            Operation.UPLOAD_PART,
            Operation.UPLOAD_PART_COPY,
            Operation.COMPLETE_MULTIPART_UPLOAD,
            Operation.ABORT_MULTIPART_UPLOAD,
            Operation.PUT_OBJECT_TAGGING,
            Operation.DELETE_OBJECT_TAGGING,
            Operation.RESTORE_OBJECT,
        ),
        (Right.WRITE,),
    ),
    Operation.LIST_PARTS: (Right.WRITE, Right.LIST),
    Operation.DELETE_OBJECT: (Right.DELETE,),
    **dict.fromkeys(
        (
            Operation.GET_OBJECT_ACL,
            Operation.PUT_OBJECT_ACL,
            Operation.PUT_OBJECT_RETENTION,
            Operation.PUT_OBJECT_LEGAL_HOLD,
        ),
        (Right.ADMIN,),
    ),
}
# What a listing can show begins with its prefix.
_ON_PREFIX: Final = frozenset(
    {
        Operation.LIST_OBJECTS,
        Operation.LIST_OBJECTS_V2,
        Operation.LIST_OBJECT_VERSIONS,
        Operation.LIST_MULTIPART_UPLOADS,
    }
)
# Clients ask these before they do anything else; any grant in the bucket will do.
_ON_BUCKET: Final = frozenset(
    {
        Operation.HEAD_BUCKET,
        Operation.GET_BUCKET_LOCATION,
        Operation.GET_BUCKET_VERSIONING,
        Operation.GET_BUCKET_ENCRYPTION,
        Operation.GET_OBJECT_LOCK_CONFIGURATION,
    }
)
# Answered by what the body says, or without any right: browsers send no credentials before CORS allows it.
_LATER: Final = frozenset({Operation.DELETE_OBJECTS, Operation.POST_OBJECT, Operation.CORS_PREFLIGHT})
_BYPASS: Final = "x-amz-bypass-governance-retention"


def require_access(principal: Principal, call: Call, head: RequestHead) -> None:
    """Return if a principal may make a call.

    Args:
        principal: who asks.
        call: what for.
        head: the request, as verified.

    Raises:
        S3Error: AccessDenied; or InvalidArgument for a malformed copy source.
    """
    operation = call.operation
    if operation in _LATER:
        pass
    elif operation in _ON_KEY:
        principal.require_any(_ON_KEY[operation], call.bucket, call.key)
    elif operation in _ON_PREFIX:
        principal.require(Right.LIST, call.bucket, call.query.get("prefix"))
    elif operation in _ON_BUCKET:
        principal.require_bucket(call.bucket)
    elif operation is Operation.LIST_BUCKETS:
        principal.require_known()
    elif call.bucket and not call.key:
        principal.require(Right.ADMIN, call.bucket, "")
    else:
        code, msg = "AccessDenied", "Access Denied"
        raise S3Error(code, msg, hint=f"{operation.value} has no rule")
    if operation in {Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY}:
        source = copy_source(head)
        principal.require(Right.READ, source.bucket, source.key)
    if head.header(_BYPASS).lower() == "true":
        principal.require(Right.ADMIN, call.bucket, call.key)

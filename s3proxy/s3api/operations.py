"""Which operation of the S3 API a request is, and on what: a table over method, level and sub-resource. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html. What is not offered
is refused by its name (NotImplemented), so that no such request is taken for a plain read or write. Query parameters
that name no sub-resource are ignored, as S3 does.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from s3proxy.s3api.canonical import decode_text, split_query
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.names import (
    CopySource,
    is_id,
    parse_copy_source,
    refuse_argument,
    require_bucket,
    require_key,
    require_prefix,
    require_version_id,
)
from s3proxy.s3api.operation_table import LISTED_WITHOUT, PLAIN, SUBRESOURCES, UNSUPPORTED, Level, Operation
from s3proxy.s3api.rules import VERSION, rule_of
from s3proxy.s3api.sent import COPIES, sent_headers
from s3proxy.s3api.signature import VERSION_2_PARAMETERS
from strongroom.sealed.sizes import MAX_PARTS

_PART_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")  # one spelling of each: it is used, and sent on, as it came
_MAY_BE_EMPTY: Final = frozenset({"versionId", "partNumber", "x-id"})
_PREFIXES: Final = frozenset({"continuation-token", "key-marker", "marker", "prefix", "start-after"})
_VERSION_IDS: Final = frozenset({"upload-id-marker", "version-id-marker", VERSION})


@dataclass(frozen=True, slots=True)
class Query:
    """Decoded query parameters without those of the signature, and without headers that were put into the query.

    Attributes:
        pairs: in the order received.
    """

    pairs: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return the first value of a parameter, or "" when there is none."""
        return next((value for other, value in self.pairs if other == name), "")

    def __contains__(self, name: object) -> bool:
        """Return whether a parameter was given, even if empty."""
        return any(other == name for other, _ in self.pairs)


_NO_QUERY: Final = Query(())


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a call of the S3 API. It is decided by this, and this is what is sent on (``rules``).

    Attributes:
        operation: which.
        bucket: its name, or "".
        key: of the object, decoded once, or "".
        query: the parameters that count.
        headers: that count, and go to the store where the request is passed on; ``x-amz-copy-source`` as it was read.
        copy_source: of a copy, else None.
        is_virtual_hosted: whether the host names the bucket, for the URLs that clients are told.
    """

    operation: Operation
    bucket: str
    key: str
    query: Query
    headers: Mapping[str, str] = field(repr=False)
    copy_source: CopySource | None = None
    is_virtual_hosted: bool = False


def classify(head: RequestHead, *, domains: tuple[str, ...] = ()) -> Call:
    """Return what a request asks for.

    Args:
        head: the request as verified: what a presigned URL has in its query would otherwise be seen too late.
        domains: lower-case host names under which ``BUCKET.DOMAIN`` names a bucket; all other hosts are path style.

    Raises:
        S3Error: InvalidURI, InvalidBucketName, KeyTooLongError, InvalidArgument (sub-resources that contradict each
            other, names that a store could take for others), NoSuchUpload, MethodNotAllowed, or NotImplemented with
            the name of the operation.
    """
    bucket, raw_key, is_virtual_hosted = address_of(head, domains)
    key = decode_text(raw_key)
    require_key(key)
    query = decode_query(head.raw_query)
    level = Level.OBJECT if key else Level.BUCKET if bucket else Level.SERVICE
    named, operation = operation_of(head, level, query)
    if operation in UNSUPPORTED:
        refuse_unsupported(operation.value)
    source = parse_copy_source(head.header("x-amz-copy-source")) if operation in COPIES else None
    counted = _counted(operation, named, query)
    return Call(operation, bucket, key, counted, sent_headers(operation, head, source), source, is_virtual_hosted)


def _counted(operation: Operation, named: str, query: Query) -> Query:
    """Return the parameters that count for an operation, checked."""
    if operation is Operation.CORS_PREFLIGHT or not query.pairs:
        return _NO_QUERY
    wanted = rule_of(operation).query
    values = {name: value for name, value in query.pairs if name in wanted}
    for name, value in values.items():
        if name in _PREFIXES:
            require_prefix(name, value)
        elif name in _VERSION_IDS:
            require_version_id(name, value)
    if operation in {Operation.UPLOAD_PART, Operation.UPLOAD_PART_COPY}:
        _require_part_number(query.get("partNumber"))
    if named == "uploadId":
        values[named] = query.get(named)
        if not is_id(values[named]):
            raise no_such_upload()
    elif named:
        values[named] = ""
    return Query(tuple(values.items()))


def _require_part_number(text: str) -> None:
    if _PART_NUMBER.fullmatch(text) is None or int(text) > MAX_PARTS:
        refuse_argument(f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive", "partNumber", text)


def no_such_upload() -> S3Error:
    """Return the refusal of an upload that does not exist."""
    code = "NoSuchUpload"
    msg = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
    return S3Error(code, msg + "completed.")


def decode_query(raw_query: str) -> Query:
    """Decode parameters once (a plus sign is a space).

    Those of the signature are left out, and ``x-amz-*``: of a presigned URL they are headers by now, of others nothing.

    Raises:
        S3Error: InvalidURI; InvalidArgument when a parameter is repeated, as two readers could take different ones.
    """
    if not raw_query:
        return _NO_QUERY
    decoded = (
        (decode_text(name, plus_is_space=True), decode_text(value, plus_is_space=True))
        for name, value in split_query(raw_query)
    )
    pairs = tuple(
        (name, value)
        for name, value in decoded
        if name not in VERSION_2_PARAMETERS and not name.lower().startswith("x-amz-")
    )
    names: set[str] = set()
    for name, value in pairs:
        if name in names:
            refuse_argument(f"The parameter {name} must not be repeated", name, value)
        names.add(name)
    return Query(pairs)


def refuse_unsupported(what: str) -> NoReturn:
    """Refuse an operation.

    Raises:
        S3Error: NotImplemented.
    """
    raise S3Error("NotImplemented", f"{what} is not implemented.")


def host_bucket(head: RequestHead, domains: tuple[str, ...]) -> str:
    """Return the bucket that the host names, "" if the path does.

    Raises:
        S3Error: InvalidBucketName.
    """
    if not domains:
        return ""
    host = _without_port(head.header("host")).lower().rstrip(".")
    for domain in domains:
        bucket = host.removesuffix("." + domain)
        if bucket != host:
            return require_bucket(bucket)
    return ""


def address_of(head: RequestHead, domains: tuple[str, ...]) -> tuple[str, str, bool]:
    """Return bucket, raw key, and whether the host names the bucket.

    Raises:
        S3Error: InvalidBucketName.
    """
    rest = head.raw_path[1:]
    bucket = host_bucket(head, domains)
    if bucket:
        return bucket, rest, True
    raw_bucket, _, raw_key = rest.partition("/")
    if not raw_bucket:
        if raw_key:
            raise S3Error("InvalidBucketName", "The specified bucket is not valid.", details={"BucketName": ""})
        return "", "", False
    return require_bucket(decode_text(raw_bucket)), raw_key, False


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]*\Z", "", host)


def operation_of(head: RequestHead, level: Level, query: Query) -> tuple[str, Operation]:
    """Return the parameter that names the sub-resource or "", and the operation.

    Raises:
        S3Error: InvalidArgument, MethodNotAllowed or NotImplemented.
    """
    if head.method == "OPTIONS":
        return "", Operation.CORS_PREFLIGHT
    known = SUBRESOURCES[level]
    named = sorted({name for name, _ in query.pairs} & known.keys())
    if len(named) > 1:
        refuse_argument(f"Conflicting query string parameters: {', '.join(named)}", "ResourceType", named[0])
    if head.method not in {"GET", "HEAD"}:
        # With an empty key, aborting an upload would look like deleting the bucket.
        _refuse_foreign(query, known.keys())
    table = known[named[0]] if named else PLAIN[level]
    operation = table.get(head.method)
    if operation is None:
        code, msg = "MethodNotAllowed", "The specified method is not allowed against this resource."
        resource = named[0].upper() if named else level.name
        raise S3Error(code, msg, details={"Method": head.method, "ResourceType": resource})
    name = named[0] if named else ""
    return name, _refine(operation, head, query, name)


def _refuse_foreign(query: Query, known: Collection[str]) -> None:
    """Refuse sub-resources that are not those of this level, or not ours at all.

    Those that S3 will have next year look like the others: a name without a value. Taken for nothing, the request would
    overwrite the object.
    """
    for name, value in query.pairs:
        if name not in known and any(name in names for names in SUBRESOURCES.values()):
            refuse_argument(f"{name} is not a sub-resource of what the request is addressed to", name, "")
        if name not in known and not value and name not in _MAY_BE_EMPTY:
            refuse_unsupported(f"The sub-resource {name[:64]}")


def _refine(operation: Operation, head: RequestHead, query: Query, named: str) -> Operation:
    """Tell apart what method and sub-resource do not."""
    is_copy = head.has("x-amz-copy-source")
    if operation is Operation.LIST_OBJECTS:
        if query.get("list-type") not in {"", "2"}:
            refuse_argument("Invalid List Type", "list-type", query.get("list-type"))
        return Operation.LIST_OBJECTS_V2 if query.get("list-type") else operation
    if named in LISTED_WITHOUT and head.method == "GET":
        parameter, listing = LISTED_WITHOUT[named]
        return operation if parameter in query else listing
    if operation is Operation.UPLOAD_PART:
        if "partNumber" not in query:
            refuse_argument("This operation needs a partNumber", "partNumber", "")
        return Operation.UPLOAD_PART_COPY if is_copy else operation
    if operation is Operation.PUT_OBJECT:
        if "partNumber" in query:
            refuse_argument("This operation needs an uploadId", "uploadId", "")
        return Operation.COPY_OBJECT if is_copy else operation
    if operation is Operation.POST_OBJECT and not head.header("content-type").lower().startswith("multipart/form-data"):
        code, msg = "MethodNotAllowed", "The specified method is not allowed against this resource."
        raise S3Error(code, msg, details={"Method": "POST", "ResourceType": "BUCKET"})
    return operation

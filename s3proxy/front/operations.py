"""Which operation of the S3 API a request is, and on what: a table over method, level and sub-resource. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html. What is not offered
is refused by its name (NotImplemented), so that no such request is taken for a plain read or write. Query parameters
that name no sub-resource are ignored, as S3 does.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NoReturn

from s3proxy.front.canonical import decode_text, split_query
from s3proxy.front.errors import S3Error
from s3proxy.front.head import RequestHead
from s3proxy.front.operation_table import LISTED_WITHOUT, PLAIN, SUBRESOURCES, UNSUPPORTED, Level, Operation
from s3proxy.front.signature import AUTH_PARAMETERS, VERSION_2_PARAMETERS

_MAY_BE_EMPTY: Final = frozenset({"versionId", "partNumber", "x-id"})
MAX_KEY_BYTES: Final = 1024  # S3: "Naming Amazon S3 objects"
# The rule of the oldest buckets; what a store allows is its own matter, a slash or a NUL would be ours.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Query:
    """Decoded query parameters without those of the signature.

    Attributes:
        pairs: in the order received.
    """

    pairs: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return the first value of a parameter, or "" when there is none."""
        return next((value for other, value in self.pairs if other == name), "")

    def __contains__(self, name: object) -> bool:
        """Say whether a parameter was given, even if empty."""
        return any(other == name for other, _ in self.pairs)


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a call of the S3 API.

    Attributes:
        operation: which.
        bucket: its name, or "".
        key: of the object, decoded once, or "".
        query: parameters.
        is_virtual_hosted: whether the bucket came in the host name.
    """

    operation: Operation
    bucket: str
    key: str
    query: Query
    is_virtual_hosted: bool = False


@dataclass(frozen=True, slots=True)
class CopySource:
    """What ``x-amz-copy-source`` names.

    Attributes:
        bucket: its name.
        key: decoded once.
        version_id: or "".
    """

    bucket: str
    key: str
    version_id: str


def classify(head: RequestHead, *, domains: tuple[str, ...] = ()) -> Call:
    """Return what a request asks for.

    Args:
        head: the request as received.
        domains: lower-case host names under which ``BUCKET.DOMAIN`` names a bucket; all other hosts are path style.

    Raises:
        S3Error: InvalidURI, InvalidBucketName, KeyTooLongError, InvalidArgument (sub-resources that contradict each
            other), MethodNotAllowed, or NotImplemented with the name of the operation.
    """
    bucket, raw_key, is_virtual_hosted = _address(head, domains)
    key = decode_text(raw_key)
    require_key(key)
    query = decode_query(head.raw_query)
    level = Level.OBJECT if key else Level.BUCKET if bucket else Level.SERVICE
    operation = _operation_of(head, level, query)
    if operation in UNSUPPORTED:
        refuse_unsupported(operation.value)
    return Call(operation, bucket, key, query, is_virtual_hosted)


def require_key(key: str) -> None:
    """Return if a key may name an object.

    Raises:
        S3Error: KeyTooLongError.
    """
    size = len(key.encode("utf-8", "surrogateescape"))
    if size > MAX_KEY_BYTES:
        code, msg = "KeyTooLongError", "Your key is too long"
        raise S3Error(code, msg, details={"Size": str(size), "MaxSizeAllowed": str(MAX_KEY_BYTES)})


def decode_query(raw_query: str) -> Query:
    """Decode parameters once (a plus sign is a space); leave those of the signature out.

    Raises:
        S3Error: InvalidURI; InvalidArgument when a parameter is repeated, as two readers could take different ones.
    """
    decoded = (
        (decode_text(name, plus_is_space=True), decode_text(value, plus_is_space=True))
        for name, value in split_query(raw_query)
    )
    pairs = tuple(pair for pair in decoded if pair[0] not in AUTH_PARAMETERS | VERSION_2_PARAMETERS)
    names: set[str] = set()
    for name, value in pairs:
        if name in names:
            _refuse_argument(f"The parameter {name} must not be repeated", name, value)
        names.add(name)
    return Query(pairs)


def copy_source(head: RequestHead) -> CopySource:
    """Read ``x-amz-copy-source``: ``/BUCKET/KEY?versionId=ID``, percent-encoded, the first slash optional.

    Raises:
        S3Error: InvalidArgument, as it is malformed; NotImplemented for an access point.
    """
    text = head.header("x-amz-copy-source")
    if text.startswith("arn:"):
        refuse_unsupported("Copying from an access point")
    path, marker, version_id = text.removeprefix("/").partition("?versionId=")
    try:
        # Many clients encode the slash after the bucket as well.
        bucket, _, key = decode_text(path).partition("/")
        version_id = decode_text(version_id)
    except S3Error:
        bucket = key = ""
    if not key or _BUCKET.fullmatch(bucket) is None or (marker and not version_id):
        code, msg = "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise S3Error(code, msg, details={"ArgumentName": "x-amz-copy-source", "ArgumentValue": text[:1024]})
    return CopySource(bucket, key, version_id)


def refuse_unsupported(what: str) -> NoReturn:
    """Refuse an operation.

    Raises:
        S3Error: NotImplemented.
    """
    code, msg = "NotImplemented", f"{what} is not implemented."
    raise S3Error(code, msg)


def _address(head: RequestHead, domains: tuple[str, ...]) -> tuple[str, str, bool]:
    """Return bucket, raw key and whether the bucket came in the host."""
    host = _without_port(head.header("host")).lower().rstrip(".")
    rest = head.raw_path[1:]
    for domain in domains:
        bucket = host.removesuffix("." + domain)
        if bucket != host:
            return _bucket(bucket), rest, True
    raw_bucket, _, raw_key = rest.partition("/")
    if not raw_bucket:
        if raw_key:
            code, msg = "InvalidBucketName", "The specified bucket is not valid."
            raise S3Error(code, msg, details={"BucketName": ""})
        return "", "", False
    return _bucket(decode_text(raw_bucket)), raw_key, False


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]*\Z", "", host)


def _bucket(name: str) -> str:
    if _BUCKET.fullmatch(name) is None:
        code, msg = "InvalidBucketName", "The specified bucket is not valid."
        raise S3Error(code, msg, details={"BucketName": name[:255]})
    return name


def _operation_of(head: RequestHead, level: Level, query: Query) -> Operation:
    if head.method == "OPTIONS":
        return Operation.CORS_PREFLIGHT
    known = SUBRESOURCES[level]
    named = sorted({name for name, _ in query.pairs} & known.keys())
    if len(named) > 1:
        _refuse_argument(f"Conflicting query string parameters: {', '.join(named)}", "ResourceType", named[0])
    if head.method not in {"GET", "HEAD"}:
        # With an empty key, aborting an upload would look like deleting the bucket.
        _refuse_foreign(query, known.keys())
    table = known[named[0]] if named else PLAIN[level]
    operation = table.get(head.method)
    if operation is None:
        code, msg = "MethodNotAllowed", "The specified method is not allowed against this resource."
        resource = named[0].upper() if named else level.name
        raise S3Error(code, msg, details={"Method": head.method, "ResourceType": resource})
    return _refine(operation, head, query, named[0] if named else "")


def _refuse_foreign(query: Query, known: Collection[str]) -> None:
    """Refuse sub-resources that are not those of this level, or not ours at all.

    Those that S3 will have next year look like the others: a name without a value. Taken for nothing, the request would
    overwrite the object.
    """
    for name, value in query.pairs:
        if name not in known and any(name in names for names in SUBRESOURCES.values()):
            _refuse_argument(f"{name} is not a sub-resource of what the request is addressed to", name, "")
        if name not in known and not value and name not in _MAY_BE_EMPTY and not name.lower().startswith("x-amz-"):
            refuse_unsupported(f"The sub-resource {name[:64]}")


def _refine(operation: Operation, head: RequestHead, query: Query, named: str) -> Operation:
    """Tell apart what method and sub-resource do not."""
    is_copy = head.has("x-amz-copy-source")
    if operation is Operation.LIST_OBJECTS:
        if query.get("list-type") not in {"", "2"}:
            _refuse_argument("Invalid List Type", "list-type", query.get("list-type"))
        return Operation.LIST_OBJECTS_V2 if query.get("list-type") else operation
    if named in LISTED_WITHOUT and head.method == "GET":
        parameter, listing = LISTED_WITHOUT[named]
        return operation if parameter in query else listing
    if operation is Operation.UPLOAD_PART:
        if "partNumber" not in query:
            _refuse_argument("This operation needs a partNumber", "partNumber", "")
        return Operation.UPLOAD_PART_COPY if is_copy else operation
    if operation is Operation.PUT_OBJECT:
        if "partNumber" in query:
            _refuse_argument("This operation needs an uploadId", "uploadId", "")
        return Operation.COPY_OBJECT if is_copy else operation
    if operation is Operation.POST_OBJECT and not head.header("content-type").lower().startswith("multipart/form-data"):
        code, msg = "MethodNotAllowed", "The specified method is not allowed against this resource."
        raise S3Error(code, msg, details={"Method": "POST", "ResourceType": "BUCKET"})
    return operation


def _refuse_argument(message: str, name: str, value: str) -> NoReturn:
    code = "InvalidArgument"
    raise S3Error(code, message, details={"ArgumentName": name, "ArgumentValue": value[:1024]})

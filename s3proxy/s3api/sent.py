"""The headers of a request that count, by the table of ``rules``: they are decided by, and nothing else is sent on.

The head must be the verified one: a presigned URL may carry ``x-amz-*`` headers in its query.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NoReturn

from s3proxy.s3api.body import stored_content_encoding
from s3proxy.s3api.claims import require_known_algorithms
from s3proxy.s3api.credentials import Principal, Right
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.names import CopySource, refuse_argument
from s3proxy.s3api.operation_table import Operation
from s3proxy.s3api.rules import ACL, BYPASS, NEEDS_ADMIN, rule_of
from strongroom.sealed.entry import ENTRY_NAME

COPIES: Final = frozenset({Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY})
ENTRY_HEADER: Final = f"x-amz-meta-{ENTRY_NAME}"
# The default, and what stores whose objects have one owner (S3's since 2023) take for it: the owner of the bucket, who
# holds all bytes of it anyway, may have the object.
_HARMLESS_ACLS: Final = frozenset({"private", "bucket-owner-full-control"})
_COPY_SOURCE: Final = "x-amz-copy-source"
_SHORT_NAME: Final = 64  # longer ones, which anyone may send, are not remembered
# Would make another operation of the request at a store that knows them, and is more than we could leave out in
# silence: archives to be unpacked into other keys (MinIO), appending instead of replacing, renaming; conditions on size
# and times, which only directory buckets obey and other stores drop (SeaweedFS deletes all the same).
_NOT_OFFERED: Final = (
    "minio-snowball-", "x-amz-if-match-", "x-amz-meta-minio-snowball-", "x-amz-meta-snowball-", "x-amz-rename-source",
    "x-amz-snowball-", "x-amz-write-offset-bytes",
)  # fmt: skip


def sent_headers(operation: Operation, head: RequestHead, source: CopySource | None = None) -> dict[str, str]:
    """Return the headers of a request that count, and go to the store where it is passed on.

    Args:
        operation: which.
        head: of the request, as verified; of a form, its fields.
        source: of a copy.

    Raises:
        S3Error: InvalidArgument for copy headers without a copy, and for the proxy's own metadata; InvalidRequest
            for a checksum by an unknown algorithm; NotImplemented for what would change the operation.
    """
    require_known_algorithms(head)
    sent = {}
    for name, value in head.by_name.items():
        counts = _counts if len(name) <= _SHORT_NAME else _counts.__wrapped__
        if counts(operation, name):
            sent[name] = value
    if ENTRY_HEADER in sent:
        refuse_argument(f"The metadata {ENTRY_HEADER} is reserved.", ENTRY_HEADER, "")
    if "content-encoding" in sent:
        sent["content-encoding"] = stored_content_encoding(head)  # without aws-chunked
        if not sent["content-encoding"]:
            del sent["content-encoding"]
    if sent.get(BYPASS, "").strip().lower() == "false":
        del sent[BYPASS]
    if source is not None:
        sent["x-amz-copy-source"] = source.header
    return sent


@lru_cache(maxsize=4096)
def _counts(operation: Operation, name: str) -> bool:
    """Return whether a header counts for an operation; clients send the same few with each request.

    Raises:
        S3Error: it would change the operation.
    """
    if name.startswith(_NOT_OFFERED) or (operation not in COPIES and name.startswith(_COPY_SOURCE)):
        _refuse(operation, name)
    return name in rule_of(operation).sent


def _refuse(operation: Operation, name: str) -> NoReturn:
    if name.startswith(_COPY_SOURCE):
        refuse_argument(f"{name} is not a header of {operation.value}", name, "")
    raise S3Error("NotImplemented", f"The header {name} is not implemented.")


def require_set(principal: Principal, bucket: str, key: str, headers: Mapping[str, str]) -> None:
    """Return if a principal may set what headers set: ACLs, retention, legal holds, and going past a retention.

    Args:
        principal: who asks.
        bucket: of the object.
        key: of the object.
        headers: ``sent_headers`` of the request, or of the fields of a form.

    Raises:
        S3Error: AccessDenied.
    """
    for name, value in headers.items():
        if name in NEEDS_ADMIN and not (name == ACL and value.strip().lower() in _HARMLESS_ACLS):
            principal.require(Right.ADMIN, bucket, key, what_for=name)

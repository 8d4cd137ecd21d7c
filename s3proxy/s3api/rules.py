"""What counts of a request, by operation: which right it needs, and which parameters and headers go to the store.

One row is all that there is to know of an operation. What is in no row is neither looked at nor sent: a header
that a store understands and we do not would otherwise be signed with the store's own key. Names ending in ``*`` are
prefixes. S3 API reference, the page of each operation; docs/adr/0013-one-view-of-a-request.md.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from s3proxy.s3api.credentials import Right
from s3proxy.s3api.operation_table import Operation

READ, WRITE, LIST, DELETE, ADMIN = Right.READ, Right.WRITE, Right.LIST, Right.DELETE, Right.ADMIN


class On(enum.Enum):
    """What a right is needed on."""

    KEY = "the key"
    PREFIX = "all keys that begin with the prefix that is listed"
    BUCKET = "all keys of the bucket"
    ANY_OF_BUCKET = "anything in the bucket: clients ask this before they do anything else"
    SIGNED = "nothing, but the request must be signed"
    LATER = "what the body names, key by key; or nothing, as browsers send no credentials before CORS allows it"


class Names:
    """Lower-case names; one that ends in ``*`` is a prefix. Asked for each header of each request."""

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, names: Iterable[str]) -> None:
        """Take the names."""
        given = frozenset(names)
        self._exact = frozenset(name for name in given if not name.endswith("*"))
        self._prefixes = tuple(sorted(name[:-1] for name in given - self._exact))

    def __contains__(self, name: str) -> bool:
        """Return whether a name is one of these, or begins with a prefix among them."""
        return name in self._exact or name.startswith(self._prefixes)


@dataclass(frozen=True)
class Rule:
    """A row of the table.

    Attributes:
        rights: one of them is needed.
        on: what it is needed on.
        query: parameters that count and go to the store, besides the one that names the sub-resource.
        headers: that count and go to the store, where the request is passed on.
    """

    rights: tuple[Right, ...]
    on: On
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()

    @cached_property
    def sent(self) -> Names:
        """The headers, to be asked."""
        return Names(self.headers)


CONTENT: Final = (
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
)  # fmt: skip
_ALL: Final = ("origin", "x-amz-expected-bucket-owner", "x-amz-request-payer")
_GRANTS: Final = (
    "x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp", "x-amz-grant-write",
    "x-amz-grant-write-acp",
)  # fmt: skip
_LOCK: Final = ("x-amz-object-lock-legal-hold", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date")
BYPASS: Final = "x-amz-bypass-governance-retention"
ACL: Final = "x-amz-acl"
NEEDS_ADMIN: Final = frozenset({ACL, BYPASS, *_GRANTS, *_LOCK})  # wherever they count; ``sent`` has the exceptions
# What an object is stored with, sealed or not.
KEPT: Final = (
    *_ALL, *CONTENT, ACL, *_GRANTS, *_LOCK, "x-amz-meta-*", "x-amz-storage-class", "x-amz-tagging",
    "x-amz-website-redirect-location",
)  # fmt: skip
SSE_C: Final = "x-amz-server-side-encryption-customer-*"
_ENCRYPTED: Final = (
    "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled", "x-amz-server-side-encryption-context", SSE_C,
)  # fmt: skip
_WRITE_IF: Final = ("if-match", "if-none-match")
_READ_IF: Final = (*_WRITE_IF, "if-modified-since", "if-unmodified-since")
_READ: Final = (*_ALL, *_READ_IF, "if-range", "range", SSE_C)
_FROM: Final = (
    "x-amz-copy-source-if-match", "x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since", "x-amz-copy-source-server-side-encryption-customer-*",
    "x-amz-source-expected-bucket-owner",
)  # fmt: skip
_DOCUMENT: Final = (*_ALL, "content-type")
_LISTED: Final = (*_ALL, "x-amz-optional-object-attributes")

VERSION: Final = "versionId"
OVERRIDES: Final = (
    "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires",
)  # fmt: skip
_PAGE: Final = ("delimiter", "encoding-type", "prefix")

# Settings of buckets that are read or removed; and those that are set by nothing but a document.
BUCKET_SETTINGS: Final = (
    Operation.DELETE_BUCKET, Operation.DELETE_BUCKET_CORS, Operation.DELETE_BUCKET_LIFECYCLE,
    Operation.DELETE_BUCKET_OWNERSHIP_CONTROLS, Operation.DELETE_BUCKET_POLICY, Operation.DELETE_BUCKET_TAGGING,
    Operation.DELETE_PUBLIC_ACCESS_BLOCK, Operation.GET_BUCKET_ACCELERATE_CONFIGURATION, Operation.GET_BUCKET_ACL,
    Operation.GET_BUCKET_CORS, Operation.GET_BUCKET_LIFECYCLE_CONFIGURATION, Operation.GET_BUCKET_LOGGING,
    Operation.GET_BUCKET_NOTIFICATION_CONFIGURATION, Operation.GET_BUCKET_OWNERSHIP_CONTROLS,
    Operation.GET_BUCKET_POLICY, Operation.GET_BUCKET_POLICY_STATUS, Operation.GET_BUCKET_REPLICATION,
    Operation.GET_BUCKET_REQUEST_PAYMENT, Operation.GET_BUCKET_TAGGING, Operation.GET_BUCKET_WEBSITE,
    Operation.GET_PUBLIC_ACCESS_BLOCK,
)  # fmt: skip
BUCKET_DOCUMENTS: Final = (
    Operation.PUT_BUCKET_CORS, Operation.PUT_BUCKET_OWNERSHIP_CONTROLS, Operation.PUT_BUCKET_TAGGING,
    Operation.PUT_PUBLIC_ACCESS_BLOCK,
)  # fmt: skip

# A copy also needs READ on its source, and ``access`` asks for ADMIN where a header sets what ADMIN is for.
RULES: Final[dict[Operation, Rule]] = {
    # Objects.
    Operation.GET_OBJECT: Rule((READ,), On.KEY, (VERSION, "partNumber", *OVERRIDES), _READ),
    Operation.HEAD_OBJECT: Rule((READ,), On.KEY, (VERSION, "partNumber", *OVERRIDES), _READ),
    Operation.GET_OBJECT_ATTRIBUTES: Rule(
        (READ,), On.KEY, (VERSION,),
        (*_ALL, SSE_C, "x-amz-max-parts", "x-amz-object-attributes", "x-amz-part-number-marker"),
    ),
    Operation.PUT_OBJECT: Rule((WRITE,), On.KEY, (), (*KEPT, *_WRITE_IF, *_ENCRYPTED)),
    Operation.POST_OBJECT: Rule((WRITE,), On.LATER, (), KEPT),  # of its fields; its own headers do not count
    Operation.COPY_OBJECT: Rule(
        (WRITE,), On.KEY, (),
        (*KEPT, *_WRITE_IF, *_ENCRYPTED, *_FROM, "x-amz-metadata-directive", "x-amz-tagging-directive"),
    ),
    Operation.DELETE_OBJECT: Rule((DELETE,), On.KEY, (VERSION,), (*_ALL, BYPASS, "if-match", "x-amz-mfa")),
    # Then key by key; but a list of strangers is not read.
    Operation.DELETE_OBJECTS: Rule((DELETE,), On.ANY_OF_BUCKET, (), (*_ALL, BYPASS, "x-amz-mfa")),
    Operation.RESTORE_OBJECT: Rule((WRITE,), On.KEY),
    # Their sub-resources.
    Operation.GET_OBJECT_TAGGING: Rule((READ,), On.KEY, (VERSION,), _ALL),
    Operation.PUT_OBJECT_TAGGING: Rule((WRITE,), On.KEY, (VERSION,), _DOCUMENT),
    Operation.DELETE_OBJECT_TAGGING: Rule((WRITE,), On.KEY, (VERSION,), _ALL),
    Operation.GET_OBJECT_RETENTION: Rule((READ,), On.KEY, (VERSION,), _ALL),
    Operation.PUT_OBJECT_RETENTION: Rule((ADMIN,), On.KEY, (VERSION,), (*_DOCUMENT, BYPASS)),
    Operation.GET_OBJECT_LEGAL_HOLD: Rule((READ,), On.KEY, (VERSION,), _ALL),
    Operation.PUT_OBJECT_LEGAL_HOLD: Rule((ADMIN,), On.KEY, (VERSION,), _DOCUMENT),
    Operation.GET_OBJECT_ACL: Rule((ADMIN,), On.KEY, (VERSION,), _ALL),
    Operation.PUT_OBJECT_ACL: Rule((ADMIN,), On.KEY, (VERSION,), (*_DOCUMENT, ACL, *_GRANTS)),
    # Multipart uploads.
    Operation.CREATE_MULTIPART_UPLOAD: Rule((WRITE,), On.KEY, (), (*KEPT, *_ENCRYPTED)),
    Operation.UPLOAD_PART: Rule((WRITE,), On.KEY, ("partNumber",), (*_ALL, SSE_C)),
    Operation.UPLOAD_PART_COPY: Rule(
        (WRITE,), On.KEY, ("partNumber",), (*_ALL, SSE_C, *_FROM, "x-amz-copy-source-range"),
    ),
    Operation.LIST_PARTS: Rule(
        (WRITE, LIST), On.KEY, ("encoding-type", "max-parts", "part-number-marker"), (*_ALL, SSE_C),
    ),
    Operation.COMPLETE_MULTIPART_UPLOAD: Rule(
        (WRITE,), On.KEY, (), (*_DOCUMENT, *_WRITE_IF, SSE_C, "x-amz-mp-object-size"),
    ),
    Operation.ABORT_MULTIPART_UPLOAD: Rule((WRITE,), On.KEY, (), _ALL),
    # Listings.
    # Without pages, as a token of the store may hold the name of a bucket that is not shown.
    Operation.LIST_BUCKETS: Rule((), On.SIGNED, ("bucket-region", "prefix")),
    Operation.LIST_OBJECTS: Rule((LIST,), On.PREFIX, ("list-type", *_PAGE, "marker", "max-keys"), _LISTED),
    Operation.LIST_OBJECTS_V2: Rule(
        (LIST,), On.PREFIX,
        ("list-type", *_PAGE, "continuation-token", "fetch-owner", "max-keys", "start-after"), _LISTED,
    ),
    Operation.LIST_OBJECT_VERSIONS: Rule(
        (LIST,), On.PREFIX, (*_PAGE, "key-marker", "max-keys", "version-id-marker"), _LISTED,
    ),
    Operation.LIST_MULTIPART_UPLOADS: Rule(
        (LIST,), On.PREFIX, (*_PAGE, "key-marker", "max-uploads", "upload-id-marker"), _ALL,
    ),
    # Buckets. What is not here needs ADMIN on the bucket, and is not offered.
    Operation.HEAD_BUCKET: Rule((), On.ANY_OF_BUCKET, (), _ALL),
    Operation.GET_BUCKET_LOCATION: Rule((), On.ANY_OF_BUCKET, (), _ALL),
    Operation.GET_BUCKET_VERSIONING: Rule((), On.ANY_OF_BUCKET, (), _ALL),
    Operation.GET_BUCKET_ENCRYPTION: Rule((), On.ANY_OF_BUCKET, (), _ALL),
    Operation.GET_OBJECT_LOCK_CONFIGURATION: Rule((), On.ANY_OF_BUCKET, (), _ALL),
    Operation.CREATE_BUCKET: Rule(
        (ADMIN,), On.BUCKET, (),
        (*_DOCUMENT, ACL, *_GRANTS, "x-amz-bucket-object-lock-enabled", "x-amz-object-ownership"),
    ),
    Operation.PUT_BUCKET_ACL: Rule((ADMIN,), On.BUCKET, (), (*_DOCUMENT, ACL, *_GRANTS)),
    Operation.PUT_BUCKET_LIFECYCLE_CONFIGURATION: Rule(
        (ADMIN,), On.BUCKET, (), (*_DOCUMENT, "x-amz-transition-default-minimum-object-size"),
    ),
    Operation.PUT_BUCKET_POLICY: Rule(
        (ADMIN,), On.BUCKET, (), (*_DOCUMENT, "x-amz-confirm-remove-self-bucket-access"),
    ),
    Operation.PUT_BUCKET_VERSIONING: Rule((ADMIN,), On.BUCKET, (), (*_DOCUMENT, "x-amz-mfa")),
    Operation.PUT_OBJECT_LOCK_CONFIGURATION: Rule(
        (ADMIN,), On.BUCKET, (), (*_DOCUMENT, "x-amz-bucket-object-lock-token"),
    ),
    **dict.fromkeys(BUCKET_SETTINGS, Rule((ADMIN,), On.BUCKET, (), _ALL)),
    **dict.fromkeys(BUCKET_DOCUMENTS, Rule((ADMIN,), On.BUCKET, (), _DOCUMENT)),
    Operation.CORS_PREFLIGHT: Rule(
        (), On.LATER, (), ("access-control-request-headers", "access-control-request-method", "origin"),
    ),
}  # fmt: skip
_NOT_OFFERED: Final = Rule((ADMIN,), On.BUCKET)


def rule_of(operation: Operation) -> Rule:
    """Return the row of an operation. One that has none is not offered, and is not told to anyone who may not ask."""
    return RULES.get(operation, _NOT_OFFERED)

"""The operations of the S3 API and how a request names them, as tables.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html and the request
syntax on the page of each operation. ``PostObject`` and ``CorsPreflight`` are no operations of that list, but requests
that S3 answers (API reference, "POST Object"; user guide, "Using cross-origin resource sharing").
"""

import enum
from typing import Final


class Operation(enum.Enum):
    """An operation; the value is its name in the S3 API."""

    __hash__ = object.__hash__  # of a member there is one; tables are asked by it several times for each request

    ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload"
    COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload"
    COPY_OBJECT = "CopyObject"
    CORS_PREFLIGHT = "CorsPreflight"
    CREATE_BUCKET = "CreateBucket"
    CREATE_BUCKET_METADATA_CONFIGURATION = "CreateBucketMetadataConfiguration"
    CREATE_BUCKET_METADATA_TABLE_CONFIGURATION = "CreateBucketMetadataTableConfiguration"
    CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload"
    CREATE_SESSION = "CreateSession"
    DELETE_BUCKET = "DeleteBucket"
    DELETE_BUCKET_ANALYTICS_CONFIGURATION = "DeleteBucketAnalyticsConfiguration"
    DELETE_BUCKET_CORS = "DeleteBucketCors"
    DELETE_BUCKET_ENCRYPTION = "DeleteBucketEncryption"
    DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = "DeleteBucketIntelligentTieringConfiguration"
    DELETE_BUCKET_INVENTORY_CONFIGURATION = "DeleteBucketInventoryConfiguration"
    DELETE_BUCKET_LIFECYCLE = "DeleteBucketLifecycle"
    DELETE_BUCKET_METADATA_CONFIGURATION = "DeleteBucketMetadataConfiguration"
    DELETE_BUCKET_METADATA_TABLE_CONFIGURATION = "DeleteBucketMetadataTableConfiguration"
    DELETE_BUCKET_METRICS_CONFIGURATION = "DeleteBucketMetricsConfiguration"
    DELETE_BUCKET_OWNERSHIP_CONTROLS = "DeleteBucketOwnershipControls"
    DELETE_BUCKET_POLICY = "DeleteBucketPolicy"
    DELETE_BUCKET_REPLICATION = "DeleteBucketReplication"
    DELETE_BUCKET_TAGGING = "DeleteBucketTagging"
    DELETE_BUCKET_WEBSITE = "DeleteBucketWebsite"
    DELETE_OBJECT = "DeleteObject"
    DELETE_OBJECT_ANNOTATION = "DeleteObjectAnnotation"
    DELETE_OBJECT_TAGGING = "DeleteObjectTagging"
    DELETE_OBJECTS = "DeleteObjects"
    DELETE_PUBLIC_ACCESS_BLOCK = "DeletePublicAccessBlock"
    GET_BUCKET_ABAC = "GetBucketAbac"
    GET_BUCKET_ACCELERATE_CONFIGURATION = "GetBucketAccelerateConfiguration"
    GET_BUCKET_ACL = "GetBucketAcl"
    GET_BUCKET_ANALYTICS_CONFIGURATION = "GetBucketAnalyticsConfiguration"
    GET_BUCKET_CORS = "GetBucketCors"
    GET_BUCKET_ENCRYPTION = "GetBucketEncryption"
    GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = "GetBucketIntelligentTieringConfiguration"
    GET_BUCKET_INVENTORY_CONFIGURATION = "GetBucketInventoryConfiguration"
    GET_BUCKET_LIFECYCLE_CONFIGURATION = "GetBucketLifecycleConfiguration"
    GET_BUCKET_LOCATION = "GetBucketLocation"
    GET_BUCKET_LOGGING = "GetBucketLogging"
    GET_BUCKET_METADATA_CONFIGURATION = "GetBucketMetadataConfiguration"
    GET_BUCKET_METADATA_TABLE_CONFIGURATION = "GetBucketMetadataTableConfiguration"
    GET_BUCKET_METRICS_CONFIGURATION = "GetBucketMetricsConfiguration"
    GET_BUCKET_NOTIFICATION_CONFIGURATION = "GetBucketNotificationConfiguration"
    GET_BUCKET_OWNERSHIP_CONTROLS = "GetBucketOwnershipControls"
    GET_BUCKET_POLICY = "GetBucketPolicy"
    GET_BUCKET_POLICY_STATUS = "GetBucketPolicyStatus"
    GET_BUCKET_REPLICATION = "GetBucketReplication"
    GET_BUCKET_REQUEST_PAYMENT = "GetBucketRequestPayment"
    GET_BUCKET_TAGGING = "GetBucketTagging"
    GET_BUCKET_VERSIONING = "GetBucketVersioning"
    GET_BUCKET_WEBSITE = "GetBucketWebsite"
    GET_OBJECT = "GetObject"
    GET_OBJECT_ACL = "GetObjectAcl"
    GET_OBJECT_ANNOTATION = "GetObjectAnnotation"
    GET_OBJECT_ATTRIBUTES = "GetObjectAttributes"
    GET_OBJECT_LEGAL_HOLD = "GetObjectLegalHold"
    GET_OBJECT_LOCK_CONFIGURATION = "GetObjectLockConfiguration"
    GET_OBJECT_RETENTION = "GetObjectRetention"
    GET_OBJECT_TAGGING = "GetObjectTagging"
    GET_OBJECT_TORRENT = "GetObjectTorrent"
    GET_PUBLIC_ACCESS_BLOCK = "GetPublicAccessBlock"
    HEAD_BUCKET = "HeadBucket"
    HEAD_OBJECT = "HeadObject"
    LIST_BUCKET_ANALYTICS_CONFIGURATIONS = "ListBucketAnalyticsConfigurations"
    LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS = "ListBucketIntelligentTieringConfigurations"
    LIST_BUCKET_INVENTORY_CONFIGURATIONS = "ListBucketInventoryConfigurations"
    LIST_BUCKET_METRICS_CONFIGURATIONS = "ListBucketMetricsConfigurations"
    LIST_BUCKETS = "ListBuckets"
    LIST_MULTIPART_UPLOADS = "ListMultipartUploads"
    LIST_OBJECT_ANNOTATIONS = "ListObjectAnnotations"
    LIST_OBJECT_VERSIONS = "ListObjectVersions"
    LIST_OBJECTS = "ListObjects"
    LIST_OBJECTS_V2 = "ListObjectsV2"
    LIST_PARTS = "ListParts"
    POST_OBJECT = "PostObject"
    PUT_BUCKET_ABAC = "PutBucketAbac"
    PUT_BUCKET_ACCELERATE_CONFIGURATION = "PutBucketAccelerateConfiguration"
    PUT_BUCKET_ACL = "PutBucketAcl"
    PUT_BUCKET_ANALYTICS_CONFIGURATION = "PutBucketAnalyticsConfiguration"
    PUT_BUCKET_CORS = "PutBucketCors"
    PUT_BUCKET_ENCRYPTION = "PutBucketEncryption"
    PUT_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = "PutBucketIntelligentTieringConfiguration"
    PUT_BUCKET_INVENTORY_CONFIGURATION = "PutBucketInventoryConfiguration"
    PUT_BUCKET_LIFECYCLE_CONFIGURATION = "PutBucketLifecycleConfiguration"
    PUT_BUCKET_LOGGING = "PutBucketLogging"
    PUT_BUCKET_METRICS_CONFIGURATION = "PutBucketMetricsConfiguration"
    PUT_BUCKET_NOTIFICATION_CONFIGURATION = "PutBucketNotificationConfiguration"
    PUT_BUCKET_OWNERSHIP_CONTROLS = "PutBucketOwnershipControls"
    PUT_BUCKET_POLICY = "PutBucketPolicy"
    PUT_BUCKET_REPLICATION = "PutBucketReplication"
    PUT_BUCKET_REQUEST_PAYMENT = "PutBucketRequestPayment"
    PUT_BUCKET_TAGGING = "PutBucketTagging"
    PUT_BUCKET_VERSIONING = "PutBucketVersioning"
    PUT_BUCKET_WEBSITE = "PutBucketWebsite"
    PUT_OBJECT = "PutObject"
    PUT_OBJECT_ACL = "PutObjectAcl"
    PUT_OBJECT_ANNOTATION = "PutObjectAnnotation"
    PUT_OBJECT_LEGAL_HOLD = "PutObjectLegalHold"
    PUT_OBJECT_LOCK_CONFIGURATION = "PutObjectLockConfiguration"
    PUT_OBJECT_RETENTION = "PutObjectRetention"
    PUT_OBJECT_TAGGING = "PutObjectTagging"
    PUT_PUBLIC_ACCESS_BLOCK = "PutPublicAccessBlock"
    RENAME_OBJECT = "RenameObject"
    RESTORE_OBJECT = "RestoreObject"
    SELECT_OBJECT_CONTENT = "SelectObjectContent"
    UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION = "UpdateBucketMetadataAnnotationTableConfiguration"
    UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION = "UpdateBucketMetadataInventoryTableConfiguration"
    UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION = "UpdateBucketMetadataJournalTableConfiguration"
    UPDATE_OBJECT_ENCRYPTION = "UpdateObjectEncryption"
    UPLOAD_PART = "UploadPart"
    UPLOAD_PART_COPY = "UploadPartCopy"


class Level(enum.Enum):
    """What a request is addressed to."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


Methods = dict[str, Operation]  # by HTTP method

# Without a sub-resource. ``operations`` tells ListObjectsV2, CopyObject and UploadPartCopy from these.
PLAIN: Final[dict[Level, Methods]] = {
    Level.SERVICE: {
        "GET": Operation.LIST_BUCKETS,
    },
    Level.BUCKET: {
        "GET": Operation.LIST_OBJECTS,
        "HEAD": Operation.HEAD_BUCKET,
        "PUT": Operation.CREATE_BUCKET,
        "DELETE": Operation.DELETE_BUCKET,
        "POST": Operation.POST_OBJECT,
    },
    Level.OBJECT: {
        "GET": Operation.GET_OBJECT,
        "HEAD": Operation.HEAD_OBJECT,
        "PUT": Operation.PUT_OBJECT,
        "DELETE": Operation.DELETE_OBJECT,
    },
}


def _of(name: str, *methods: str) -> Methods:
    """Return the operations of a sub-resource that are called as methods of HTTP are."""
    return {method: Operation[f"{method}_{name}"] for method in methods}


# By the query parameter that names the sub-resource.
SUBRESOURCES: Final[dict[Level, dict[str, Methods]]] = {
    Level.SERVICE: {},
    Level.BUCKET: {
        "abac": _of("BUCKET_ABAC", "GET", "PUT"),
        "accelerate": _of("BUCKET_ACCELERATE_CONFIGURATION", "GET", "PUT"),
        "acl": _of("BUCKET_ACL", "GET", "PUT"),
        "analytics": _of("BUCKET_ANALYTICS_CONFIGURATION", "GET", "PUT", "DELETE"),
        "cors": _of("BUCKET_CORS", "GET", "PUT", "DELETE"),
        "delete": {"POST": Operation.DELETE_OBJECTS},
        "encryption": _of("BUCKET_ENCRYPTION", "GET", "PUT", "DELETE"),
        "intelligent-tiering": _of("BUCKET_INTELLIGENT_TIERING_CONFIGURATION", "GET", "PUT", "DELETE"),
        "inventory": _of("BUCKET_INVENTORY_CONFIGURATION", "GET", "PUT", "DELETE"),
        "lifecycle": {
            "GET": Operation.GET_BUCKET_LIFECYCLE_CONFIGURATION,
            "PUT": Operation.PUT_BUCKET_LIFECYCLE_CONFIGURATION,
            "DELETE": Operation.DELETE_BUCKET_LIFECYCLE,
        },
        "location": {"GET": Operation.GET_BUCKET_LOCATION},
        "logging": _of("BUCKET_LOGGING", "GET", "PUT"),
        "metadataAnnotationTable": {"PUT": Operation.UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION},
        "metadataConfiguration": {
            "GET": Operation.GET_BUCKET_METADATA_CONFIGURATION,
            "POST": Operation.CREATE_BUCKET_METADATA_CONFIGURATION,
            "DELETE": Operation.DELETE_BUCKET_METADATA_CONFIGURATION,
        },
        "metadataInventoryTable": {"PUT": Operation.UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION},
        "metadataJournalTable": {"PUT": Operation.UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION},
        "metadataTable": {
            "GET": Operation.GET_BUCKET_METADATA_TABLE_CONFIGURATION,
            "POST": Operation.CREATE_BUCKET_METADATA_TABLE_CONFIGURATION,
            "DELETE": Operation.DELETE_BUCKET_METADATA_TABLE_CONFIGURATION,
        },
        "metrics": _of("BUCKET_METRICS_CONFIGURATION", "GET", "PUT", "DELETE"),
        "notification": _of("BUCKET_NOTIFICATION_CONFIGURATION", "GET", "PUT"),
        "object-lock": _of("OBJECT_LOCK_CONFIGURATION", "GET", "PUT"),
        "ownershipControls": _of("BUCKET_OWNERSHIP_CONTROLS", "GET", "PUT", "DELETE"),
        "policy": _of("BUCKET_POLICY", "GET", "PUT", "DELETE"),
        "policyStatus": {"GET": Operation.GET_BUCKET_POLICY_STATUS},
        "publicAccessBlock": _of("PUBLIC_ACCESS_BLOCK", "GET", "PUT", "DELETE"),
        "replication": _of("BUCKET_REPLICATION", "GET", "PUT", "DELETE"),
        "requestPayment": _of("BUCKET_REQUEST_PAYMENT", "GET", "PUT"),
        "session": {"GET": Operation.CREATE_SESSION},
        "tagging": _of("BUCKET_TAGGING", "GET", "PUT", "DELETE"),
        "uploads": {"GET": Operation.LIST_MULTIPART_UPLOADS},
        "versioning": _of("BUCKET_VERSIONING", "GET", "PUT"),
        "versions": {"GET": Operation.LIST_OBJECT_VERSIONS},
        "website": _of("BUCKET_WEBSITE", "GET", "PUT", "DELETE"),
    },
    Level.OBJECT: {
        "acl": _of("OBJECT_ACL", "GET", "PUT"),
        "annotation": _of("OBJECT_ANNOTATION", "GET", "PUT", "DELETE"),
        "attributes": {"GET": Operation.GET_OBJECT_ATTRIBUTES},
        "encryption": {"PUT": Operation.UPDATE_OBJECT_ENCRYPTION},
        "legal-hold": _of("OBJECT_LEGAL_HOLD", "GET", "PUT"),
        "renameObject": {"PUT": Operation.RENAME_OBJECT},
        "restore": {"POST": Operation.RESTORE_OBJECT},
        "retention": _of("OBJECT_RETENTION", "GET", "PUT"),
        "select": {"POST": Operation.SELECT_OBJECT_CONTENT},
        "tagging": _of("OBJECT_TAGGING", "GET", "PUT", "DELETE"),
        "torrent": {"GET": Operation.GET_OBJECT_TORRENT},
        "uploadId": {
            "GET": Operation.LIST_PARTS,
            "PUT": Operation.UPLOAD_PART,
            "POST": Operation.COMPLETE_MULTIPART_UPLOAD,
            "DELETE": Operation.ABORT_MULTIPART_UPLOAD,
        },
        "uploads": {"POST": Operation.CREATE_MULTIPART_UPLOAD},
    },
}

# Their GET is a listing unless this parameter names one of them.
LISTED_WITHOUT: Final[dict[str, tuple[str, Operation]]] = {
    "analytics": ("id", Operation.LIST_BUCKET_ANALYTICS_CONFIGURATIONS),
    "intelligent-tiering": ("id", Operation.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS),
    "inventory": ("id", Operation.LIST_BUCKET_INVENTORY_CONFIGURATIONS),
    "metrics": ("id", Operation.LIST_BUCKET_METRICS_CONFIGURATIONS),
    "annotation": ("annotationName", Operation.LIST_OBJECT_ANNOTATIONS),
}

# Refused by name. Annotations are payloads that nothing would seal. Websites, S3 Select and torrents would have the
# store read plaintext; sessions would hand out credentials that only the store knows; metadata tables and ABAC belong
# to AWS alone.
UNSUPPORTED: Final = frozenset(
    {
        Operation.CREATE_BUCKET_METADATA_CONFIGURATION,
        Operation.CREATE_BUCKET_METADATA_TABLE_CONFIGURATION,
        Operation.CREATE_SESSION,
        Operation.DELETE_BUCKET_METADATA_CONFIGURATION,
        Operation.DELETE_BUCKET_METADATA_TABLE_CONFIGURATION,
        Operation.DELETE_OBJECT_ANNOTATION,
        Operation.GET_BUCKET_ABAC,
        Operation.GET_BUCKET_METADATA_CONFIGURATION,
        Operation.GET_BUCKET_METADATA_TABLE_CONFIGURATION,
        Operation.GET_OBJECT_ANNOTATION,
        Operation.GET_OBJECT_TORRENT,
        Operation.LIST_OBJECT_ANNOTATIONS,
        Operation.PUT_BUCKET_ABAC,
        Operation.PUT_BUCKET_WEBSITE,
        Operation.PUT_OBJECT_ANNOTATION,
        Operation.RENAME_OBJECT,
        Operation.SELECT_OBJECT_CONTENT,
        Operation.UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION,
        Operation.UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION,
        Operation.UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION,
        Operation.UPDATE_OBJECT_ENCRYPTION,
    }
)

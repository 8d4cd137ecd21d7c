"""What the proxy's credentials must be allowed at the store: for the reference page and for authors of policies.

The names are those of the service authorization reference of Amazon S3, "Actions, resources, and condition keys".
"""

from typing import Final

NEEDS: Final = (
    (
        "the store",
        ("s3:ListAllMyBuckets",),
        "`/readyz` asks for it, and the lists of buckets that clients see are made of it",
    ),
    (
        "`system_bucket`",
        ("s3:CreateBucket",),
        "to make the bucket at the first start; not needed where you have made it",
    ),
    (
        "`system_bucket`",
        ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
        (
            "the keyring (`keyring/`), copies of small parts (`uploads/`), and the questions about what the store "
            "can do (`probe/`)"
        ),
    ),
    (
        "each bucket of a policy",
        ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetBucketLocation"),
        "reading, writing, listing and deleting",
    ),
    (
        "each bucket of a policy",
        ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads"),
        "multipart uploads; the parts are listed when an upload is completed",
    ),
    (
        "each bucket of a policy",
        ("s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging"),
        "tags, copies of objects that have tags, and `strongroom s3 seal-bucket`",
    ),
    (
        "versioned buckets",
        (
            "s3:ListBucketVersions",
            "s3:GetObjectVersion",
            "s3:DeleteObjectVersion",
            "s3:GetObjectVersionTagging",
            "s3:GetBucketVersioning",
        ),
        "requests that name versions",
    ),
    (
        "buckets on which a client has `admin`",
        ("the actions of the operations that it is to use",),
        "for example `s3:CreateBucket`, `s3:DeleteBucket`, `s3:PutLifecycleConfiguration`, `s3:PutObjectRetention`",
    ),
)

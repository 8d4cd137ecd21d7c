"""The error codes that clients are told, with status, cause and cure: one table.

Codes and statuses are those of the S3 API reference, "Error responses", "List of error codes"
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). The cure is the hint of the log line where the
place that refuses has none of its own, and is in docs/reference/errors.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_SIGNING: Final = "set the client to signature version 4 and path style, with its SDK's defaults; look at its clock"
_BUG: Final = "the client builds the request wrongly: update it, or compare with the S3 API reference"
_ADD_GRANT: Final = "add what the log's hint names to clients.toml, if the client is to have it"


@dataclass(frozen=True)
class Code:
    """One code.

    Attributes:
        name: as clients are told.
        status: HTTP status of the answer.
        cause: why it is answered.
        cure: what to do.
        by_store: only the store answers so, and it is passed on.
    """

    name: str
    status: int
    cause: str
    cure: str
    by_store: bool = False


def _of_store(status: int, *names: str) -> tuple[Code, ...]:
    cause, cure = "the store says so", "see the S3 API reference, and what the store's own documentation says"
    return tuple(Code(name, status, cause, cure, by_store=True) for name in names)


CODES: Final = (
    Code("NotModified", 304, "the object is still the one that the client's condition names",
         "nothing; the client has it"),
    Code("AuthorizationHeaderMalformed", 400,
         "the header Authorization is malformed, or names another region or service", _SIGNING),
    Code("AuthorizationQueryParametersError", 400, "a presigned URL is malformed, or good for more than a week",
         "make it anew, with X-Amz-Expires of at most 604800"),
    Code("BadDigest", 400, "the body does not have the MD5 or checksum that was sent with it",
         "send it again; if it comes back, something between client and proxy changes bodies"),
    Code("EntityTooLarge", 400, "the body is larger than an object, a part or the form's policy allows",
         "upload it in parts, of 5 GiB at most"),
    Code("EntityTooSmall", 400,
         "a part other than the last has less than 5 MiB, or a form's file less than its policy asks for",
         "set the client's part size to 5 MiB or more"),
    Code("IncompleteBody", 400, "the body ended before its announced length",
         "send it again; look for timeouts between client and proxy"),
    Code("InvalidArgument", 400, "a parameter or header has a value that it cannot have; the answer names it", _BUG),
    Code("InvalidBucketName", 400, "the bucket's name breaks the rules of S3, is missing, or is `minio` or `rustfs`",
         "use 3 to 63 lower-case letters, digits, dots and dashes; for host-style requests set domains"),
    Code("InvalidChunkSizeError", 400, "a chunk of a streamed body is smaller than 8 KiB and not the last", _BUG),
    Code("InvalidDigest", 400, "Content-MD5 is not the base64 of 16 bytes", _BUG),
    Code("InvalidPart", 400, "a part that is to be put together is not there, or has another ETag",
         "upload the part again; a small part whose copy in system_bucket is gone counts as not uploaded"),
    Code("InvalidPartOrder", 400, "the list of parts is not in ascending order", _BUG),
    Code("InvalidPolicyDocument", 400,
         "the policy of a form is malformed, has ended, or does not allow the form's fields",
         "make the form's policy anew, with a condition for each of its fields"),
    Code("InvalidRequest", 400,
         "the request contradicts itself, or asks for what cannot be had together; the message says what", _BUG),
    Code("InvalidTag", 400, "two tags have the same key", "name each key once"),
    Code("InvalidToken", 400, "the request has a session token, and the proxy issues none",
         "give the client an access key of clients.toml, without AWS_SESSION_TOKEN"),
    Code("InvalidURI", 400, "the path is not percent-encoded UTF-8", _BUG),
    Code("KMS.DisabledException", 400,
         "the transit key may not be used: the version was retired, or OpenBao's policy forbids it",
         "lower min_decryption_version and run rewrap, or allow it in OpenBao's policy; delete nothing"),
    Code("KMS.KMSInvalidStateException", 400, "the keyring and the transit key do not belong together",
         "restore the transit key or the keyring from a backup, as the log's hint says; make no new key"),
    Code("KMS.NotFoundException", 400, "the key of an object, its record in the keyring, or its policy is not there",
         "restore it, as the log's hint says; make no new key, and delete nothing"),
    Code("KeyTooLongError", 400, "the key has more than 1,024 bytes", "use a shorter key"),
    Code("MalformedPOSTRequest", 400,
         "a form is not well-formed multipart/form-data, or has fields behind a large file",
         "put the file last, as S3 asks for"),
    Code("MalformedTrailerError", 400, "the trailer of a streamed body is malformed", _BUG),
    Code("MalformedXML", 400, "the document in the body is not what the operation asks for", _BUG),
    Code("MaxMessageLengthExceeded", 400, "a document in the body is larger than 4 MiB",
         "split it: 1,000 keys for each DeleteObjects, 10,000 parts for each upload"),
    Code("MaxPostPreDataLengthExceededError", 400, "the fields of a form before its file are larger than 20 KB",
         "send fewer or shorter fields"),
    Code("MetadataTooLarge", 400, "user metadata has more than 1,532 bytes: the rest of S3's 2,048 is the proxy's",
         "keep metadata short, or in an object of its own"),
    Code("MissingSecurityHeader", 400, "a signed request lacks x-amz-content-sha256", _SIGNING),
    Code("RequestTimeout", 400,
         "the client sent its body more slowly than body_least_bytes_s, or nothing for body_idle_timeout_s",
         "send it again; look at the network, or lower body_least_bytes_s"),
    Code("UserKeyMustBeSpecified", 400, "a form has no field `key`", "add it before the file"),
    Code("XAmzContentSHA256Mismatch", 400, "the body does not have the SHA-256 that was signed",
         "send it again; if it comes back, something between client and proxy changes bodies"),
    Code("AccessDenied", 403,
         "no grant gives the client this, no policy covers the name, a signed URL has ended, or the store refuses "
         "the proxy", _ADD_GRANT),
    Code("InvalidAccessKeyId", 403, "there is no such access key id in clients.toml",
         "correct the client's access key id, or add a [[credential]] for it"),
    Code("RequestTimeTooSkewed", 403, "the client's clock differs by more than 15 minutes",
         "set the clock of the client, or of the proxy"),
    Code("SignatureDoesNotMatch", 403,
         "the secret key is another one, or something between client and proxy changes path or headers",
         "compare the secret keys; let what is in front of the proxy keep Host, path and query as they are"),
    Code("NoSuchBucket", 404, "the store has no such bucket",
         "make it through the proxy with the right admin, or at the store"),
    Code(

        "NoSuchKey", 404, "there is no such object", "check the key, and the prefix that the client puts in front of it"
    ),
    Code("NoSuchTagSet", 404, "the object has no tags", "nothing"),
    Code("NoSuchUpload", 404, "there is no such unfinished upload: it was completed, aborted or expired",
         "begin it again"),
    Code("MethodNotAllowed", 405, "the resource has no such method", _BUG),
    Code("OperationAborted", 409, "the object was changed by somebody else meanwhile", "do it again"),
    Code("MissingContentLength", 411, "a body is sent without its length",
         "send Content-Length, or x-amz-decoded-content-length with a streamed one"),
    Code("PreconditionFailed", 412, "the object is not the one that the client's condition names",
         "read it anew; after an upgrade from md5 ETags that is expected once"),
    Code("InvalidPartNumber", 416, "the object has no such part", "ask for a part that there is"),
    Code("InvalidRange", 416, "the object ends before the range begins", "ask for its length first"),
    Code("InternalError", 500,
         "a stored object is damaged, the store does not accept the proxy's credentials, or the proxy has a mistake",
         "look up the request id in the log: object_refused, or request_failed with a hint"),
    Code("NotImplemented", 501,
         "the proxy does not offer it, or the store cannot do what it needs; the message names it",
         "see docs/s3proxy-differences.md; with another store it may work"),
    Code("BadGateway", 502, "the store or OpenBao answers what cannot be used, or cannot be reached",
         "look up the request id in the log; check what is between the proxy and them"),
    Code("ServiceUnavailable", 503, "OpenBao cannot be reached, or a question to the store is still open",
         "bring OpenBao or the store back; clients try again by themselves"),
    Code("SlowDown", 503,
         "there is no place for the request, the store is busy, or the object was replaced while it was read",
         "clients try again by themselves; if it lasts, see shed_total and store_seconds in the metrics"),
    *_of_store(307, "TemporaryRedirect"),
    *_of_store(
        400, "ExpiredToken", "InvalidStorageClass", "MalformedACLError", "MalformedPolicy", "MissingRequestBodyError",
        "TooManyBuckets", "XAmzContentChecksumMismatch",
    ),
    *_of_store(403, "InvalidObjectState", "RequestExpired"),
    *_of_store(
        404, "NoSuchBucketPolicy", "NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration", "NoSuchVersion",
        "NoSuchWebsiteConfiguration", "ObjectLockConfigurationNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    *_of_store(
        409, "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "BucketNotEmpty", "ConditionalRequestConflict",
        "InvalidBucketState",
    ),
    *_of_store(413, "RequestEntityTooLarge"),
)  # fmt: skip
BY_NAME: Final[Mapping[str, Code]] = MappingProxyType({code.name: code for code in CODES})

"""What the proxy refuses, in the words of S3: one table from code to status, and the XML document.

Codes and statuses are those of the S3 API reference, "Error responses", "List of error codes"
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). A code that is not in the table is a mistake of
ours and answers 500.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from s3proxy.front.xml_write import node, to_xml
from strongroom.errors import StrongroomError

_CODES_BY_STATUS: Final = {
    304: ("NotModified",),
    307: ("TemporaryRedirect",),
    400: (
        "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "BadDigest", "EntityTooLarge",
        "EntityTooSmall", "ExpiredToken", "IncompleteBody", "InvalidArgument", "InvalidBucketName",
        "InvalidChunkSizeError", "InvalidDigest", "InvalidPart", "InvalidPartOrder", "InvalidPolicyDocument",
        "InvalidRequest", "InvalidStorageClass", "InvalidTag", "InvalidToken", "InvalidURI",
        "KMS.DisabledException", "KMS.KMSInvalidStateException", "KMS.NotFoundException", "KeyTooLongError",
        "MalformedACLError", "MalformedPOSTRequest", "MalformedPolicy", "MalformedTrailerError", "MalformedXML",
        "MaxMessageLengthExceeded", "MaxPostPreDataLengthExceededError", "MetadataTooLarge",
        "MissingRequestBodyError", "MissingSecurityHeader", "RequestTimeout", "TooManyBuckets",
        "UserKeyMustBeSpecified",
        "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch",
    ),
    403: (
        "AccessDenied", "InvalidAccessKeyId", "InvalidObjectState", "RequestExpired", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    ),
    404: (
        "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchCORSConfiguration", "NoSuchKey", "NoSuchLifecycleConfiguration",
        "NoSuchTagSet", "NoSuchUpload", "NoSuchVersion", "NoSuchWebsiteConfiguration",
        "ObjectLockConfigurationNotFoundError", "ServerSideEncryptionConfigurationNotFoundError",
    ),
    405: ("MethodNotAllowed",),
    409: (
        "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "BucketNotEmpty", "ConditionalRequestConflict",
        "InvalidBucketState", "OperationAborted",
    ),
    411: ("MissingContentLength",),
    412: ("PreconditionFailed",),
    413: ("RequestEntityTooLarge",),
    416: ("InvalidPartNumber", "InvalidRange"),
    500: ("InternalError",),
    501: ("NotImplemented",),
    502: ("BadGateway",),
    503: ("ServiceUnavailable", "SlowDown"),
}  # fmt: skip
STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {code: status for status, codes in _CODES_BY_STATUS.items() for code in codes}
)


class S3Error(StrongroomError):
    """A refusal that the client is told by an S3 error code.

    Attributes:
        code: of the S3 error list.
        status: HTTP status of the answer.
        details: further elements of the document, for example ``{"ArgumentName": "uploadId"}``.
        retry_after_s: seconds for Retry-After, or None.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        hint: str = "",
    ) -> None:
        """Take the fields; ``message`` is shown to the client and may hold no secret."""
        super().__init__(message, hint=hint)
        self.code = code
        self.status = STATUS.get(code, 500)
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s
        self.headers: dict[str, str] = {}


def error_document(error: S3Error, *, resource: str, request_id: str, host_id: str = "") -> bytes:
    """Return the XML body of an error (S3 API reference, "REST error responses").

    Args:
        error: what is refused.
        resource: path of the request, as the client wrote it.
        request_id: the value of ``x-amz-request-id``.
        host_id: the value of ``x-amz-id-2``.
    """
    return to_xml(
        node(
            "Error",
            node("Code", error.code),
            node("Message", error.message),
            *(node(name, value) for name, value in error.details.items()),
            node("Resource", resource),
            node("RequestId", request_id),
            node("HostId", host_id),
        ),
        namespace="",
    )

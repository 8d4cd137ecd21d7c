"""What the proxy refuses, in the words of S3: an error with its code, and the XML document.

``codes`` has the table. A code of ours that is not in it would be a mistake, and answers 500; a store may have others.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from s3proxy.s3api.codes import BY_NAME, CODES
from s3proxy.s3api.xml_write import node, to_xml
from strongroom.errors import StrongroomError

_MAX_TOLD_CHARACTERS: Final = 2048  # of each text; no name that S3 has is longer, nor what a store says
STATUS: Final[Mapping[str, int]] = MappingProxyType({code.name: code.status for code in CODES})


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
        """Take the fields; ``message`` is shown to the client and may hold no secret, ``hint`` is for the log."""
        super().__init__(message, hint=hint or _cure_of(code))
        self.code = code
        self.status = STATUS.get(code, 500)
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s
        self.headers: dict[str, str] = {}


def _cure_of(code: str) -> str:
    known = BY_NAME.get(code)
    return known.cure if known else f"the store answers {code}: see its documentation"


def error_document(error: S3Error, *, resource: str, request_id: str, host_id: str = "") -> bytes:
    """Return the XML body of an error (S3 API reference, "REST error responses").

    Texts are cut: some quote what a stranger has sent, and a stranger may leave the answer untaken.

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
            node("Message", error.message[:_MAX_TOLD_CHARACTERS]),
            *(node(name, value[:_MAX_TOLD_CHARACTERS]) for name, value in error.details.items()),
            node("Resource", resource),
            node("RequestId", request_id),
            node("HostId", host_id),
        ),
        namespace="",
    )

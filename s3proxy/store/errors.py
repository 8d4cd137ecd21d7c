"""What the store refuses, told to the client as the proxy's own refusal: code and words of the store, our id."""

import re
from html import unescape
from http import HTTPStatus

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import cross_origin_headers
from s3proxy.s3api.xml_read import Element
from s3proxy.store.answers import parse_answer
from s3proxy.store.client import MakeRoom, read_all
from s3proxy.store.connection import StoreAnswer

_PLAIN_TO_TLS = b"Client sent an HTTP request to an HTTPS server"  # Go's net/http
_CODE = re.compile(rb"<Code>([A-Za-z0-9._-]{1,100})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{0,1000})</Message>")
_MAX_BYTES = 1 << 16  # of what is no list
_BY_STATUS = {
    304: "NotModified", 400: "InvalidRequest", 403: "AccessDenied", 404: "NoSuchKey", 405: "MethodNotAllowed",
    409: "OperationAborted", 412: "PreconditionFailed", 416: "InvalidRange", 501: "NotImplemented", 503: "SlowDown",
}  # fmt: skip
_WORDS = {  # for answers to HEAD, which have no body
    "NoSuchKey": "The specified key does not exist.",
    "NoSuchBucket": "The specified bucket does not exist",
    "PreconditionFailed": "At least one of the pre-conditions you specified did not hold",
}
# Ours to answer for: the client's own credentials were fine.
_OURS = {
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "RequestTimeTooSkewed",
    "ExpiredToken",
    "InvalidToken",
    "AuthorizationHeaderMalformed",
}


class UnacceptedError(S3Error):
    """The store takes the proxy for no client of its own, whatever is asked for."""

    def __init__(self, hint: str) -> None:
        """Take what is to be done about it."""
        super().__init__("InternalError", "The store does not accept the proxy.", hint=hint)


async def store_error(response: StoreAnswer, *, bucket_asked: bool = False) -> S3Error:
    """Return the refusal that an answer of the store stands for.

    Args:
        response: with a status that is not the expected one.
        bucket_asked: whether a bucket was asked for, for an answer without a body.
    """
    body = await read_all(response, _MAX_BYTES) if response.method != "HEAD" else b""
    error = error_in(body, response.status, bucket_asked=bucket_asked)
    error.headers = cross_origin_headers(response.headers)
    return error


async def document_in(
    response: StoreAnswer, root: str, *, most_bytes: int = _MAX_BYTES, make_room: MakeRoom | None = None
) -> Element:
    """Return the document that the store answers with.

    Args:
        response: whose.
        root: of the document; see ``parse_answer``.
        most_bytes: this long it may be.
        make_room: as of ``read_all``.

    Raises:
        StrongroomError: it refuses, perhaps after it has begun to answer with 200; or it answers another document.
    """
    if response.status != HTTPStatus.OK:
        raise await store_error(response)
    raw = await read_all(response, most_bytes, make_room=make_room)
    if b"<Error>" in raw:  # S3 begins to answer before it knows
        raise error_in(raw, response.status)
    return parse_answer(raw, root)


async def reread_error(response: StoreAnswer) -> S3Error:
    """Return the refusal that an answer to a read of an object that was looked at before stands for.

    Such a read names the ETag that was seen. The client did not: where another object stands by now it may come again.

    Args:
        response: with a status that is not the expected one.
    """
    error = await store_error(response)
    if error.code != "PreconditionFailed":
        return error
    return S3Error("SlowDown", "The object was replaced while it was read. Please try again.", retry_after_s=1.0)


def error_in(body: bytes, status: int, *, bucket_asked: bool = False) -> S3Error:
    """Return the refusal that the body of an answer tells.

    Args:
        body: an error document, or anything.
        status: of the answer; some errors come with 200, after the store had begun to answer.
        bucket_asked: whether a bucket was asked for.
    """
    if body.startswith(_PLAIN_TO_TLS):
        hint = (
            "the store's port speaks TLS and store_address is http: let it begin with https://, and set store_ca_file"
        )
        return UnacceptedError(hint)
    code, message = _CODE.search(body), _MESSAGE.search(body)
    fallback = _BY_STATUS.get(status, "InternalError")
    if bucket_asked and status == HTTPStatus.NOT_FOUND:
        fallback = "NoSuchBucket"
    name = code[1].decode() if code else fallback
    if name in _OURS:
        hint = f"the store answers {name}: check store_credentials, store_region and the clock"
        return UnacceptedError(hint)
    text = unescape(message[1].decode("utf-8", "replace")) if message else _WORDS.get(name, "The store refuses it.")
    hint = f"the store answers {status}" if message is None and not code else ""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        hint = f"the store answers {status} {name}; see its log"
    if name == "AccessDenied":  # S3 tells whom it has refused: us, by account and role, which is not for clients
        hint, text = f"the store refuses the proxy: {text}", "Access Denied"
    error = S3Error(name, text, hint=hint)
    inside_of_200 = status < HTTPStatus.MULTIPLE_CHOICES
    error.status = HTTPStatus.INTERNAL_SERVER_ERROR if inside_of_200 else status
    return error

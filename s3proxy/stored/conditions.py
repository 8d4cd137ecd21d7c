"""Conditional requests, decided by the proxy: only it knows the ETag that the client knows. Pure.

RFC 9110, section 13.2.2 gives the order; S3 compares strongly where it says so.
"""

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.scope import http_date


def require_conditions(head: RequestHead, *, etag: str, last_modified: str, prefix: str = "") -> None:
    """Return if the conditions of a GET or HEAD hold.

    Args:
        head: of the request.
        etag: with quotes.
        last_modified: as the store says it.
        prefix: ``x-amz-copy-source-`` for those of a copy.

    Raises:
        S3Error: PreconditionFailed, or NotModified.
    """
    if head.has(prefix + "if-match"):
        if not _names(head.header(prefix + "if-match"), etag):
            _failed("If-Match")
    elif head.has(prefix + "if-unmodified-since") and _after(
        last_modified, head.header(prefix + "if-unmodified-since")
    ):
        _failed("If-Unmodified-Since")
    if head.has(prefix + "if-none-match"):
        unchanged = _names(head.header(prefix + "if-none-match"), etag)
    else:
        since = head.header(prefix + "if-modified-since")
        unchanged = http_date(since) is not None and not _after(last_modified, since)
    if unchanged:
        if prefix:
            _failed("x-amz-copy-source-If-None-Match")
        code, msg = "NotModified", "Not Modified"
        error = S3Error(code, msg)
        error.headers = {"ETag": etag, "Last-Modified": last_modified}  # RFC 9110, section 15.4.5
        raise error


def require_match(value: str, etag: str) -> None:
    """Return if If-Match names the ETag that clients know an object by.

    Raises:
        S3Error: PreconditionFailed.
    """
    if not _names(value, etag):
        _failed("If-Match")


def range_applies(head: RequestHead, *, etag: str, last_modified: str) -> bool:
    """Say whether If-Range lets the range stand (RFC 9110, section 13.1.5)."""
    condition = head.header("if-range").strip()
    return not condition or condition in {etag, etag.strip('"'), last_modified}


def _names(value: str, etag: str) -> bool:
    candidates = [item.strip().removeprefix("W/") for item in value.split(",")]
    return "*" in candidates or etag in candidates or etag.strip('"') in candidates


def _after(date: str, other: str) -> bool:
    """Return whether a date is after another; a malformed one counts for nothing."""
    one, two = http_date(date), http_date(other)
    return one is not None and two is not None and one > two


def _failed(condition: str) -> None:
    code, msg = "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
    raise S3Error(code, msg, details={"Condition": condition})

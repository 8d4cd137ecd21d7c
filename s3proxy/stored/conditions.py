"""Conditional requests: only the proxy knows the ETag that the client knows.

Those of reads are decided here. RFC 9110, section 13.2.2 gives the order; S3 compares strongly where it says so.

Those of what changes an object become conditions of the store, which decides them together with the change: a client's
If-Match becomes the store's own ETag of the object that has the client's. So nothing can come in between: if the object
is replaced after it was looked at, the store refuses.
"""

from s3proxy.keys.policies import Policy
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.scope import http_date
from s3proxy.stored.open import ObjectFinder
from s3proxy.stored.read import Name, Read


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
    """Return whether If-Range lets the range stand (RFC 9110, section 13.1.5)."""
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


async def conditions_of_write(head: RequestHead, name: Name, policy: Policy, finder: ObjectFinder) -> dict[str, str]:
    """Return the conditions to send to the store.

    Args:
        head: of the client's request.
        name: of the object that is written, or deleted.
        policy: that the name is under.
        finder: finds out what stands there now.

    Raises:
        S3Error: PreconditionFailed; NoSuchKey when there is nothing to match; NotImplemented for an If-None-Match that
            S3 does not know either.
    """
    conditions = {}
    if head.has("if-none-match"):
        if head.header("if-none-match").strip() != "*":
            raise S3Error("NotImplemented", "If-None-Match of a write that is not * is not implemented.")
        conditions["if-none-match"] = "*"
    if head.has("if-match"):
        conditions["if-match"] = await matching_store_etag(head.header("if-match"), name, policy, finder)
    return conditions


async def matching_store_etag(value: str, name: Name, policy: Policy, finder: ObjectFinder) -> str:
    """Return the If-Match for the store that an If-Match of a client stands for.

    Raises:
        S3Error: PreconditionFailed, or NoSuchKey when there is nothing to match.
    """
    if value.strip() == "*":
        return "*"
    found = await finder.look(Read(name, policy))
    require_match(value, await found.etag())
    return f'"{found.store_etag}"'

"""Conditions of what changes an object: turned into those of the store, which decides them together with the change.

A client knows other ETags than the store. Its If-Match becomes the store's own ETag of the object that has the
client's, so nothing can come in between: if the object is replaced after it was looked at, the store refuses.
"""

from s3proxy.keys.policies import Policy
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.stored.conditions import require_match
from s3proxy.stored.open import Name, ObjectFinder


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
            code, msg = "NotImplemented", "If-None-Match of a write that is not * is not implemented."
            raise S3Error(code, msg)
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
    found = await finder.look(name, policy)
    require_match(value, await finder.etag(name, found, policy))
    return f'"{found.store_etag}"'

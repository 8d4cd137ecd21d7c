"""Whether a principal may make a call: by the table of ``rules``. Default deny.

DeleteObjects and forms name their keys in the body and ListBuckets shows what is visible: there the app asks the
principal itself, key by key. A copy needs READ on its source, too.
"""

from s3proxy.s3api.credentials import Principal, Right
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.operations import Call
from s3proxy.s3api.rules import OVERRIDES, On, rule_of
from s3proxy.s3api.sent import require_set


def require_access(principal: Principal, call: Call) -> None:
    """Return if a principal may make a call.

    Args:
        principal: who asks.
        call: what for, read from the request as verified.

    Raises:
        S3Error: AccessDenied; InvalidRequest for what needs a signature whatever was granted.
    """
    rule = rule_of(call.operation)
    match rule.on:
        case On.KEY:
            principal.require_any(rule.rights, call.bucket, call.key)
        case On.PREFIX:
            principal.require_any(rule.rights, call.bucket, call.query.get("prefix"))
        case On.BUCKET:
            principal.require_any(rule.rights, call.bucket, "")
        case On.ANY_OF_BUCKET:
            principal.require_bucket(call.bucket)
            if rule.rights:  # which the keys in its body need; a stranger can be given none of them
                principal.require_known()
        case On.SIGNED:
            principal.require_known()
        case On.LATER:
            pass
    if call.copy_source is not None:
        principal.require(Right.READ, call.copy_source.bucket, call.copy_source.key)
    require_set(principal, call.bucket, call.key, call.headers)
    if principal.is_anonymous and any(name in call.query for name in OVERRIDES):
        # A link could make a script of what was stored as a string (S3 API reference, GetObject).
        raise S3Error("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")


def require_visible(bucket: str, *, hidden_bucket: str) -> None:
    """Return unless a bucket is the proxy's own. To be asked of those only who may do what they ask for elsewhere.

    Raises:
        S3Error: AccessDenied.
    """
    if bucket == hidden_bucket:
        raise S3Error("AccessDenied", "Access Denied", hint="the proxy's own bucket is not for clients")

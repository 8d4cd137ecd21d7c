"""Verifying uploads by HTML form: the policy document, its signature and its conditions. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html

Conditions are held against what will be stored: ``${filename}`` is put in before they are read.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

from s3proxy.s3api.canonical import ALGORITHM
from s3proxy.s3api.credentials import Credentials, Principal
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.names import require_key_size
from s3proxy.s3api.scope import parse_credential, parse_signature, parse_timestamp, require_same_day
from s3proxy.s3api.signature import refuse_signature
from s3proxy.s3api.signing_keys import SigningKeys, sign

MAX_POLICY_CHARACTERS: Final = 65_536
MAX_OBJECT_BYTES: Final = 5 * 1024**3  # S3 API reference, "POST Object"
_INVALID: Final = "InvalidArgument"
_FREE: Final = frozenset({"file", "policy", "x-amz-signature"})  # need no condition; nor do x-ignore-*
_PLACEHOLDER: Final = "${filename}"


@dataclass(frozen=True)
class PostUpload:
    """A form that may be stored.

    Attributes:
        principal: who signed the policy.
        key: of the object.
        min_bytes: least size of the file.
        max_bytes: greatest size of the file.
        fields: of the form, names in lower case, with ``${filename}`` put in.
    """

    principal: Principal
    key: str
    min_bytes: int
    max_bytes: int
    fields: Mapping[str, str]

    def require_size(self, size: int) -> None:
        """Return if the file has an allowed size; ask before it is committed.

        Raises:
            S3Error: EntityTooSmall or EntityTooLarge.
        """
        if size < self.min_bytes:
            code, msg = "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"
            raise S3Error(code, msg, details={"ProposedSize": str(size), "MinSizeAllowed": str(self.min_bytes)})
        if size > self.max_bytes:
            code, msg = "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
            raise S3Error(code, msg, details={"ProposedSize": str(size), "MaxSizeAllowed": str(self.max_bytes)})


def verify_post(  # noqa: PLR0913 - a form has these parts
    fields: Iterable[tuple[str, str]],
    *,
    bucket: str,
    filename: str,
    credentials: Credentials,
    keys: SigningKeys,
    now: datetime,
) -> PostUpload:
    """Return what a form uploads; the caller still asks the principal for WRITE on the key.

    Args:
        fields: (name, value) of all fields before ``file``.
        bucket: that the form was posted to.
        filename: as the browser tells it.
        credentials: of the clients.
        keys: derived signing keys.
        now: our time, with a time zone.

    Raises:
        S3Error: the form, its policy or its signature is malformed, wrong or expired, or a condition does not hold.
    """
    form = _form(fields, filename)
    key = form.get("key", "")
    if not key:
        raise S3Error("UserKeyMustBeSpecified", "The bucket POST must contain the specified field name 'key'.")
    if "policy" not in form:
        if any(name.startswith("x-amz-") and name in _SIGNING for name in form) or "awsaccesskeyid" in form:
            _argument("Bucket POST must contain a field named 'policy'.", "policy")
        return PostUpload(credentials.anonymous, key, 0, MAX_OBJECT_BYTES, form)
    principal = _verify_signature(form, credentials, keys)
    policy = _parse_policy(form["policy"])
    if now >= _expiration(policy):
        _denied("Invalid according to Policy: Policy expired.")
    return _hold(policy, form | {"bucket": bucket}, PostUpload(principal, key, 0, MAX_OBJECT_BYTES, form))


_SIGNING: Final = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")


def _form(fields: Iterable[tuple[str, str]], filename: str) -> dict[str, str]:
    base = filename.replace("\\", "/").rpartition("/")[2]
    form: dict[str, str] = {}
    for name, value in fields:
        if name.lower() in form:
            _argument("POST requires exactly one of each field.", name)
        form[name.lower()] = value
    if "key" in form:
        form["key"] = _named(form["key"], base)
    return form


def _named(key: str, base: str) -> str:
    """Put the name of a file into a key. Counted first: of 80 KB from nobody knows whom it makes 150 MB."""
    require_key_size(len(key) + key.count(_PLACEHOLDER) * (len(base) - len(_PLACEHOLDER)))
    return key.replace(_PLACEHOLDER, base)


def _verify_signature(form: Mapping[str, str], credentials: Credentials, keys: SigningKeys) -> Principal:
    for name in _SIGNING:
        if name not in form:
            _argument(f"Bucket POST must contain a field named '{name}'.", name)
    if form["x-amz-algorithm"] != ALGORITHM:
        _argument(f"X-Amz-Algorithm only supports {ALGORITHM}", "x-amz-algorithm")
    if "x-amz-security-token" in form:
        raise S3Error("InvalidToken", "The provided token is malformed or otherwise not valid; none are issued here.")
    access_key_id, scope = parse_credential(form["x-amz-credential"], code=_INVALID)
    parse_timestamp(form["x-amz-date"], code=_INVALID)
    require_same_day(form["x-amz-date"], scope, code=_INVALID)
    claimed = parse_signature(form["x-amz-signature"], code=_INVALID)
    credential = credentials.require(access_key_id)
    expected = sign(keys.key_for(credential, scope), form["policy"].encode("utf-8", "surrogateescape"))
    if not hmac.compare_digest(expected, claimed):
        refuse_signature(credential)
    return credential.principal


def _parse_policy(text: str) -> dict[str, object]:
    try:
        if len(text) > MAX_POLICY_CHARACTERS:
            _malformed("too long")
        document = json.loads(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        _malformed("not JSON in base64")
    if not isinstance(document, dict):
        _malformed("not an object")
    return document


def _expiration(policy: Mapping[str, object]) -> datetime:
    text = policy.get("expiration")
    try:
        moment = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        _malformed("Policy missing expiration or it is malformed")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _hold(policy: Mapping[str, object], form: Mapping[str, str], upload: PostUpload) -> PostUpload:
    """Hold all conditions against a form."""
    conditions = policy.get("conditions")
    if not isinstance(conditions, list):
        _malformed("Policy missing conditions")
    covered = set(_FREE) | {"bucket"}
    low, high = upload.min_bytes, upload.max_bytes
    for condition in conditions:
        match condition:
            case dict() if all(isinstance(value, str) for value in condition.values()):
                for name, value in condition.items():
                    covered.add(name.lower())
                    _require(form.get(name.lower()) == value, condition)
            case [str(verb), int(least), int(most)] if verb.lower() == "content-length-range":
                low, high = max(low, least), min(high, most)
            case [str(verb), str(field), str(value)] if field.startswith("$"):
                name = field[1:].lower()
                covered.add(name)
                if verb.lower() == "eq":
                    _require(form.get(name) == value, condition)
                elif verb.lower() == "starts-with":
                    _require(name in form and form[name].startswith(value), condition)
                else:
                    _malformed(f"unknown condition {verb[:32]}")
            case _:
                _malformed("a condition is malformed")
    extra = sorted(name for name in form if name not in covered and not name.startswith("x-ignore-"))
    if extra:
        _denied(f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")
    return PostUpload(upload.principal, upload.key, low, high, upload.fields)


def _require(holds: bool, condition: object) -> None:  # noqa: FBT001 - what is asserted
    if not holds:
        _denied(f"Invalid according to Policy: Policy Condition failed: {json.dumps(condition)[:500]}")


def _denied(message: str) -> NoReturn:
    code = "AccessDenied"
    raise S3Error(code, message)


def _malformed(what: str) -> NoReturn:
    code = "InvalidPolicyDocument"
    raise S3Error(code, f"The content of the form does not meet the conditions specified in the policy: {what}.")


def _argument(message: str, name: str) -> NoReturn:
    raise S3Error(_INVALID, message, details={"ArgumentName": name, "ArgumentValue": ""})

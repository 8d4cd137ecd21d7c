"""What a refused request says that it asks for, and who it says it is from: for logs and metrics. Pure.

Nothing is decided by this, and nothing of it was verified: a request is decided by a ``Call``. Signatures are not
looked at, so none is told.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from s3proxy.s3api.canonical import ALGORITHM, decode_text, split_query
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.names import CopySource, parse_copy_source
from s3proxy.s3api.operation_table import Level, Operation
from s3proxy.s3api.operations import Query, address_of, decode_query, operation_of
from s3proxy.s3api.scope import parse_credential
from s3proxy.s3api.sent import COPIES

MAX_CLAIMED_CHARACTERS: Final = 128  # AWS: an access key id has 16 to 128
_NOTHING: Final = Query(())


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request seems to ask for, as far as it can be told; the attributes of a ``Call``.

    Attributes:
        operation: which, or None.
        bucket: its name, or "".
        key: of the object, or "".
        query: the parameters.
        copy_source: of a copy, or None.
    """

    operation: Operation | None
    bucket: str
    key: str
    query: Query
    copy_source: CopySource | None


@dataclass(frozen=True, slots=True)
class Claim:
    """How a request is signed.

    Attributes:
        access_key_id: that it names, or "".
        kind: "AuthHeader" or "QueryString", as server access logs of S3 have it, "PostForm", or "".
        version: "SigV4" or "SigV2", or "".
    """

    access_key_id: str = ""
    kind: str = ""
    version: str = ""


UNSIGNED: Final = Claim()
_SIGNED: Final = Claim("", "AuthHeader", "SigV4")  # of nearly all requests


def asked_of(head: RequestHead, *, domains: tuple[str, ...] = ()) -> Asked:
    """Return what a request seems to ask for.

    Args:
        head: the request.
        domains: as of ``classify``.
    """
    bucket = key = ""
    query, operation, source = _NOTHING, None, None
    with contextlib.suppress(S3Error):
        bucket, raw_key, _ = address_of(head, domains)
        key = decode_text(raw_key)
        query = decode_query(head.raw_query)
        level = Level.OBJECT if key else Level.BUCKET if bucket else Level.SERVICE
        _, operation = operation_of(head, level, query)
        if operation in COPIES:
            source = parse_copy_source(head.header("x-amz-copy-source"))
    return Asked(operation, bucket, key, query, source)


def claim_of(head: RequestHead, *, with_key: bool = True) -> Claim:
    """Return how a request says that it is signed; what a form says is in its body.

    Args:
        head: the request.
        with_key: whether the access key is wanted, too.
    """
    if head.has("authorization"):
        return _of_header(head.header("authorization"), with_key=with_key)
    if not head.raw_query:
        return UNSIGNED
    given = dict(split_query(head.raw_query))
    if "X-Amz-Credential" in given:
        return Claim(_key_of(_text_of(given["X-Amz-Credential"])), "QueryString", "SigV4")
    if "AWSAccessKeyId" in given:
        return Claim(_text_of(given["AWSAccessKeyId"])[:MAX_CLAIMED_CHARACTERS], "QueryString", "SigV2")
    return UNSIGNED


def _of_header(text: str, *, with_key: bool) -> Claim:
    method, _, rest = text.partition(" ")
    if method == ALGORITHM and not with_key:
        return _SIGNED
    if method == "AWS":  # AWS ID:SIGNATURE
        return Claim(rest.partition(":")[0][:MAX_CLAIMED_CHARACTERS] if ":" in rest else "", "AuthHeader", "SigV2")
    if method != ALGORITHM:
        return Claim("", "AuthHeader")
    for piece in rest.split(","):
        name, _, value = piece.strip(" ").partition("=")
        if name == "Credential":
            return Claim(_key_of(value), "AuthHeader", "SigV4")
    return Claim("", "AuthHeader", "SigV4")


def _key_of(credential: str) -> str:
    with contextlib.suppress(S3Error):
        return parse_credential(credential, code="")[0][:MAX_CLAIMED_CHARACTERS]
    return ""


def _text_of(raw: str) -> str:
    with contextlib.suppress(S3Error):
        return decode_text(raw)
    return ""


def claim_of_form(fields: Iterable[tuple[str, str]]) -> Claim:
    """Return how the fields of a form say that it is signed."""
    given = {name.lower(): value for name, value in fields}
    if "x-amz-credential" in given:
        return Claim(_key_of(given["x-amz-credential"]), "PostForm", "SigV4")
    return UNSIGNED

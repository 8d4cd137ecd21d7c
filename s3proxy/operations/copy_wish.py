"""What a client wants of a copy, and which copies are refused. Pure."""

from dataclasses import dataclass
from typing import Final, NoReturn

from s3proxy.keys.policies import Policy
from s3proxy.s3api.checksums import parse_algorithm
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.stored.open import Found, Name
from s3proxy.stored.source import Source
from strongroom.sealed.digests import ChecksumAlgorithm

COPY, REPLACE = "COPY", "REPLACE"
# What makes a copy of an object onto itself a change of it.
_CHANGING: Final = (
    "x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-checksum-algorithm", "x-amz-object-lock-mode",
)  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """What a client wants of a copy.

    Attributes:
        name: where it is to stand.
        policy: that this name is under.
        metadata: COPY or REPLACE.
        tagging: COPY or REPLACE.
        algorithm: of a checksum that is to be computed, or None.
    """

    name: Name
    policy: Policy
    metadata: str
    tagging: str
    algorithm: ChecksumAlgorithm | None


def wish_of(head: RequestHead, name: Name, policy: Policy) -> Wish:
    """Read what a request wants.

    Raises:
        S3Error: InvalidArgument for an unknown directive, InvalidRequest for an unknown checksum algorithm.
    """
    text = head.header("x-amz-checksum-algorithm")
    return Wish(
        name,
        policy,
        _directive(head, "x-amz-metadata-directive"),
        _directive(head, "x-amz-tagging-directive"),
        parse_algorithm(text) if text else None,
    )


def _directive(head: RequestHead, header: str) -> str:
    value = head.header(header).upper() or COPY
    if value not in {COPY, REPLACE}:
        code, msg = "InvalidArgument", f"Unknown {header}."
        raise S3Error(code, msg, details={"ArgumentName": header, "ArgumentValue": head.header(header)[:100]})
    return value


def require_change(head: RequestHead, source: Source, wish: Wish) -> None:
    """Return unless an object would be copied onto itself as it is. Plaintext is sealed by that.

    Raises:
        S3Error: InvalidRequest.
    """
    same = (source.name.bucket, source.name.key) == (wish.name.bucket, wish.name.key) and not source.name.version_id
    changes = REPLACE in {wish.metadata, wish.tagging} or any(head.has(name) for name in _CHANGING)
    if same and not changes and isinstance(source.found, Found):
        _refuse(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )


def _refuse(message: str) -> NoReturn:
    code = "InvalidRequest"
    raise S3Error(code, message)

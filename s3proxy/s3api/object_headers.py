"""Which headers go to the store, and which of its answer go to the client. Pure.

Lengths, checksums and ETags of the store describe ciphertext: they never pass. Names are lower case.
"""

from collections.abc import Mapping
from typing import Final

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.rules import CONTENT, KEPT, SSE_C, Names
from s3proxy.s3api.sent import ENTRY_HEADER
from strongroom.sealed.entry import ENTRY_NAME

META: Final = "x-amz-meta-"
DEFAULT_CONTENT_TYPE: Final = "binary/octet-stream"  # S3's own
MAX_METADATA_BYTES: Final = 2048  # S3 API limit of user metadata
MAX_ENTRY_CHARACTERS: Final = 512  # with digests; docs/object-format.md, "Metadata entry"

_KEPT: Final = Names(KEPT)
_CUSTOMER_KEYS: Final = Names((SSE_C,))
_SENT_WITH_READS: Final = ("origin", "x-amz-expected-bucket-owner", "x-amz-request-payer")
_CROSS_ORIGIN: Final = (
    "access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods",
    "access-control-allow-origin", "access-control-expose-headers", "access-control-max-age", "vary",
)  # fmt: skip
_ANSWERED: Final = (
    *_CROSS_ORIGIN, "last-modified", "x-amz-delete-marker", "x-amz-expiration", "x-amz-missing-meta",
    "x-amz-object-lock-legal-hold", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date",
    "x-amz-replication-status", "x-amz-request-charged", "x-amz-restore", "x-amz-storage-class", "x-amz-tagging-count",
    "x-amz-version-id", "x-amz-website-redirect-location",
)  # fmt: skip
_PASSED_BACK: Final = (
    *_ANSWERED, *CONTENT, "accept-ranges", "allow", "content-range", "etag", "location", "retry-after",
    "x-amz-bucket-region", "x-amz-copy-source-version-id", "x-amz-mp-parts-count",
)  # fmt: skip


def object_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a client's PUT that are kept with the object.

    Args:
        headers: ``Call.headers``, or those of a form.

    Raises:
        S3Error: it wants encryption with a key of the client's.
    """
    kept: dict[str, str] = {}
    for name, value in headers.items():
        if name in _CUSTOMER_KEYS:
            raise S3Error("NotImplemented", "Encryption with customer-provided keys (SSE-C) is not implemented.")
        if name in _KEPT:
            kept[name] = _text(name, value)
    kept.setdefault("content-type", DEFAULT_CONTENT_TYPE)
    return kept


def read_headers(head: RequestHead) -> dict[str, str]:
    """Return the headers of a GET or HEAD that the store is to see, but for ranges and conditions."""
    return {name: head.header(name) for name in _SENT_WITH_READS if head.has(name)}


def replaced_headers(headers: Mapping[str, str], store: Mapping[str, str]) -> dict[str, str]:
    """Return headers of a copy with content headers and user metadata of its source instead of the client's."""
    kept = {name: value for name, value in headers.items() if not _is_described(name)}
    return kept | {name: value for name, value in answer_headers(store).items() if _is_described(name)}


def _is_described(name: str) -> bool:
    return name in CONTENT or name.startswith(META)


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 were kept as lone surrogates
        raise S3Error("InvalidArgument", f"The header {name} is not UTF-8.") from None
    return value


def require_metadata_room(headers: Mapping[str, str]) -> None:
    """Return if the store takes the client's user metadata together with the proxy's entry.

    The entry counts with its greatest length, so that what can be written can be copied, too.

    Raises:
        S3Error: MetadataTooLarge.
    """
    user = sum(
        len(name) - len(META) + len(value.encode("utf-8", "surrogateescape"))
        for name, value in headers.items()
        if name.startswith(META) and name != ENTRY_HEADER
    )
    room = MAX_METADATA_BYTES - len(ENTRY_NAME) - MAX_ENTRY_CHARACTERS
    if user > room:
        code, msg = "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size."
        raise S3Error(code, msg, details={"Size": str(user), "MaxSizeAllowed": str(room)})


def answer_headers(store: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an object that the client gets, without size, ETag and checksums."""
    answered: dict[str, str] = {}
    for name, value in store.items():
        lower = name.lower()
        if lower in CONTENT or lower in _ANSWERED or (lower.startswith(META) and lower != ENTRY_HEADER):
            answered[lower] = f"{answered[lower]},{value}" if lower in answered else value
    return _without_framing(answered)


def passed_back(store: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an answer that is passed back as it is."""
    return _without_framing(
        {
            name.lower(): value
            for name, value in store.items()
            if name.lower() in _PASSED_BACK or (name.lower().startswith(META) and name.lower() != ENTRY_HEADER)
        }
    )


def _without_framing(headers: dict[str, str]) -> dict[str, str]:
    """Leave aws-chunked out, which describes how a body came to the store: some stores keep it all the same."""
    if encoding := headers.pop("content-encoding", ""):
        kept = [coding for coding in map(str.strip, encoding.split(",")) if coding.lower() not in {"", "aws-chunked"}]
        headers |= {"content-encoding": ",".join(kept)} if kept else {}
    return headers


def cross_origin_headers(store: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that let a browser's script read an answer (Fetch, "CORS protocol")."""
    return {name.lower(): value for name, value in store.items() if name.lower() in _CROSS_ORIGIN}

"""Canonical requests of Signature Version 4, as S3 wants them, and percent-encoding. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. Unlike other services S3 neither
normalises paths nor encodes them twice: ``/b/a/../c`` and ``/b//c`` are keys.

A client signs either the raw form of what it sends, or the form that encoding the decoded bytes gives ("strict"). The
two differ when it leaves ``@`` bare or writes ``%2f`` in lower case. Both name the same key, as what is signed decodes
to what is served; so a verifier may try both and nothing else.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()

BLANKS: Final = " \t"  # of HTTP (RFC 9110, section 5.6.3)
_BLANKS: Final = re.compile(f"[{BLANKS}]+")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def encode_text(text: str, *, safe: str = "") -> str:
    """Percent-encode as AWS's UriEncode: all bytes of UTF-8 but letters, digits, ``-._~`` and ``safe``."""
    return quote(text, safe=safe, errors="surrogateescape")


def encode_path(bucket: str, key: str = "") -> str:
    """Return the raw path of a bucket or an object in path style."""
    return f"/{encode_text(bucket)}/{encode_text(key, safe='/')}" if key else f"/{encode_text(bucket)}"


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the raw query of decoded pairs, sorted, so that it is its own canonical form."""
    return "&".join(f"{name}={value}" for name, value in sorted((encode_text(n), encode_text(v)) for n, v in pairs))


def decode_bytes(raw: str, *, plus_is_space: bool = False) -> bytes:
    """Undo percent-encoding once.

    Raises:
        S3Error: InvalidURI, as a percent sign is not followed by two hexadecimal digits.
    """
    encoded = (raw.replace("+", " ") if plus_is_space else raw).encode("utf-8", "surrogateescape")
    if "%" not in raw:  # a presigned URL has some thirty such pieces
        return encoded
    if _BAD_ESCAPE.search(raw):
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.")
    return unquote_to_bytes(encoded)


def decode_text(raw: str, *, plus_is_space: bool = False) -> str:
    """Undo percent-encoding once, giving UTF-8 text.

    Raises:
        S3Error: InvalidURI, as it is malformed or not UTF-8.
    """
    try:
        return decode_bytes(raw, plus_is_space=plus_is_space).decode()
    except UnicodeDecodeError:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.") from None


def split_query(raw_query: str) -> list[tuple[str, str]]:
    """Return the raw (name, value) pairs; empty pieces count for nothing."""
    pairs = (piece.partition("=") for piece in raw_query.split("&") if piece)
    return [(name, value) for name, _, value in pairs]


def canonical_paths(head: RequestHead) -> Iterator[str]:
    """Yield the paths that a client may have signed: raw, and strict where it differs."""
    yield head.raw_path
    strict = quote_from_bytes(decode_bytes(head.raw_path), safe="/")
    if strict != head.raw_path:
        yield strict


def canonical_queries(head: RequestHead, *, leave_out: str = "") -> Iterator[str]:
    """Yield the queries that a client may have signed, without the parameter ``leave_out``."""
    pairs = [(name, value) for name, value in split_query(head.raw_query) if name != leave_out]
    raw = "&".join(f"{name}={value}" for name, value in sorted(pairs))
    yield raw
    strict = "&".join(
        f"{name}={value}" for name, value in sorted((_strict_query(n), _strict_query(v)) for n, v in pairs)
    )
    if strict != raw:
        yield strict


def _strict_query(raw: str) -> str:
    return quote_from_bytes(decode_bytes(raw, plus_is_space=True), safe="")


def canonical_headers(pairs: Sequence[tuple[str, str]]) -> str:
    """Return lines ``name:value``; runs of blanks become one space, the ends are trimmed."""
    lines = "".join([f"{name}:{value}\n" for name, value in pairs])
    if "  " in lines or "\t" in lines or ": " in lines or " \n" in lines:  # of some values blanks may not count
        return "".join([f"{name}:{_BLANKS.sub(' ', value).strip(' ')}\n" for name, value in pairs])
    return lines


def canonical_request(*, method: str, path: str, query: str, headers: Sequence[tuple[str, str]], payload: str) -> bytes:
    """Put a canonical request together.

    Args:
        method: of the request.
        path: canonical path.
        query: canonical query.
        headers: the signed headers (lower-case names) in the order in which they are signed.
        payload: the value of ``x-amz-content-sha256``.
    """
    names = ";".join(name for name, _ in headers)
    text = f"{method}\n{path}\n{query}\n{canonical_headers(headers)}\n{names}\n{payload}"
    return text.encode("utf-8", "surrogateescape")


def string_to_sign(request: bytes, *, timestamp: str, scope: str) -> bytes:
    """Return what the signing key signs of a canonical request."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(request).hexdigest()}".encode()

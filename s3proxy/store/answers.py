"""What answers of the store are made of, and what is raised when they cannot be used. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.xml_read import Element, parse_document
from strongroom.errors import PeerError, StrongroomError

_NUMBER: Final = re.compile(r"[0-9]{1,19}")  # longer than any size or count
_MAX_TOKEN_CHARACTERS: Final = 16 << 10  # of some stores it is a name, percent-encoded


class OddAnswerError(PeerError):
    """The store answers what S3 does not: something is missing, or contradicts what was asked for."""

    usual_hint = (
        "the store, or what is between it and the proxy, speaks S3 otherwise: compare its version, then report it"
    )


def number_in(text: str) -> int | None:
    """Return the number that a string is, None if it is not one. No store needs more digits."""
    return int(text) if _NUMBER.fullmatch(text) else None


def require_token(token: str) -> None:
    """Return if a list may be asked for from this place on: it is a part of the next request.

    Raises:
        PeerError: it is longer than any.
    """
    if len(token) > _MAX_TOKEN_CHARACTERS:
        raise OddAnswerError("the store tells a continuation token that is too long")


def parse_answer(raw: bytes, root: str) -> Element:
    """Read a document of the store. Where S3 says ``XyzResult`` some stores, moto for one, say ``XyzResponse``.

    Raises:
        PeerError: it is another one, or none.
    """
    msg = f"the store answers no {root} where it should"
    try:
        document = parse_document(raw.strip())
    except StrongroomError:
        raise OddAnswerError(msg) from None
    if document.name not in {root, root.removesuffix("Result") + "Response"}:
        raise OddAnswerError(msg)
    return document


def unescaped(texts: Collection[str]) -> list[str]:
    """Return texts that stand between tags of an XML document as they are meant, by one pass of an XML parser.

    A page of the longest names has a million references, more than can be replaced one by one while others wait.

    Raises:
        OddAnswerError: they cannot be read.
    """
    document = f"<Texts>{''.join(f'<Text>{text}</Text>' for text in texts)}</Texts>"
    try:
        return [element.text for element in parse_document(document.encode("utf-8", "surrogateescape")).children]
    except S3Error:
        raise OddAnswerError("the store answers XML that cannot be read") from None


def stored_bytes_of(headers: Mapping[str, str]) -> int:
    """Return how long the whole stored object is, from the headers of an answer with all or some of it.

    Raises:
        PeerError: they do not say.
    """
    text = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    size = number_in(text)
    if size is None:
        raise OddAnswerError("the store does not say how long the object is")
    return size


def range_begin_of(headers: Mapping[str, str]) -> int:
    """Return where an answer with some of an object begins, 0 for one with all of it.

    Raises:
        PeerError: it does not say.
    """
    text = headers.get("Content-Range", "")
    if not text:
        return 0
    first = number_in(text.removeprefix("bytes").strip().partition("-")[0])
    if first is None:
        raise OddAnswerError("the store answers with a range that cannot be read")
    return first

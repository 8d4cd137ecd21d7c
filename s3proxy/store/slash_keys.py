"""Where content under a key that ends in a slash is kept by stores that make a directory of such a key. Pure.

It stands beside what is in the directory, under a last segment that no client may use (ADR 0020). Of the printable
names below the same slash it is among the first, so that listings nearly keep their order; and as it has a slash where
the key has one, they are grouped alike.
"""

import hashlib
import re
from typing import Final
from urllib.parse import unquote

from s3proxy.s3api.xml_write import escape
from s3proxy.store.answers import unescaped

SEGMENT: Final = "!!!!!!!!"
FOLDER_ETAG: Final = f'"{hashlib.md5(b"", usedforsecurity=False).hexdigest()}"'  # of an empty object that is made here
_CUTTING: Final = re.compile(r"(?:\A|/)!{1,8}\Z")
_TOLD: Final = re.compile(r"<(Key|Location)>([^<]*)</\1>")
_ENCODED_SEGMENT: Final = re.compile(r"(?:!|%21){8}\Z")


def kept_key(key: str) -> str:
    """Return the key at the store of content under a key that ends in a slash."""
    return key + SEGMENT


def is_kept_key(key: str) -> bool:
    """Return whether a key at the store is that of content under a key that ends in a slash."""
    return key.endswith("/" + SEGMENT)


def has_segment(key: str) -> bool:
    """Return whether a key is one of our own, or would make a directory of one."""
    return SEGMENT in key and SEGMENT in key.split("/")[1:]


def shown_key(key: str) -> str:
    """Return the key that clients know an object by."""
    return key.removesuffix(SEGMENT) if is_kept_key(key) else key


def shown_answer(document: str, key: str) -> str:
    """Return what the store answers about one key that ends in a slash, with the key and the URL that clients know.

    Raises:
        PeerError: it cannot be read.
    """
    told = iter(unescaped([text for _, text in _TOLD.findall(document)]))

    def shown(match: re.Match[str]) -> str:
        name, text = match[1], next(told)
        if name == "Key":
            text = key if text == kept_key(key) else text
        elif unquote(text).endswith("/" + kept_key(key)):
            text = _ENCODED_SEGMENT.sub("", text)
        return f"<{name}>{escape(text)}</{name}>"

    return _TOLD.sub(shown, document)


def is_told_apart(delimiter: str) -> bool:
    """Return whether a listing can be grouped by a delimiter: not where that would end within our own segment."""
    return _CUTTING.search(delimiter) is None

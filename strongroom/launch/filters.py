r"""How a value is encoded for the place where it stands: ``${bao:kv/shop/db#password|url}`` in the text of a URL.

| filter | what becomes of the bytes of a value |
|---|---|
| ``url`` | ``A-Z a-z 0-9 - . _ ~`` stay (RFC 3986, 2.3, unreserved), any other byte is ``%XX`` with capital digits |
| ``json`` | the inside of a JSON string, no quotes: ``"``, ``\`` and U+0000 to U+001F are escaped (RFC 8259, 7) |
| ``base64`` | RFC 4648, section 4, with padding, in one line |
| ``shell`` | one word of a POSIX shell: in single quotes, unless it has only ``A-Z a-z 0-9 _ @ % + : , . / -`` |

Pure. Only the bridge, which composes texts, imports this; the wrapper never holds a value.
"""

import base64
import json
from urllib.parse import quote_from_bytes

from strongroom.errors import UndeliverableError

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
# Without =, which could make an assignment of it.
_WORD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+:,./-"
_SHORT_ESCAPES = b'"\\\b\f\n\r\t'  # two bytes each; the other control characters have six
_CONTROLS = bytes(range(0x20))
_GROWTH = {"url": 3, "json": 6, "base64": 2, "shell": 4}  # of each byte, at most
_PADDING_BYTES = 4  # or two quotes


def most_filtered_bytes(filter_name: str, size: int) -> int:
    """Return what a value of this many bytes has at most when it is filtered; without a filter, its size."""
    return _GROWTH[filter_name] * size + _PADDING_BYTES if filter_name else size


def filtered_bytes(filter_name: str, value: bytes) -> int:
    """Return the size of what ``filtered`` makes, without making it."""
    size = len(value)
    if filter_name == "url":
        return size + 2 * len(value.translate(None, _UNRESERVED))
    if filter_name == "json":
        short = size - len(value.translate(None, _SHORT_ESCAPES))
        controls = size - len(value.translate(None, _CONTROLS + b'"\\'))
        return size + short + 5 * (controls - short)
    if filter_name == "base64":
        return (size + 2) // 3 * 4
    if size and not value.translate(None, _WORD):
        return size
    return size + 2 + 3 * value.count(b"'")


def filtered(filter_name: str, value: bytes) -> bytes:
    """Return a value as a filter encodes it.

    Raises:
        UndeliverableError: it has bytes for which there is no such form.
    """
    if filter_name == "url":
        return quote_from_bytes(value, safe="").encode()
    if filter_name == "json":
        return _in_json(value)
    if filter_name == "base64":
        return base64.b64encode(value)
    if 0 in value:
        msg = "the value is binary (a NUL byte), which no word of a shell can hold"
        raise UndeliverableError(msg, hint="take it with |base64")
    if value and not value.translate(None, _WORD):
        return value
    return b"'" + value.replace(b"'", b"'\\''") + b"'"


def _in_json(value: bytes) -> bytes:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise UndeliverableError("the value is not UTF-8, which JSON is", hint="take it with |base64") from None
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()

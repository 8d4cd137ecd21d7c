"""Listings of stores where content under ``name/`` is kept by another key: shown by the key that clients know. Pure.

Keys are decoded before they are compared, so that what only looks like our segment is left alone. Markers stay as they
are, those of the store too: a page goes on exactly where the store has ended it.
"""

import re
from typing import Final
from urllib.parse import unquote_plus

from s3proxy.operations.lists.entries import WITH_KEY, Listed, entries_in
from s3proxy.s3api.operations import Query
from s3proxy.store.answers import OddAnswerError
from s3proxy.store.slash_keys import SEGMENT, is_kept_key, shown_key

_KEY: Final = re.compile(r"<Key>([^<]*)</Key>")
_SEGMENT: Final = re.compile(r"!{8}(?=</Key>)")
_ENCODED_SEGMENT: Final = re.compile(r"(?:!|%21){8}(?=</Key>)")
_KEY_COUNT: Final = re.compile(r"<KeyCount>([0-9]{1,9})</KeyCount>")
_END: Final = "</ListBucketResult>"


def has_kept_keys(page: str) -> bool:
    """Return whether a page may have keys of our own."""
    return SEGMENT in page or SEGMENT.replace("!", "%21") in page


def after_in(query: Query) -> str:
    """Return the key after which a listing is to begin, "" where it begins at the first or within a key."""
    if query.get("version-id-marker") or query.get("upload-id-marker"):
        return ""
    return query.get("start-after") or query.get("marker") or query.get("key-marker")  # each counts for one operation


def shown_names(page: str, *, prefix: str, after: str, is_encoded: bool) -> str:
    """Return a page where content and directory of one key are one entry: the content, as reads have it.

    Args:
        page: of the store.
        prefix: that was asked for; a key may have it only together with our segment.
        after: that was asked for (``after_in``); likewise a key may be behind it only together with our segment.
        is_encoded: whether its keys are percent-encoded.

    Raises:
        PeerError: it is written in another way than stores write it.
    """
    entries = entries_in(page, WITH_KEY)
    keys = [unquote_plus(entry.key) if is_encoded else entry.key for entry in entries]
    content = {shown_key(key) for key in keys if is_kept_key(key)}
    pieces, at, left_out = [], 0, 0
    for entry, key in zip(entries, keys, strict=True):
        if not is_kept_key(key) and key not in content:
            continue
        pieces.append(page[at : entry.begin])
        at, shown = entry.end, shown_key(key)
        if key in content or not shown.startswith(prefix) or shown == after:
            left_out += 1
        else:
            pieces.append(_shown_entry(page, entry, is_encoded=is_encoded))
    rest = page[at:]
    if content:
        rest = _with_marker(page, rest, entries)
    result = "".join((*pieces, rest))
    if left_out:
        result = _KEY_COUNT.sub(lambda count: f"<KeyCount>{max(0, int(count[1]) - left_out)}</KeyCount>", result, 1)
    return result


def _with_marker(page: str, rest: str, entries: list[Listed]) -> str:
    """Return the end of a page, with the marker that version 1 of the listing leaves to the last key."""
    if "<IsTruncated>true</IsTruncated>" not in page or any(f"<Next{name}" in page for name in ("Marker", "Cont")):
        return rest
    keys = _KEY.findall(page, entries[-1].begin, entries[-1].end)
    before, end, behind = rest.rpartition(_END)  # once: a page may end again and again, and the key have any length
    return f"{before}<NextMarker>{keys[-1]}</NextMarker>{end}{behind}" if end else rest


def _shown_entry(page: str, entry: Listed, *, is_encoded: bool) -> str:
    pattern = _ENCODED_SEGMENT if is_encoded else _SEGMENT
    text, count = pattern.subn("", page[entry.begin : entry.end])
    if count != 1:
        raise OddAnswerError("the store answers a list that cannot be read")
    return text

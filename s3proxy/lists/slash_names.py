"""Listings of stores where content under ``name/`` is kept by another key: shown by the key that clients know. Pure."""

import re
from typing import Final
from urllib.parse import unquote_plus

from s3proxy.lists.entries import entries_in
from s3proxy.store.slash_keys import SEGMENT, is_kept_key, shown_key, shown_keys

_KEY_COUNT: Final = re.compile(r"<KeyCount>([0-9]{1,9})</KeyCount>")


def has_kept_keys(page: str) -> bool:
    """Say whether a page may have keys of our own."""
    return SEGMENT in page or SEGMENT.replace("!", "%21") in page


def shown_names(page: str, *, prefix: str, is_encoded: bool) -> str:
    """Return a page where content and directory of one key are one entry: the content, as reads have it.

    Args:
        page: of the store.
        prefix: that was asked for; a key may have it only together with our segment.
        is_encoded: whether its keys are percent-encoded.

    Raises:
        PeerError: it is written in another way than stores write it.
    """
    entries = entries_in(page)
    keys = [unquote_plus(entry.key) if is_encoded else entry.key for entry in entries]
    content = {shown_key(key) for key in keys if is_kept_key(key)}
    pieces, at, left_out = [], 0, 0
    for entry, key in zip(entries, keys, strict=True):
        if key in content or not shown_key(key).startswith(prefix):
            pieces.append(page[at : entry.begin])
            at, left_out = entry.end, left_out + 1
    shown = "".join((*pieces, page[at:]))
    if left_out:
        shown = _KEY_COUNT.sub(lambda count: f"<KeyCount>{max(0, int(count[1]) - left_out)}</KeyCount>", shown, 1)
    return shown_keys(shown)

"""Where content under a key that ends in a slash is kept by stores that make a directory of such a key. Pure.

It stands beside what is in the directory, under a last segment that no client may use (ADR 0020). Of the printable
names below the same slash it is the first, so that listings keep their order; and as it has a slash where the key has
one, they are grouped alike.
"""

import re
from typing import Final

SEGMENT: Final = "!!!!!!!!"
_TOLD: Final = "Key|Location|Marker|NextMarker|StartAfter|KeyMarker|NextKeyMarker"
_LISTED: Final = re.compile(rf"(?<=/|F)(?:!|%21){{8}}(?=</(?:{_TOLD})>)")
_MARKERS: Final = frozenset({"marker", "start-after", "key-marker"})


def kept_key(key: str) -> str:
    """Return the key at the store of content under a key that ends in a slash."""
    return key + SEGMENT


def is_kept_key(key: str) -> bool:
    """Say whether a key at the store is that of content under a key that ends in a slash."""
    return key.endswith("/" + SEGMENT)


def shown_key(key: str) -> str:
    """Return the key that clients know an object by."""
    return key.removesuffix(SEGMENT) if is_kept_key(key) else key


def shown_keys(page: str) -> str:
    """Return a document of the store with the keys that clients know."""
    return _LISTED.sub("", page)


def is_told_apart(delimiter: str) -> bool:
    """Say whether a listing can be grouped by a delimiter: not where that would cut through our own segment."""
    return not delimiter or delimiter not in SEGMENT


def asked_of_store(query: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return the query of a listing as the store is to have it.

    What goes on behind a key that ends in a slash goes on behind its content; but not where that key is a group, all of
    which was listed.
    """
    asked = dict(query)
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")

    def marker(value: str) -> str:
        is_group = bool(delimiter) and value.startswith(prefix) and delimiter in value[len(prefix) :]
        return kept_key(value) if value.endswith("/") and not is_group else value

    return tuple((name, marker(value) if name in _MARKERS else value) for name, value in query)

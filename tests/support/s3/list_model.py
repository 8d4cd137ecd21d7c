"""What S3 lists of some keys, and the pages that a store writes of it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from html import escape
from typing import Literal
from urllib.parse import quote_plus

Kind = Literal["v1", "v2", "versions", "uploads"]

_ROOTS = {
    "v1": "ListBucketResult",
    "v2": "ListBucketResult",
    "versions": "ListVersionsResult",
    "uploads": "ListMultipartUploadsResult",
}
_ENTRIES = {"v1": "Contents", "v2": "Contents", "versions": "Version", "uploads": "Upload"}


@dataclass(frozen=True)
class Wish:
    """What of a bucket is to be listed."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""

    def name_of(self, key: str) -> str:
        """Return the key, or the group that it is listed by."""
        before, found, _ = key.removeprefix(self.prefix).partition(self.delimiter) if self.delimiter else (key, "", "")
        return self.prefix + before + found if found else key


def names_in(keys: Collection[str], wish: Wish) -> list[str]:
    """Return the keys and groups that S3 lists, in order."""
    names = {wish.name_of(key) for key in keys if key.startswith(wish.prefix)}
    return sorted(name for name in names if name > wish.after)


@dataclass(frozen=True)
class Style:
    """How a store writes pages."""

    kind: Kind = "v1"
    encoded: bool = False
    size: int = 9
    tells_marker: bool = True


def pages_of(keys: Collection[str], wish: Wish, style: Style) -> Iterator[str]:
    """Give the pages of a store, each from the marker on that the one before it has told."""
    left = names_in(keys, wish)
    while left:
        page, left = left[: style.size], left[style.size :]
        yield _page(keys, page, style, goes_on=bool(left))


def _page(keys: Collection[str], names: list[str], style: Style, *, goes_on: bool) -> str:
    def text(name: str) -> str:
        return escape(quote_plus(name) if style.encoded else name)

    entry, root = _ENTRIES[style.kind], _ROOTS[style.kind]
    listed = [f"<{entry}><Key>{text(name)}</Key><Size>1</Size></{entry}>" for name in names if name in keys]
    groups = [f"<CommonPrefixes><Prefix>{text(name)}</Prefix></CommonPrefixes>" for name in names if name not in keys]
    head = "<EncodingType>url</EncodingType>" if style.encoded else ""
    head += f"<KeyCount>{len(names)}</KeyCount>" if style.kind == "v2" else ""
    if goes_on:
        head += "<IsTruncated>true</IsTruncated>"
        told = {"v1": "NextMarker", "v2": "NextContinuationToken"}.get(style.kind, "NextKeyMarker")
        head += f"<{told}>{text(names[-1])}</{told}>" if style.tells_marker else ""
    return f"<{root}>{head}{''.join(listed + groups)}</{root}>"

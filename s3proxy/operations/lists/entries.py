"""The entries of a listing, found in the store's own page and shown with size and ETag of the plaintext. Pure.

A listing knows size and ETag of what is stored, and that is enough for sealed objects ("Sizes" in
``docs/object-format.md``). Where plaintext stands among them nothing in a listing tells the two apart; then, and for
ETags that are MD5s, the caller has looked and gives what it saw.

A page is worked on as a string: building a tree of a thousand entries and writing it again takes ten times as long, and
all of it but two elements of each entry stays as it is. A page that is written in any other way than stores write it
(attributes, prefixes, comments, CDATA) is refused, so that no size passes unseen.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, NoReturn
from urllib.parse import unquote, unquote_plus

from s3proxy.keys.policies import Mode, Policy
from s3proxy.s3api.xml_write import escape
from s3proxy.store.answers import OddAnswerError, unescaped
from s3proxy.store.slash_keys import FOLDER_ETAG
from s3proxy.stored.etags import opaque_etag
from strongroom.sealed.sizes import listed_plaintext_bytes

_Tags = tuple[re.Pattern[str], re.Pattern[str]]  # of an entry as stores write it, and in any other way


def _tags(names: str) -> _Tags:
    return re.compile(rf"<({names})>"), re.compile(rf"<(?:[^<>\s/:]*:)?(?:{names})(?=[\s/>])")


_WITH_SIZE: Final = _tags("Contents|Version")
WITH_KEY: Final = _tags("Contents|Version|DeleteMarker|Upload")
_LEAF: Final = re.compile(r"<(Key|VersionId|ETag|Size)>([^<]*)</\1>")
_REPLACED: Final = re.compile(r"<(ETag|Size|ChecksumAlgorithm|ChecksumType)>[^<]*</\1>")  # these describe ciphertext
_NAME: Final = re.compile(r"<(?:Key|Prefix|NextMarker|NextKeyMarker)>([^<]+)</")
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
MAX_ENTRIES: Final = 10_000  # S3 lists 1,000, and some stores can be told to list more
_MAX_TAGS: Final = 24 * MAX_ENTRIES  # openings and ends; looking at each is what a hostile page costs
_MAX_TEXT_CHARS: Final = 16 << 10  # a key of 1,024 bytes, percent-encoded and escaped, and room


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at an object told.

    Attributes:
        is_sealed: whether it has an entry.
        etag: that clients see, with quotes.
    """

    is_sealed: bool
    etag: str


class Listed(NamedTuple):
    """An entry as the store lists it; texts are unescaped, but a key may still be percent-encoded.

    Attributes:
        key: of the object.
        version_id: or "".
        etag: the store's, with quotes.
        size: in stored bytes.
        begin: where the entry begins in the page.
        end: where it ends.
    """

    key: str
    version_id: str
    etag: str
    size: str
    begin: int
    end: int


def entries_in(page: str, tags: _Tags = _WITH_SIZE) -> list[Listed]:
    """Find the entries of a page.

    Args:
        page: of the store.
        tags: of which kinds: objects and versions, or all that have a key (``WITH_KEY``).

    Raises:
        PeerError: the page is written in another way than stores write it.
    """
    _require_modest(page)
    found = list(islice(_entries(page, tags[0]), MAX_ENTRIES + 1))
    if len(found) > MAX_ENTRIES or len(found) != len(tags[1].findall(page)) or "<!" in page:
        _refuse()
    return _unescaped(found) if "&" in page else found


def _require_modest(page: str) -> None:
    if page.count("<") > _MAX_TAGS:
        _refuse()


def require_below(page: str, prefix: str, *, may_be_encoded: bool) -> None:
    """Return if all names that a page tells begin with the prefix that was asked for: rights were decided by that.

    Some stores begin where a marker is and list what is beside it, whatever the prefix (SeaweedFS before 4.48). Which
    names of a page are percent-encoded, and how, depends on the store.

    Args:
        page: of the store.
        prefix: that was asked for.
        may_be_encoded: whether names were asked for percent-encoded.

    Raises:
        PeerError: there are others.
    """
    _require_modest(page)
    names = _NAME.findall(page)
    names = [name for name in names if "&" not in name] + unescaped([name for name in names if "&" in name])
    encoded_chars = len("%00") * len(prefix.encode())  # are enough to tell
    for name in names:
        if name.startswith(prefix):
            continue
        begin = name[:encoded_chars] if may_be_encoded else ""
        if not (unquote_plus(begin).startswith(prefix) or unquote(begin).startswith(prefix)):
            raise OddAnswerError("the store lists names that do not begin with the prefix that was asked for")


def shown_page(page: str, shown: list[tuple[Listed, tuple[int, str] | None]]) -> str:
    """Return a page with other sizes and ETags.

    Args:
        page: of the store.
        shown: its entries in their order, with what is to be shown; None for those that stay as they are.
    """
    pieces, at = [], 0
    for entry, values in shown:
        if values is not None:
            entry_text = _REPLACED.sub(_replacing(*values), page[entry.begin : entry.end])
            pieces += [page[at : entry.begin], entry_text]
            at = entry.end
    return "".join((*pieces, page[at:]))


def plaintext_shown(entry: Listed, policy: Policy | None, seen: Seen | None) -> tuple[int, str] | None:
    """Return the size and the ETag that a client is shown of an object; None for those that are listed.

    Args:
        entry: as it is listed.
        policy: that the name is under; None when none fits, so that nothing of it was sealed here.
        seen: the object itself, if it was looked at.
    """
    if policy is None or policy.mode is Mode.PASSTHROUGH or (seen is not None and not seen.is_sealed):
        return None
    if policy.mode is Mode.SEALED and entry.size == "0" and entry.key.endswith(("/", "%2F")):
        return 0, FOLDER_ETAG  # as reads show it; whatever is sealed has more bytes than none
    size = listed_plaintext_bytes(int(entry.size), entry.etag) if _DIGITS.fullmatch(entry.size) else None
    if size is None:
        return None
    return size, seen.etag if seen else opaque_etag(entry.etag)


def _entries(page: str, opening: re.Pattern[str]) -> Iterator[Listed]:
    at = 0
    while match := opening.search(page, at):
        closing = f"</{match[1]}>"
        end = page.find(closing, match.end())
        if end < 0:
            return  # and for every later one: looking for it each time would take the square of the page
        at = end + len(closing)
        found = _LEAF.findall(page, match.end(), end)
        leaves = dict(found)
        if len(leaves) != len(found):  # each would be replaced, by a text of any length
            _refuse()
        yield Listed(
            leaves.get("Key", ""),
            leaves.get("VersionId", ""),
            leaves.get("ETag", ""),
            leaves.get("Size", ""),
            match.start(),
            at,
        )


def _unescaped(entries: list[Listed]) -> list[Listed]:
    escaped = {
        text for entry in entries for text in (entry.key, entry.version_id, entry.etag, entry.size) if "&" in text
    }
    if max(map(len, escaped), default=0) > _MAX_TEXT_CHARS:
        _refuse()
    meant = dict(zip(escaped, unescaped(escaped), strict=True))
    return [
        Listed(
            meant.get(key, key), meant.get(version, version), meant.get(etag, etag), meant.get(size, size), begin, end
        )
        for key, version, etag, size, begin, end in entries
    ]


def _replacing(size: int, etag: str) -> Callable[[re.Match[str]], str]:
    texts = {"Size": f"<Size>{size}</Size>", "ETag": f"<ETag>{escape(etag)}</ETag>"}
    return lambda match: texts.get(match[1], "")


def _refuse() -> NoReturn:
    raise OddAnswerError("the store answers a list that cannot be read")

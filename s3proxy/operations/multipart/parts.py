"""Which of the parts that the store lists are the client's. Pure.

Completing an upload adds to what the store lists: a part that carries the manifest, or a small last part with the
manifest behind it. If the store then refuses or is lost, they stay, and the client may look and try again. It must see
what it sent: a part of 5 MiB or more as the store lists it, and a smaller one if and only if a copy of it is kept.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from s3proxy.operations.multipart.upload import StoredPart
from s3proxy.stored.etags import opaque_etag
from strongroom.sealed.sizes import (
    MANIFEST_RECORD_BYTES,
    MAX_PARTS,
    STORE_MIN_PART_BYTES,
    manifest_stored_bytes,
    part_plaintext_bytes,
    part_stored_bytes,
)

SMALL_STORED_BYTES: Final = part_stored_bytes(STORE_MIN_PART_BYTES)  # less than this is a small part
_MANIFESTS: Final = range(manifest_stored_bytes(1), manifest_stored_bytes(MAX_PARTS) + 1, MANIFEST_RECORD_BYTES)


def plaintext_bytes_of(part: StoredPart) -> int:
    """Return the length of a part's plaintext; of what no proxy has sealed, its length as it is."""
    plaintext = part_plaintext_bytes(part.stored_bytes)
    return part.stored_bytes if plaintext is None else plaintext


def needs_copies(listed: Iterable[StoredPart]) -> bool:
    """Return whether kept copies can matter to ``ClientParts``."""
    return any(part.stored_bytes < SMALL_STORED_BYTES + _MANIFESTS[-1] for part in listed)


class ClientParts:
    """The parts that the client sent. Attempts may be many, so each is looked at once.

    Attributes:
        all: each of them, in the order of the store's list.
        listed: the part of the list that each of them stands for; no two stand for the same.
    """

    def __init__(self, listed: Iterable[StoredPart], kept: Iterable[StoredPart]) -> None:
        """Take what there is.

        Args:
            listed: by the store; some stores list several attempts at a part.
            kept: of which parts there are copies.
        """
        copies = _Copies(kept)
        self._copies = copies
        self._sent: dict[tuple[int, str], StoredPart] = {}
        self._carriers: dict[int, set[int]] = {}  # lengths of what may have a manifest behind it, by part number
        shown: dict[tuple[int, str], tuple[StoredPart, StoredPart]] = {}
        for part in listed:
            is_copied, carried = part in copies, None
            # By its length alone, a large one may be as the client sent it, or a small one with a manifest behind it.
            is_sent = is_copied or part.stored_bytes >= SMALL_STORED_BYTES
            if is_sent:
                self._sent.setdefault((part.number, part.shown_etag), part)
            if not is_copied:
                self._carriers.setdefault(part.number, set()).add(part.stored_bytes)
                carried = copies.carried_by(part)
            meant = carried or (part if is_sent else None)
            if meant is not None:
                shown.setdefault((meant.number, meant.etag), (meant, part))
        self.all = [meant for meant, _ in shown.values()]
        self.listed = [part for _, part in shown.values()]

    def find(self, number: int, etag: str) -> StoredPart | None:
        """Return a part by what the client knows of it, None if it is not there.

        The store's own ETag counts, too: uploads that were begun before this release go on with what they were told.
        """
        name = number, opaque_etag(etag)
        if name in self._sent:
            return self._sent[name]
        copy = self._copies.find(*name)
        if copy is None:
            return None
        carriers = self._carriers.get(number, ())
        return copy if any(length - copy.stored_bytes in _MANIFESTS for length in carriers) else None


class _Copies:
    """The kept copies, by what they are looked for."""

    def __init__(self, kept: Iterable[StoredPart]) -> None:
        self._all = frozenset(kept)
        self._by_etag = {(part.number, part.shown_etag): part for part in self._all}
        lengths: dict[tuple[int, int], dict[int, StoredPart]] = {}
        for part in self._all:
            place = part.number, part.stored_bytes % MANIFEST_RECORD_BYTES
            lengths.setdefault(place, {})[part.stored_bytes] = part
        self._by_length = {place: sorted(parts.items(), key=lambda item: item[0]) for place, parts in lengths.items()}

    def __contains__(self, part: StoredPart) -> bool:
        return part in self._all

    def find(self, number: int, shown_etag: str) -> StoredPart | None:
        return self._by_etag.get((number, shown_etag))

    def carried_by(self, part: StoredPart) -> StoredPart | None:
        """Return a copy that with a manifest behind it is as long as a part: the longest, or None."""
        most = part.stored_bytes - _MANIFESTS[0]
        found = self._by_length.get((part.number, most % MANIFEST_RECORD_BYTES), [])
        at = bisect_right(found, most, key=lambda item: item[0])
        if not at or part.stored_bytes - found[at - 1][0] not in _MANIFESTS:
            return None
        return found[at - 1][1]

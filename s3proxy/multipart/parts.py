"""Which of the parts that the store lists are the client's. Pure.

Completing an upload adds to what the store lists: a part that carries the manifest, or a small last part with the
manifest behind it. If the store then refuses or is lost, they stay, and the client may look and try again. It must see
what it sent: a part of 5 MiB or more as the store lists it, and a smaller one if and only if a copy of it is kept.
"""

from collections.abc import Collection, Iterable
from typing import Final

from s3proxy.multipart.upload import StoredPart
from s3proxy.objects.etags import opaque_etag
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
    """Say whether kept copies can matter to ``ClientParts``."""
    return any(part.stored_bytes < SMALL_STORED_BYTES + _MANIFESTS[-1] for part in listed)


class ClientParts:
    """The parts that the client sent.

    Attributes:
        all: each of them, in the order of the store's list.
    """

    def __init__(self, listed: Iterable[StoredPart], kept: Iterable[StoredPart]) -> None:
        """Take what there is.

        Args:
            listed: by the store; some stores list several attempts at a part.
            kept: of which parts there are copies.
        """
        copies = _by_number(kept)
        self._meant: dict[tuple[int, str], StoredPart] = {}
        shown: dict[tuple[int, str], StoredPart] = {}
        for part in listed:
            meant = _meant_by(part, copies.get(part.number, []))
            for one in meant:
                self._meant.setdefault((one.number, one.shown_etag), one)
            for one in meant[-1:]:
                shown.setdefault((one.number, one.etag), one)
        self.all = list(shown.values())

    def find(self, number: int, etag: str) -> StoredPart | None:
        """Return a part by what the client knows of it, None if it is not there.

        The store's own ETag counts, too: uploads that were begun before this release go on with what they were told.
        """
        return self._meant.get((number, opaque_etag(etag)))


def _by_number(parts: Iterable[StoredPart]) -> dict[int, list[StoredPart]]:
    found: dict[int, list[StoredPart]] = {}
    for part in parts:
        found.setdefault(part.number, []).append(part)
    return found


def _meant_by(part: StoredPart, copies: Collection[StoredPart]) -> list[StoredPart]:
    """Return what the client may mean by a stored part, the most likely last.

    By its length alone, a large one may be as the client sent it, or be a small one with a manifest behind it.
    """
    if part in copies:
        return [part]
    carried = [copy for copy in copies if part.stored_bytes - copy.stored_bytes in _MANIFESTS]
    return [part, *carried] if part.stored_bytes >= SMALL_STORED_BYTES else carried

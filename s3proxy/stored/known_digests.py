"""Digests of whole objects that were lately written or read."""

from collections import OrderedDict

from strongroom.sealed.digests import Digests
from strongroom.sealed.segment import Segment


class KnownDigests:
    """Digests of objects that were lately written or read, by the commitment of their header."""

    def __init__(self, limit: int = 10_000) -> None:
        """Keep so many."""
        self._limit = limit
        self._known: OrderedDict[bytes, Digests] = OrderedDict()

    def find(self, segment: Segment) -> Digests | None:
        """Return the digests of a whole object, if they are known."""
        return self._known.get(segment.raw[-32:])

    def keep(self, segment: Segment, digests: Digests) -> None:
        """Keep the digests of a whole object."""
        self._known[segment.raw[-32:]] = digests
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

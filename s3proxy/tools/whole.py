"""Reading sealed objects from their first byte to their last, for tools."""

from collections.abc import AsyncIterator

from s3proxy.storage import Storage
from s3proxy.stored.open import Name, SealedObject
from s3proxy.stored.source import Source


class WholeReader:
    """Reads them."""

    def __init__(self, storage: Storage) -> None:
        """Take what opens them."""
        self._multipart = storage.objects.multipart
        self._reader = storage.objects.sources

    async def source(self, name: Name, found: SealedObject) -> Source:
        """Return an object with its length.

        Raises:
            StrongroomError: its manifest is damaged, or the store refuses.
        """
        size = found.segment.header.plaintext_bytes
        if found.is_multipart:
            size = (await self._multipart.manifest(name, found))[1].plaintext_bytes
        return Source(name, found, size, "")

    def pieces(self, source: Source) -> AsyncIterator[memoryview]:
        """Give all of its plaintext.

        Raises:
            StrongroomError: it is damaged, another one by now, or the store refuses.
        """
        return self._reader.pieces(source, 0, source.plaintext_bytes - 1)

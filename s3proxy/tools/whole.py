"""Reading sealed objects from their first byte to their last, for tools."""

from collections.abc import AsyncIterator

from s3proxy.backing import Backing
from s3proxy.multipart.read import MultipartReader
from s3proxy.objects.copy_source import Source, SourceReader
from s3proxy.objects.open import Found, Name


class WholeReader:
    """Reads them."""

    def __init__(self, backing: Backing) -> None:
        """Take what opens them."""
        self._multipart = MultipartReader(backing.store, backing.finder)
        self._reader = SourceReader(
            backing.store,
            backing.policies,
            backing.finder,
            self._multipart,
            hidden_bucket=backing.system_bucket.name,
        )

    async def source(self, name: Name, found: Found) -> Source:
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

"""The values to look for, so that a search can tell "not found" from "not there".

They are held in secret memory of this process and nowhere else, compared there in place, and never printed. They come
from the bridge, when the references are in this process's environment; or from the program itself, when the last of
the attacks wins. The memory is shared with the child processes that attack.
"""

from mmap import mmap
from struct import Struct, error

from strongroom.launch.region import MAGIC
from wrapper.memory import SecretMemory

_HEADER = Struct("<8sIIIIII16s")  # docs/region-format.md
_SLOT = Struct("<IIII")
_SHORTEST_BYTES = 8  # of a value that is looked for alone; shorter ones occur by chance
_MOST_NEEDLES = 64  # each costs one pass over what is searched


class Needles:
    """Values in secret memory."""

    def __init__(self, memory: SecretMemory | None = None) -> None:
        """Take memory that holds a region, or will."""
        self._memory = memory

    @property
    def memory(self) -> mmap | None:
        """Where to put a region that is found; None when there is no room for one."""
        return self._memory.mapping if self._memory else None

    def __len__(self) -> int:
        """Return how many values can be looked for."""
        return len(self._spans())

    def find(self, haystack: bytes | bytearray) -> str | None:
        """Return the name of a variable whose value occurs in some bytes, or None."""
        if self._memory is None or self._memory.mapping is None:
            return None
        with memoryview(self._memory.mapping) as image:
            for name, start, end in self._spans():
                with image[start:end] as needle:
                    if haystack.find(needle) >= 0:
                        return name
        return None

    @property
    def longest_bytes(self) -> int:
        """Length of the longest value."""
        return max((end - start for _, start, end in self._spans()), default=0)

    def _spans(self) -> list[tuple[str, int, int]]:
        """Return name, first byte and end of each value; those too short begin with their name."""
        image = self.memory
        if image is None or image[: len(MAGIC)] != MAGIC:
            return []
        spans = []
        try:
            _, total, _, slots, *_ = _HEADER.unpack_from(image)
            for slot in range(min(slots, len(image) // _SLOT.size)):
                _, name_length, offset, value_length = _SLOT.unpack_from(image, _HEADER.size + slot * _SLOT.size)
                value = offset + name_length + 1
                if offset and value_length and value + value_length <= min(total, len(image)):
                    name = image[offset : offset + name_length].decode("ascii", "replace")
                    start = value if value_length >= _SHORTEST_BYTES else offset
                    spans.append((name, start, value + value_length))
        except error:  # cut short by anyone who wrote it
            return spans[:_MOST_NEEDLES]
        return sorted(spans)[:_MOST_NEEDLES]

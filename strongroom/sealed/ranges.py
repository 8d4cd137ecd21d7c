"""Which stored bytes hold a range of plaintext. ``docs/object-format.md``, section "Ranges".

Ranges are written as in HTTP: first and last byte, both included. Whether a range can be satisfied at all is decided by
the caller (416), before anything here is asked.
"""

from dataclasses import dataclass

from strongroom.errors import MisuseError
from strongroom.sealed.sizes import FOOTER_BYTES, HEADER_BYTES, TAG_BYTES, WHOLE_LOG2


@dataclass(frozen=True, slots=True)
class RangePlan:
    """A run of chunks of one segment.

    Attributes:
        stored_first: first stored byte, from the beginning of the segment.
        stored_last: last stored byte.
        first_chunk: index of the first chunk in it.
        chunks: how many there are.
        skip_bytes: opened bytes to drop at the front.
        take_bytes: opened bytes to keep after that.
    """

    stored_first: int
    stored_last: int
    first_chunk: int
    chunks: int
    skip_bytes: int
    take_bytes: int

    @property
    def stored_bytes(self) -> int:
        """How many bytes to fetch."""
        return self.stored_last - self.stored_first + 1


def plan_range(first: int, last: int, plaintext_bytes: int, chunk_log2: int) -> RangePlan:
    """Plan to read the plaintext bytes from ``first`` to ``last``.

    Args:
        first: first byte of plaintext.
        last: last byte; what lies behind the end of the plaintext is left out.
        plaintext_bytes: length of the segment's plaintext.
        chunk_log2: of the segment.

    Raises:
        ConfigError: the range is empty or begins behind the end.
    """
    if not 0 <= first <= last or first >= plaintext_bytes:
        raise MisuseError(f"no range from byte {first} to {last} in {plaintext_bytes}")
    last = min(last, plaintext_bytes - 1)
    first_chunk, last_chunk = first >> chunk_log2, last >> chunk_log2
    opened_end = min((last_chunk + 1) << chunk_log2, plaintext_bytes)
    return RangePlan(
        stored_first=HEADER_BYTES + (first_chunk << chunk_log2) + first_chunk * TAG_BYTES,
        stored_last=HEADER_BYTES + opened_end + (last_chunk + 1) * TAG_BYTES - 1,
        first_chunk=first_chunk,
        chunks=last_chunk - first_chunk + 1,
        skip_bytes=first - (first_chunk << chunk_log2),
        take_bytes=last - first + 1,
    )


def blind_range(first: int, last: int | None = None) -> tuple[int, int | None]:
    """Return the stored range of a whole object to ask for before its size is known.

    What ``plan_range`` plans begins at the same byte and ends at the same or an earlier one, so the answer's rest is
    dropped.

    Args:
        first: first byte of plaintext.
        last: last byte, or None for all that follows.

    Returns:
        First and last stored byte, the last None if it was.
    """
    chunk_stored = (1 << WHOLE_LOG2) + TAG_BYTES
    begin = HEADER_BYTES + (first >> WHOLE_LOG2) * chunk_stored
    return begin, None if last is None else HEADER_BYTES + ((last >> WHOLE_LOG2) + 1) * chunk_stored - 1


def blind_suffix(plaintext_bytes: int) -> int:
    """Return how many bytes from the end of a whole object of unknown size surely hold its last this many of plaintext.

    What ``plan_range`` plans begins at the same byte as the answer or at a later one.
    """
    chunks = -(-plaintext_bytes // (1 << WHOLE_LOG2)) + 1  # one more, since the last chunk may be short
    return chunks * ((1 << WHOLE_LOG2) + TAG_BYTES) + FOOTER_BYTES

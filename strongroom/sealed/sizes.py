"""The arithmetic between plaintext sizes and stored sizes, in both directions. It needs no key.

``docs/object-format.md``, sections "Segment" and "Sizes". All sizes are in bytes.
"""

from typing import Final

from strongroom.errors import ConfigError

HEADER_BYTES: Final = 256
TAG_BYTES: Final = 16  # AES-GCM, NIST SP 800-38D
FOOTER_BYTES: Final = 112
SHORT_OVERHEAD_BYTES: Final = HEADER_BYTES + TAG_BYTES + FOOTER_BYTES  # of a whole object of one chunk

WHOLE_LOG2: Final = 16
MANIFEST_LOG2: Final = 18  # one chunk holds the largest manifest
MIN_LOG2: Final = 16
MAX_LOG2: Final = 23

MAX_WHOLE_BYTES: Final = 1 << 48  # 2^32 chunks, a 32-bit counter
MAX_PART_BYTES: Final = 1 << 33  # 2^10 chunks of the largest size
MAX_PART_CHUNKS: Final = 1024
MAX_PARTS: Final = 10_000  # S3 API limit

PART_OVERHEAD_BYTES: Final = HEADER_BYTES + MAX_PART_CHUNKS * TAG_BYTES  # 16,640, whatever the part

MANIFEST_FIXED_BYTES: Final = 144
MANIFEST_RECORD_BYTES: Final = 16
MAX_MANIFEST_BYTES: Final = MANIFEST_FIXED_BYTES + MAX_PARTS * MANIFEST_RECORD_BYTES  # plaintext

STORE_MIN_PART_BYTES: Final = 5 << 20  # S3 API limit, for every part but the last
STORE_MAX_PUT_BYTES: Final = 5 << 30  # S3 API limit, for a PUT and for a part


def chunk_count(plaintext_bytes: int, chunk_log2: int) -> int:
    """Return the number of chunks: an empty plaintext is one empty chunk."""
    return max(1, (plaintext_bytes + (1 << chunk_log2) - 1) >> chunk_log2)


def chunks_bytes(plaintext_bytes: int, chunk_log2: int) -> int:
    """Return the stored size of the chunks of a segment, with their tags and nothing else."""
    return plaintext_bytes + TAG_BYTES * chunk_count(plaintext_bytes, chunk_log2)


def part_log2(plaintext_bytes: int) -> int:
    """Return the least chunk size (its log2) that seals a part of this size in at most 1024 chunks.

    Raises:
        ConfigError: the part is larger than 2³³ bytes.
    """
    if not 0 <= plaintext_bytes <= MAX_PART_BYTES:
        msg = f"a part of {plaintext_bytes} bytes cannot be sealed: the largest has {MAX_PART_BYTES}"
        raise ConfigError(msg, hint="use a smaller part size")
    return max(MIN_LOG2, ((plaintext_bytes + MAX_PART_CHUNKS - 1) // MAX_PART_CHUNKS - 1).bit_length())


def part_stored_bytes(plaintext_bytes: int) -> int:
    """Return the stored size of a part segment (its padding included, a manifest behind it not)."""
    return plaintext_bytes + PART_OVERHEAD_BYTES


def part_plaintext_bytes(stored_bytes: int) -> int | None:
    """Return the plaintext size of a part that the store lists with this size; None if no part has it."""
    plaintext_bytes = stored_bytes - PART_OVERHEAD_BYTES
    return plaintext_bytes if 0 <= plaintext_bytes <= MAX_PART_BYTES else None


def whole_stored_bytes(plaintext_bytes: int) -> int:
    """Return the stored size of a whole object: S(p)."""
    return HEADER_BYTES + chunks_bytes(plaintext_bytes, WHOLE_LOG2) + FOOTER_BYTES


def whole_plaintext_bytes(stored_bytes: int) -> int | None:
    """Return the plaintext size of a whole object with this stored size, None if no whole object has it."""
    sealed = stored_bytes - HEADER_BYTES - FOOTER_BYTES
    if sealed < TAG_BYTES:
        return None
    chunk_stored = (1 << WHOLE_LOG2) + TAG_BYTES
    plaintext_bytes = sealed - TAG_BYTES * -(-sealed // chunk_stored)
    if not 0 <= plaintext_bytes <= MAX_WHOLE_BYTES or whole_stored_bytes(plaintext_bytes) != stored_bytes:
        return None
    return plaintext_bytes


def manifest_stored_bytes(parts: int) -> int:
    """Return the stored size of the manifest of this many parts: M(N)."""
    return HEADER_BYTES + MANIFEST_FIXED_BYTES + MANIFEST_RECORD_BYTES * parts + TAG_BYTES


def multipart_overhead_bytes(parts: int) -> int:
    """Return what sealing adds to a multipart object of this many parts, as the store counts them: g(N)."""
    return parts * PART_OVERHEAD_BYTES + manifest_stored_bytes(parts)


def multipart_plaintext_bytes(stored_bytes: int, parts: int) -> int | None:
    """Return the plaintext size of a multipart object; None if no sealed one has this size and number of parts.

    Args:
        stored_bytes: size of the object as the store lists it.
        parts: the number behind the dash in the store's ETag.
    """
    plaintext_bytes = stored_bytes - multipart_overhead_bytes(parts)
    return plaintext_bytes if 1 <= parts <= MAX_PARTS and plaintext_bytes >= 0 else None


def listed_plaintext_bytes(stored_bytes: int, etag: str) -> int | None:
    """Return the plaintext size of an object from what a listing shows of it, None if it cannot be a sealed one.

    Args:
        stored_bytes: the listed size.
        etag: the store's ETag, with or without quotes.
    """
    _, dash, number = etag.strip('"').rpartition("-")
    if not dash:
        return whole_plaintext_bytes(stored_bytes)
    if not (number.isascii() and number.isdigit() and len(number) <= len(str(MAX_PARTS))):
        return None
    return multipart_plaintext_bytes(stored_bytes, int(number))


def largest_whole_bytes(limit_bytes: int = STORE_MAX_PUT_BYTES) -> int:
    """Return the largest plaintext whose whole object a store with this limit takes."""
    room = limit_bytes - HEADER_BYTES - FOOTER_BYTES
    full, rest = divmod(room, (1 << WHOLE_LOG2) + TAG_BYTES)
    return (full << WHOLE_LOG2) + max(0, rest - TAG_BYTES)

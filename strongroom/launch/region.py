"""The region image: the block of memory in which the secrets of one launch live.

``docs/region-format.md`` is the specification; the numbers in comments are its rules. This module writes images (the
bridge) and checks them (the wrapper). The reader looks at values only through ``find`` and single bytes of the buffer,
so secret bytes never become Python objects on the wrapper's side.
"""

from _struct import Struct

from strongroom.errors import OTHER_VERSION, IntegrityError, UndeliverableError
from strongroom.launch.reference import is_env_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from mmap import mmap

    Buffer = bytes | bytearray | mmap

MAGIC = b"SRREGN1\0"
MAX_ENTRIES = 65_535
MAX_TOTAL_BYTES = 1 << 30  # keeps every sum of offsets inside 32 bits
ALIGNMENT_BYTES = 8

_HEADER = Struct("<8sIIIIII16s")
_SLOT = Struct("<IIII")
_FNV_PRIME = 16_777_619  # FNV-1a, 32 bits
_FNV_OFFSET_BASIS = 2_166_136_261
_SEED_STEP = 0x9E37_79B1  # 2^32 / golden ratio: spreads the seeds that are tried
_MAX_SEEDS = 16
_MAX_HASHED_BYTES = 1 << 16  # what the search for a good seed may cost
_U32 = 0xFFFF_FFFF


def slots_for(entries: int) -> int:
    """Return the number of slots of an image with this many entries."""
    return 1 << (2 * entries - 1).bit_length() if entries else 0


def size_for(entries: int, strings_bytes: int) -> int:
    """Return the size of an image for this many entries, whose names and values have this many bytes together."""
    total = _HEADER.size + slots_for(entries) * _SLOT.size + strings_bytes + 2 * entries
    return total + -total % ALIGNMENT_BYTES


def fnv1a(name: bytes, seed: int) -> int:
    """Return the hash of a name: FNV-1a, 32 bits, started from ``seed``."""
    value = seed
    for byte in name:
        value = (value ^ byte) * _FNV_PRIME & _U32
    return value


def encode(
    entries: "Iterable[tuple[str, bytes]]",
    *,
    generation: int = 0,
    room_bytes: int = 0,
    first_seed: int = _FNV_OFFSET_BASIS,
) -> bytes:
    """Write an image.

    Args:
        entries: names and values, in the order in which their strings are to stand.
        generation: 0 … 2³²-1.
        room_bytes: free space after the strings, for values that change later.
        first_seed: the hash seed to try first, 0 … 2³²-1. Where others choose the names it should be random: names that
            all collide under a known seed would make writing and checking quadratic.

    Returns:
        The image, whose length is its total size.

    Raises:
        UndeliverableError: a name cannot be a variable or occurs twice, a value holds a NUL byte, or it is too much.
    """
    pairs = [(_checked_name(name), _checked_value(name, value)) for name, value in entries]
    count = len(pairs)
    slots = slots_for(count)
    table_end = _HEADER.size + slots * _SLOT.size
    total = size_for(count, sum(len(name) + len(value) for name, value in pairs) + room_bytes)
    if count > MAX_ENTRIES or total > MAX_TOTAL_BYTES:
        msg = f"{count} secrets of {total} bytes: a region holds at most {MAX_ENTRIES} of {MAX_TOTAL_BYTES} bytes"
        raise UndeliverableError(
            msg, hint="take large values as files (NAME=file:bao:...), or fewer keys of a whole path"
        )
    seen: set[bytes] = set()
    for name, _ in pairs:
        if name in seen:
            msg = f"{name.decode()}: named twice"
            raise UndeliverableError(msg, hint="two keys of whole paths lead to one variable: take one of them by name")
        seen.add(name)

    seed, hashes = _choose_seed([name for name, _ in pairs], slots, first_seed)
    image = bytearray(total)
    _HEADER.pack_into(image, 0, MAGIC, total, count, slots, seed, generation, generation ^ _U32, bytes(16))
    used = bytearray(slots)
    offset = table_end
    for (name, value), hashed in zip(pairs, hashes, strict=True):
        slot = _free_slot(used, hashed, slots)
        used[slot] = 1
        _SLOT.pack_into(image, _HEADER.size + slot * _SLOT.size, hashed, len(name), offset, len(value))
        end = offset + len(name) + 1 + len(value)
        image[offset:end] = b"%s=%s" % (name, value)
        offset = end + 1
    return bytes(image)


def _checked_name(name: str) -> bytes:
    if not is_env_name(name):
        msg = f"{name!r}: cannot be the name of a variable; letters, digits and _ may appear in it, no digit first"
        raise UndeliverableError(msg, hint="name the secret in a variable of its own, or say ?names=convert")
    return name.encode("ascii")


def _checked_value(name: str, value: bytes) -> bytes:
    if 0 in value:
        msg = f"{name}: the value is binary (it holds a NUL byte) and cannot be a variable"
        raise UndeliverableError(msg, hint="store it as a string, for example base64")
    return value


def _free_slot(used: bytearray, hashed: int, slots: int) -> int:
    slot = hashed & (slots - 1)
    while used[slot]:
        slot = (slot + 1) & (slots - 1)
    return slot


def _choose_seed(names: list[bytes], slots: int, first_seed: int) -> tuple[int, list[int]]:
    """Return the seed whose longest probe is shortest among those that may be tried, and the hashes under it."""
    if not names:
        return 0, []
    size = sum(map(len, names))
    best: tuple[int, int, list[int]] | None = None
    for attempt in range(max(1, min(_MAX_SEEDS, _MAX_HASHED_BYTES // size))):
        seed = (first_seed + attempt * _SEED_STEP) & _U32
        hashes = [fnv1a(name, seed) for name in names]
        longest = _longest_probe(hashes, slots)
        if best is None or longest < best[0]:
            best = (longest, seed, hashes)
        if longest == 1:
            break
    assert best is not None  # noqa: S101 - the loop runs at least once
    return best[1], best[2]


def _longest_probe(hashes: list[int], slots: int) -> int:
    used = bytearray(slots)
    longest = 1
    for hashed in hashes:
        slot = _free_slot(used, hashed, slots)
        used[slot] = 1
        longest = max(longest, ((slot - hashed) & (slots - 1)) + 1)
    return longest


def read_names(image: "Buffer") -> list[str]:
    """Check an image completely and return the names in it, in the order of their slots.

    Args:
        image: the whole buffer or mapping; its length must be the image's total size.

    Raises:
        IntegrityError: any rule of the specification does not hold.
    """
    return list(read_offsets(image))


def read_offsets(image: "Buffer") -> dict[str, int]:
    """Check an image completely and return, by name, where its string ``NAME=VALUE`` stands.

    Raises:
        IntegrityError: any rule of the specification does not hold.
    """
    return {name: offset for name, (_, offset, _) in read_slots(image).items()}


def read_slots(image: "Buffer") -> dict[str, tuple[int, int, int]]:
    """Check an image completely and return, by name, the slot, and where its string begins and where its NUL stands.

    Raises:
        IntegrityError: any rule of the specification does not hold.
    """
    return {
        image[offset : offset + length].decode("ascii"): (slot, offset, end)
        for slot, offset, length, end in _checked_entries(image)
    }


def read_values(image: "Buffer") -> dict[str, bytes]:
    """Check an image completely and return names and values. For tests and tools; the launch path never calls it.

    Raises:
        IntegrityError: any rule of the specification does not hold.
    """
    return {
        image[offset : offset + length].decode("ascii"): bytes(image[offset + length + 1 : end])
        for _, offset, length, end in _checked_entries(image)
    }


def _checked_entries(image: "Buffer") -> list[tuple[int, int, int, int]]:
    """Return slot, offset of the string, length of the name and end of the value of each entry."""
    count, slots, seed = _checked_header(image)
    table_end = _HEADER.size + slots * _SLOT.size
    homes: list[int] = [-1] * slots
    names: list[bytes] = [b""] * slots
    entries: list[tuple[int, int, int, int]] = []
    for slot in range(slots):
        hashed, name_length, offset, value_length = _SLOT.unpack_from(image, _HEADER.size + slot * _SLOT.size)
        if not offset:
            if hashed or name_length or value_length:
                _refuse(5, f"slot {slot} is neither used nor empty")
            continue
        end = offset + name_length + 1 + value_length
        name = _checked_string(image, table_end, slot, offset, name_length, end)
        if fnv1a(name, seed) != hashed:
            _refuse(7, f"the hash in slot {slot}")
        names[slot] = name
        homes[slot] = hashed & (slots - 1)
        entries.append((slot, offset, name_length, end))
    if len(entries) != count:
        _refuse(5, f"{len(entries)} slots are used for {count} entries")
    _check_probes(homes, names, slots)
    return entries


def _checked_header(image: "Buffer") -> tuple[int, int, int]:
    """Check rules 1 to 4; return the numbers of entries and slots, and the seed."""
    size = len(image)
    if size < _HEADER.size:
        _refuse(1, f"{size} bytes are less than a header")
    magic, total, count, slots, seed, generation, check, reserved = _HEADER.unpack_from(image)
    if magic != MAGIC:
        _refuse(1, "it does not begin with the magic")
    if total != size or total % ALIGNMENT_BYTES or total > MAX_TOTAL_BYTES:
        _refuse(2, f"total size {total} in a buffer of {size} bytes")
    if count > MAX_ENTRIES or slots != slots_for(count) or _HEADER.size + slots * _SLOT.size > total:
        _refuse(3, f"{count} entries in {slots} slots")
    if generation ^ check != _U32 or any(reserved) or (seed and not count):
        _refuse(4, "generation, reserved bytes or seed")
    return count, slots, seed


def _checked_string(  # noqa: PLR0913, PLR0917 - five numbers of one slot
    image: "Buffer", table_end: int, slot: int, offset: int, name_length: int, end: int
) -> bytes:
    """Check rule 6 for ``NAME=VALUE`` from ``offset`` to ``end``, where its NUL must stand; return the name."""
    equals = offset + name_length
    if offset < table_end or end >= len(image) or (offset > table_end and image[offset - 1]):
        _refuse(6, f"slot {slot} points outside the strings")
    name = bytes(image[offset:equals])
    if not is_env_name(name.decode("latin-1")) or image[equals] != ord("="):
        _refuse(6, f"the name in slot {slot}")
    if image[end] or image.find(b"\0", equals, end) >= 0:
        _refuse(6, f"the string of slot {slot} does not end where it should")
    return name


def _check_probes(homes: list[int], names: list[bytes], slots: int) -> None:
    for slot, home in enumerate(homes):
        at = home
        while at >= 0 and at != slot:
            if homes[at] < 0 or names[at] == names[slot]:
                _refuse(8, f"slot {slot} cannot be reached")
            at = (at + 1) & (slots - 1)


def _refuse(rule: int, detail: str) -> None:
    raise IntegrityError(f"malformed region image: rule {rule}: {detail}", hint=OTHER_VERSION)

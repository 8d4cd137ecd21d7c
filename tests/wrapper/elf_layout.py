"""ELF files as tools leave them that add segments: the program header table at the end (patchelf, LIEF, postject)."""

import struct

_LOAD, _PHDR = 1, 6  # elf(5)
_ENTRY = "<IIQQQQQQ"  # Elf64_Phdr: type, flags, offset, vaddr, paddr, filesz, memsz, align
_ENTRY_BYTES = 56
_PAGE = 0x10000  # the largest page of the machines that we run on


def with_table_at_end(original: bytes) -> bytes:
    """Return a position-independent program with its program header table behind all else, in a segment of its own."""
    (table,) = struct.unpack_from("<Q", original, 32)
    (count,) = struct.unpack_from("<H", original, 56)
    entries = [struct.unpack_from(_ENTRY, original, table + i * _ENTRY_BYTES) for i in range(count)]
    beyond = max([len(original), *(vaddr + memsz for kind, _, _, vaddr, _, _, memsz, _ in entries if kind == _LOAD)])
    # File offset and address are the same, as older kernels assume when they tell ld.so where the table is.
    place = (beyond + 1_000_000) // _PAGE * _PAGE + _PAGE
    size = (count + 1) * _ENTRY_BYTES
    moved = [
        (kind, flags, place, place, place, size, size, 8) if kind == _PHDR else (kind, flags, *rest)
        for kind, flags, *rest in entries
    ]
    last_load = max(i for i, entry in enumerate(moved) if entry[0] == _LOAD)
    moved.insert(last_load + 1, (_LOAD, 4, place, place, place, size, size, _PAGE))
    content = bytearray(original.ljust(place, b"\0"))
    struct.pack_into("<Q", content, 32, place)
    struct.pack_into("<H", content, 56, len(moved))
    return bytes(content) + b"".join(struct.pack(_ENTRY, *entry) for entry in moved)

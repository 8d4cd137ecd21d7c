"""The headers of ELF files and of their images in memory (elf(5)): 64 bits and little endian, as all machines here are.

Pure, and on the launch path. Section headers are never looked at; neither kernel nor dynamic loader does.
"""

from _struct import error as StructError  # type: ignore[attr-defined]  # noqa: N812 - it is an exception
from _struct import iter_unpack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Segment = tuple[int, int, int, int, int]

MAGIC = b"\x7fELF"
HEADER_BYTES = 64  # Elf64_Ehdr
MACHINES = {"x86_64": 62, "aarch64": 183}  # EM_X86_64, EM_AARCH64, by the name in uname(2)
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
PF_X = 1

_ENTRY = "<IIqQ8xQ16x"  # p_type, p_flags, p_offset (signed, as the kernel takes it), p_vaddr, p_filesz
_ENTRY_BYTES = 56  # Elf64_Phdr; the kernel takes no other size (fs/binfmt_elf.c, load_elf_phdrs)
_MAX_TABLE_BYTES = 65_536  # likewise


class ElfError(ValueError):
    """The bytes are not an ELF file of the kind that is understood here."""


def machine_of(head: bytes) -> int:
    """Return the number of the processor that a file is for.

    Raises:
        ElfError: it is not an ELF file of 64 bits and little endian.
    """
    if not head.startswith(MAGIC):
        raise ElfError("is not an ELF file")
    if head[4:6] != b"\x02\x01":
        raise ElfError("is not a little-endian 64-bit ELF file")
    return int.from_bytes(head[18:20], "little")


def table_of(head: bytes) -> tuple[int, int]:
    """Return place and size of the program header table.

    Raises:
        ElfError: the kernel takes no such table.
    """
    try:
        (offset,) = unpack_from("<Q", head, 32)
        entry_bytes, entries = unpack_from("<HH", head, 54)
    except StructError:
        raise ElfError("is damaged: ends in its header") from None
    size = entry_bytes * entries
    if entry_bytes != _ENTRY_BYTES or not 0 < size <= _MAX_TABLE_BYTES:
        raise ElfError("is damaged: its program headers are not such as the kernel takes")
    return offset, size


def segments_of(head: bytes, read: "Callable[[int, int], bytes]") -> "list[Segment]":
    """Return kind, flags, place in the file, address, and size in the file of each segment.

    The table of them may lie anywhere in a file: tools that add a segment move it to the end (patchelf, LIEF,
    postject).

    Args:
        head: the beginning of the file, at least its header.
        read: returns bytes of the file from an offset; fewer where it ends.

    Raises:
        ElfError: the kernel takes no such table.
    """
    offset, size = table_of(head)
    try:
        table = read(offset, size)
    except (OverflowError, OSError):  # where no file has bytes
        table = b""
    if len(table) != size:
        raise ElfError("is damaged: ends before its program headers do")
    return list(iter_unpack(_ENTRY, table))

"""What a bundle must know of ELF files (elf(5)): what they need, and how to make a copy that needs nothing else.

Pure: works on bytes.
"""

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812 - it names itself like a function
from typing import TYPE_CHECKING

from strongroom.elf import HEADER_BYTES, PT_DYNAMIC, PT_INTERP, PT_LOAD, ElfError, machine_of, segments_of, table_of

if TYPE_CHECKING:
    from strongroom.elf import Segment

_DYNAMIC = Struct("<qQ")
_SECTIONS_IN_HEADER = Struct("<Q")  # e_shoff, at 40
_SECTION_COUNTS = Struct("<HHH")  # e_shentsize, e_shnum, e_shstrndx, at 58

_DT_NULL = 0
_DT_NEEDED = 1
_DT_STRTAB = 5
_DT_STRSZ = 10
_DT_SONAME = 14
_DT_RPATH = 15
_DT_RUNPATH = 29


@dataclass(frozen=True)
class Elf:
    """What the headers of one file say.

    Attributes:
        machine: the number of the processor, ``EM_X86_64`` or another.
        interpreter: the path of its dynamic loader; empty in libraries and static programs.
        soname: the name under which others need it; empty if it has none.
        needed: the names of the libraries that it needs.
        search_paths: RPATH and RUNPATH as they are in the file.
    """

    machine: int
    interpreter: str
    soname: str
    needed: tuple[str, ...]
    search_paths: tuple[str, ...]


def read(data: bytes) -> Elf:
    """Read the headers of a program or a library.

    Raises:
        ElfError: it is none, or is cut off.
    """
    try:
        segments = _segments(data)
        interpreter = next((_slice(data, at, size) for kind, _, at, _, size in segments if kind == PT_INTERP), b"")
        entries = _dynamic_entries(data, segments)
        strings = _string_table(data, segments, entries)
        names: dict[int, list[str]] = {}
        for tag, value in entries:
            if tag in {_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH}:
                names.setdefault(tag, []).append(_text(strings, value))
        return Elf(
            machine=machine_of(data),
            interpreter=_text(interpreter, 0) if interpreter else "",
            soname=names.get(_DT_SONAME, [""])[0],
            needed=tuple(names.get(_DT_NEEDED, [])),
            search_paths=tuple(names.get(_DT_RPATH, []) + names.get(_DT_RUNPATH, [])),
        )
    except (StructError, UnicodeDecodeError, OverflowError) as error:  # an offset of 2^63 and more
        raise ElfError(f"is damaged: {error}") from None


def relocatable(data: bytes) -> bytes:
    """Return a copy that looks for libraries only where it is told to, without what is not needed to run.

    RPATH and RUNPATH go: they name directories of the machine it was built on, and RPATH comes before
    ``--library-path`` (ld.so(8)). So does all that lies behind the last segment: symbols for debuggers and the section
    headers, which for an interpreter with debugging symbols is most of the file.

    Raises:
        ElfError: it is not an ELF file, or is cut off.
    """
    read(data)  # refuses what is damaged
    segments = _segments(data)
    kept = max([HEADER_BYTES, sum(table_of(data)), *(offset + size for _, _, offset, _, size in segments)])
    copy = bytearray(_slice(data, 0, kept))
    _SECTIONS_IN_HEADER.pack_into(copy, 40, 0)
    _SECTION_COUNTS.pack_into(copy, 58, 0, 0, 0)
    for kind, _, offset, _, size in segments:
        if kind == PT_DYNAMIC:
            entries = [_DYNAMIC.unpack_from(copy, at) for at in _entry_offsets(offset, size)]
            rest = [entry for entry in entries if entry[0] not in {_DT_RPATH, _DT_RUNPATH}]
            rest += [(_DT_NULL, 0)] * (len(entries) - len(rest))
            for at, entry in zip(_entry_offsets(offset, size), rest, strict=True):
                _DYNAMIC.pack_into(copy, at, *entry)
    return bytes(copy)


def _segments(data: bytes) -> "list[Segment]":
    machine_of(data)  # refuses other kinds of files
    segments = segments_of(data, lambda at, size: data[at : at + size])
    if any(offset < 0 for _, _, offset, _, _ in segments):
        raise ElfError("is damaged: a segment lies before its beginning")
    return segments


def _entry_offsets(offset: int, size: int) -> range:
    return range(offset, offset + size - _DYNAMIC.size + 1, _DYNAMIC.size)


def _dynamic_entries(data: bytes, segments: "list[Segment]") -> list[tuple[int, int]]:
    entries: list[tuple[int, int]] = []
    for kind, _, offset, _, size in segments:
        if kind == PT_DYNAMIC:
            for at in _entry_offsets(offset, size):
                tag, value = _DYNAMIC.unpack_from(data, at)
                if tag == _DT_NULL:
                    break
                entries.append((tag, value))
    return entries


def _string_table(data: bytes, segments: "list[Segment]", entries: list[tuple[int, int]]) -> bytes:
    values = dict(entries)
    if _DT_STRTAB not in values:
        return b""
    address = values[_DT_STRTAB]
    for kind, _, offset, start, size in segments:
        if kind == PT_LOAD and start <= address < start + size:
            return _slice(data, offset + address - start, values.get(_DT_STRSZ, 0))
    raise ElfError("is damaged: its string table lies in no segment")


def _slice(data: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(data):
        raise ElfError(f"is damaged: ends after {len(data)} of {offset + size} bytes")
    return data[offset : offset + size]


def _text(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    if end < 0:
        raise ElfError("is damaged: a name has no end")
    return strings[offset:end].decode()

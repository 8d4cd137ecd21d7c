"""What a bundle must know of ELF files (elf(5)): what they need, and how to make a copy that needs nothing else.

Pure: works on bytes. Little-endian 64-bit files only, as the machines are that the wrapper runs on. Section headers are
never looked at; the dynamic loader does not either.
"""

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812 - it names itself like a function

MAGIC = b"\x7fELF"

_HEADER = Struct("<4sBBBBB7xHHIQQQIHHHHHH")
_SEGMENT = Struct("<IIQQQQQQ")
_DYNAMIC = Struct("<qQ")
_SECTIONS_IN_HEADER = Struct("<Q")  # e_shoff, at 40
_SECTION_COUNTS = Struct("<HHH")  # e_shentsize, e_shnum, e_shstrndx, at 58

_CLASS_64 = 2
_LITTLE_ENDIAN = 1
_PT_LOAD = 1
_PT_DYNAMIC = 2
_PT_INTERP = 3
_DT_NULL = 0
_DT_NEEDED = 1
_DT_STRTAB = 5
_DT_STRSZ = 10
_DT_SONAME = 14
_DT_RPATH = 15
_DT_RUNPATH = 29


class ElfError(ValueError):
    """The bytes are not an ELF file of the kind that is understood here."""


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    file_bytes: int


@dataclass(frozen=True)
class Elf:
    """What the headers of one file say.

    Attributes:
        machine: the number of the processor, ``EM_X86_64`` or another.
        interpreter: the path of its dynamic loader; empty in libraries and static programs.
        soname: the name under which others need it; empty if it has none.
        needed: the names of the libraries that it needs.
        search_paths: RPATH and RUNPATH as they stand in the file.
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
        interpreter = next((_slice(data, s.offset, s.file_bytes) for s in segments if s.kind == _PT_INTERP), b"")
        entries = _dynamic_entries(data, segments)
        strings = _string_table(data, segments, entries)
        names: dict[int, list[str]] = {}
        for tag, value in entries:
            if tag in {_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH}:
                names.setdefault(tag, []).append(_text(strings, value))
        return Elf(
            machine=_HEADER.unpack_from(data)[7],
            interpreter=_text(interpreter, 0) if interpreter else "",
            soname=names.get(_DT_SONAME, [""])[0],
            needed=tuple(names.get(_DT_NEEDED, [])),
            search_paths=tuple(names.get(_DT_RPATH, []) + names.get(_DT_RUNPATH, [])),
        )
    except (StructError, UnicodeDecodeError, OverflowError) as error:  # an offset of 2^63 and more
        msg = f"is damaged: {error}"
        raise ElfError(msg) from None


def relocatable(data: bytes) -> bytes:
    """Return a copy that looks for libraries only where it is told to, without what is not needed to run.

    RPATH and RUNPATH go: they name directories of the machine it was built on, and RPATH comes before
    ``--library-path`` (ld.so(8)). So does all that lies behind the last segment: symbols for debuggers and the section
    headers, which for an interpreter with debugging symbols is most of the file.

    Raises:
        ElfError: it is no ELF file, or is cut off.
    """
    read(data)  # refuses what is damaged
    segments = _segments(data)
    kept = max([_HEADER.size, _table_end(data), *(s.offset + s.file_bytes for s in segments)])
    copy = bytearray(_slice(data, 0, kept))
    _SECTIONS_IN_HEADER.pack_into(copy, 40, 0)
    _SECTION_COUNTS.pack_into(copy, 58, 0, 0, 0)
    for segment in segments:
        if segment.kind == _PT_DYNAMIC:
            entries = [_DYNAMIC.unpack_from(copy, at) for at in _entry_offsets(segment)]
            rest = [entry for entry in entries if entry[0] not in {_DT_RPATH, _DT_RUNPATH}]
            rest += [(_DT_NULL, 0)] * (len(entries) - len(rest))
            for at, entry in zip(_entry_offsets(segment), rest, strict=True):
                _DYNAMIC.pack_into(copy, at, *entry)
    return bytes(copy)


def _segments(data: bytes) -> list[_Segment]:
    if not data.startswith(MAGIC):
        msg = "is not an ELF file"
        raise ElfError(msg)
    fields = _HEADER.unpack_from(data)
    if (fields[1], fields[2]) != (_CLASS_64, _LITTLE_ENDIAN):
        msg = "is not a little-endian 64-bit ELF file"
        raise ElfError(msg)
    start, size, number = fields[10], fields[14], fields[15]
    segments = []
    for index in range(number):
        kind, _, offset, address, _, file_bytes, _, _ = _SEGMENT.unpack_from(data, start + index * size)
        segments.append(_Segment(kind, offset, address, file_bytes))
    return segments


def _table_end(data: bytes) -> int:
    fields = _HEADER.unpack_from(data)
    start, size, number = fields[10], fields[14], fields[15]
    return int(start + size * number)


def _entry_offsets(segment: _Segment) -> range:
    return range(segment.offset, segment.offset + segment.file_bytes - _DYNAMIC.size + 1, _DYNAMIC.size)


def _dynamic_entries(data: bytes, segments: list[_Segment]) -> list[tuple[int, int]]:
    entries: list[tuple[int, int]] = []
    for segment in segments:
        if segment.kind == _PT_DYNAMIC:
            for at in _entry_offsets(segment):
                tag, value = _DYNAMIC.unpack_from(data, at)
                if tag == _DT_NULL:
                    break
                entries.append((tag, value))
    return entries


def _string_table(data: bytes, segments: list[_Segment], entries: list[tuple[int, int]]) -> bytes:
    values = dict(entries)
    if _DT_STRTAB not in values:
        return b""
    address = values[_DT_STRTAB]
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.file_bytes:
            return _slice(data, segment.offset + address - segment.address, values.get(_DT_STRSZ, 0))
    msg = "is damaged: its string table lies in no segment"
    raise ElfError(msg)


def _slice(data: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(data):
        msg = f"is damaged: ends after {len(data)} of {offset + size} bytes"
        raise ElfError(msg)
    return data[offset : offset + size]


def _text(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    if end < 0:
        msg = "is damaged: a name has no end"
        raise ElfError(msg)
    return strings[offset:end].decode()

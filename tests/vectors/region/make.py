"""Write the vectors of the region format into this directory.

Written from docs/region-format.md alone; it shares no code with the writer or the readers of the product, so that a
mistake would have to be made twice to stay unseen. ``python tests/vectors/region/make.py`` rewrites all files; a test
checks that they are what this program writes.
"""

import json
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
MAGIC = b"SRREGN1\0"
HEADER_BYTES = 48
SLOT_BYTES = 16
PRIME = 16777619
WORD = 0xFFFFFFFF

Entry = tuple[str, bytes]


def name_hash(seed: int, name: bytes) -> int:
    """FNV-1a, 32 bits, with the seed in the place of the offset basis."""
    for byte in name:
        seed = ((seed ^ byte) * PRIME) & WORD
    return seed


def slot_count(entries: int) -> int:
    """Return the smallest power of two that is at least twice the number of entries; 0 for none."""
    return 0 if entries == 0 else 1 << (2 * entries - 1).bit_length()


@dataclass
class Slot:
    """One place of the table, field by field, so that a vector can break any of them."""

    hash: int = 0
    name_bytes: int = 0
    offset: int = 0
    value_bytes: int = 0

    def pack(self) -> bytes:
        """Return the sixteen bytes."""
        return struct.pack("<4I", self.hash, self.name_bytes, self.offset, self.value_bytes)


@dataclass
class Image:
    """A region image taken apart; ``total`` is worked out when it is None."""

    entries: int
    slots: list[Slot]
    seed: int
    strings: bytearray
    generation: int = 1
    generation_check: int | None = None
    magic: bytes = MAGIC
    reserved: bytes = bytes(16)
    total: int | None = None
    declared_slots: int | None = None
    places: dict[bytes, int] = field(default_factory=dict)

    @property
    def table_end(self) -> int:
        """Where the strings begin."""
        return HEADER_BYTES + SLOT_BYTES * len(self.slots)

    def pack(self) -> bytes:
        """Return the bytes of the image, padded to a multiple of eight."""
        body = b"".join(slot.pack() for slot in self.slots) + bytes(self.strings)
        body += bytes(-(HEADER_BYTES + len(body)) % 8)
        check = self.generation ^ WORD if self.generation_check is None else self.generation_check
        header = self.magic + struct.pack(
            "<6I",
            HEADER_BYTES + len(body) if self.total is None else self.total,
            self.entries,
            len(self.slots) if self.declared_slots is None else self.declared_slots,
            self.seed,
            self.generation,
            check,
        )
        return header + self.reserved + body


def place(image: Image, name: bytes, slot: Slot) -> int:
    """Put a slot into the first free place from its home on; return the index."""
    index = slot.hash % len(image.slots)
    while image.slots[index].offset:
        index = (index + 1) % len(image.slots)
    image.slots[index] = slot
    image.places[name] = index
    return index


def build(entries: Sequence[Entry], *, seed: int = 2166136261, generation: int = 1, room: int = 0) -> Image:
    """Return the image of these entries with ``room`` spare bytes after the strings."""
    slots = slot_count(len(entries))
    image = Image(len(entries), [Slot() for _ in range(slots)], seed if entries else 0, bytearray(), generation)
    for text, value in entries:
        name = text.encode()
        offset = image.table_end + len(image.strings)
        image.strings += name + b"=" + value + b"\0"
        place(image, name, Slot(name_hash(image.seed, name), len(name), offset, len(value)))
    image.strings += bytes(room)
    return image


def colliding_names(count: int, *, slots: int, seed: int) -> list[str]:
    """Names that share one home, the last of the table, so that probing goes around its end."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = f"N{number}"
        if name_hash(seed, name.encode()) % slots == slots - 1:
            found.append(name)
        number += 1
    return found


TWO: list[Entry] = [("DB_PASSWORD", b"s3cret"), ("API_KEY", b"k")]


def good() -> Iterable[tuple[str, list[Entry], Image]]:
    """Images that every reader must accept: file name, contents, image."""
    yield "empty", [], build([])
    yield "empty-with-room", [], build([], room=64)
    one: list[Entry] = [("TOKEN", b"value")]
    yield "one", one, build(one)
    yield "two", TWO, build(TWO)
    yield "seed-zero", TWO, build(TWO, seed=0)
    yield "generation-wraps", TWO, build(TWO, generation=WORD)
    yield "generation-zero", TWO, build(TWO, generation=0)
    bytes_entries: list[Entry] = [
        ("EMPTY", b""),
        ("EQUALS", b"a=b=c"),
        ("LINES", b"one\ntwo\r\n\tthree"),
        ("NOT_UTF8", bytes(range(1, 256))),
        ("UTF8", "schlüssel".encode()),
        ("_underscore9", b"_"),
        ("a", b"shortest name"),
    ]
    yield "bytes", bytes_entries, build(bytes_entries)
    names = colliding_names(5, slots=16, seed=7)
    chain = [(name, f"value of {name}".encode()) for name in names]
    yield "chain-around-the-end", chain, build(chain, seed=7)
    # Entry for entry the string of the next begins with this one's: lookups must compare lengths.
    prefixes: list[Entry] = [("A" * i, str(i).encode()) for i in range(1, 9)]
    yield "prefixes", prefixes, build(prefixes)
    long_entries: list[Entry] = [("LONG_" + "X" * 300, b"v"), ("LONG_VALUE", b"0123456789abcdef" * 256)]
    yield "long", long_entries, build(long_entries)
    many = [(f"SECRET_{i:04}", f"value {i}".encode()) for i in range(200)]
    yield "many", many, build(many)
    # As a live rotation leaves it: the old value is still there, no slot points to it, and there is room left.
    rotated = build(TWO, generation=2)
    offset = rotated.table_end + len(rotated.strings)
    rotated.strings += b"API_KEY=rotated\0" + b"\xa5" * 21
    slot = rotated.slots[rotated.places[b"API_KEY"]]
    slot.offset, slot.value_bytes = offset, len(b"rotated")
    yield "rotated", [TWO[0], ("API_KEY", b"rotated")], rotated


def bad() -> Iterable[tuple[str, bytes]]:
    """Images that every reader must refuse; the file name begins with the number of the rule that is broken."""
    yield from _bad_headers()
    yield from _bad_tables()
    yield from _bad_strings()
    yield from _bad_probes()


def _changed(change: Callable[[Image], None], entries: Sequence[Entry] = TWO) -> bytes:
    image = build(entries, room=16)
    change(image)
    return image.pack()


def _set(**fields: object) -> Callable[[Image], None]:
    def change(image: Image) -> None:
        for name, value in fields.items():
            setattr(image, name, value)

    return change


def _bad_headers() -> Iterable[tuple[str, bytes]]:
    whole = build(TWO).pack()
    yield "1-no-bytes", b""
    yield "1-shorter-than-a-header", build([]).pack()[:47]
    yield "1-magic", _changed(_set(magic=b"SRREGN2\0"))
    yield "1-magic-case", _changed(_set(magic=b"srregn1\0"))
    yield "2-total-below-length", _changed(_set(total=len(whole) - 8))
    yield "2-total-above-length", _changed(_set(total=len(whole) + 65536))
    odd = build([], room=8).pack()[:-4]
    yield "2-not-a-multiple-of-8", odd[:8] + struct.pack("<I", len(odd)) + odd[12:]
    yield "2-byte-behind-the-end", whole + b"\0"
    yield "2-cut-behind-the-header", whole[:48]
    yield "3-too-many-entries", _changed(_set(entries=65536))
    yield "3-entries-all-ones", _changed(_set(entries=WORD))
    yield "3-slots-not-a-power-of-two", _changed(_set(declared_slots=6))
    yield "3-slots-below-twice-the-entries", _changed(_set(declared_slots=2))
    yield "3-slots-above-the-smallest", _changed(_set(declared_slots=8))
    yield "3-slots-zero-with-entries", _changed(_set(declared_slots=0))
    yield "3-slots-without-entries", _changed(_set(declared_slots=2), [])
    yield "3-table-beyond-the-end", _changed(_set(entries=65535, declared_slots=131072))
    yield "4-generation-check", _changed(_set(generation_check=1))
    yield "4-generation-check-zero", _changed(_set(generation=5, generation_check=0))
    yield "4-reserved-first", _changed(_set(reserved=b"\1" + bytes(15)))
    yield "4-reserved-last", _changed(_set(reserved=bytes(15) + b"\x80"))
    yield "4-seed-without-entries", _changed(_set(seed=1), [])


def _slot_of(image: Image, name: bytes = b"DB_PASSWORD") -> Slot:
    return image.slots[image.places[name]]


def _free(image: Image) -> Slot:
    return next(slot for slot in image.slots if not slot.offset)


def _bad_tables() -> Iterable[tuple[str, bytes]]:
    yield "5-one-slot-unused", _changed(lambda image: image.slots.__setitem__(image.places[b"API_KEY"], Slot()))

    def one_more(image: Image) -> None:
        offset = image.table_end + len(image.strings) - 16
        image.strings[-16:] = b"THIRD=x\0" + bytes(8)
        place(image, b"THIRD", Slot(name_hash(image.seed, b"THIRD"), 5, offset, 1))

    yield "5-one-slot-more", _changed(one_more)
    yield "5-empty-slot-with-hash", _changed(lambda image: setattr(_free(image), "hash", 1))
    yield "5-empty-slot-with-name-length", _changed(lambda image: setattr(_free(image), "name_bytes", 1))
    yield "5-empty-slot-with-value-length", _changed(lambda image: setattr(_free(image), "value_bytes", 1 << 31))


def _bad_strings() -> Iterable[tuple[str, bytes]]:
    def edit_slot(**fields: int) -> bytes:
        def change(image: Image) -> None:
            for name, value in fields.items():
                setattr(_slot_of(image), name, value)

        return _changed(change)

    def edit_text(old: bytes, new: bytes) -> bytes:
        def change(image: Image) -> None:
            image.strings[:] = image.strings.replace(old, new, 1)

        return _changed(change)

    first = build(TWO).table_end
    yield "6-offset-in-the-header", edit_slot(offset=8)
    yield "6-offset-in-the-table", edit_slot(offset=first - 8)
    yield "6-offset-beyond-the-end", edit_slot(offset=1 << 20)
    yield "6-offset-all-ones", edit_slot(offset=WORD)
    yield "6-value-beyond-the-end", edit_slot(value_bytes=1 << 20)
    yield "6-value-length-wraps", edit_slot(value_bytes=WORD - 11)
    yield "6-name-length-wraps", edit_slot(name_bytes=WORD)
    yield "6-name-length-zero", edit_slot(name_bytes=0)
    yield "6-value-too-short", edit_slot(value_bytes=5)
    yield "6-value-too-long", edit_slot(value_bytes=7)
    yield "6-nul-in-value", edit_text(b"s3cret", b"s3\0ret")
    yield "6-no-equals", edit_text(b"DB_PASSWORD=", b"DB_PASSWORD:")
    yield "6-name-with-dash", edit_text(b"DB_PASSWORD", b"DB-PASSWORD")
    yield "6-name-begins-with-digit", edit_text(b"DB_PASSWORD", b"9B_PASSWORD")
    yield "6-name-with-nul", edit_text(b"DB_PASSWORD", b"DB\0PASSWORD")
    yield "6-name-not-ascii", edit_text(b"DB_PASSWORD", b"DB\xc3\x9cASSWORD")
    yield "6-name-with-equals", edit_text(b"DB_PASSWORD", b"DB=PASSWORD")

    def unterminated(image: Image) -> None:
        # The last string ends with the image, one byte too early for a terminator.
        image.strings[:] = image.strings.rstrip(b"\0")
        image.strings += b"x" * (-(image.table_end + len(image.strings)) % 8)
        slot = _slot_of(image, b"API_KEY")
        slot.value_bytes = image.table_end + len(image.strings) - slot.offset - len(b"API_KEY=")

    yield "6-last-value-not-terminated", _changed(unterminated)

    def inside(image: Image) -> None:
        # A slot turned to the inside of another string, with everything else about it in order.
        image.strings[:] = image.strings.replace(b"s3cret", b"AB=cde")
        slot = _slot_of(image)
        offset = slot.offset + len(b"DB_PASSWORD=")
        seed = image.seed
        image.slots[:] = [Slot() for _ in image.slots]
        kept = build(TWO).slots[build(TWO).places[b"API_KEY"]]
        place(image, b"API_KEY", kept)
        place(image, b"AB", Slot(name_hash(seed, b"AB"), 2, offset, 3))

    yield "6-inside-another-string", _changed(inside)
    yield "7-hash", edit_slot(hash=build(TWO).slots[build(TWO).places[b"DB_PASSWORD"]].hash ^ 1 << 31)
    yield "7-name-changed", edit_text(b"DB_PASSWORD", b"DB_PASSWORE")
    yield "7-seed-changed", _changed(_set(seed=1))


def _bad_probes() -> Iterable[tuple[str, bytes]]:
    def displaced(image: Image) -> None:
        # One entry alone in a table of two: in the slot that is not its home it cannot be reached.
        image.slots.reverse()

    yield "8-behind-an-empty-slot", _changed(displaced, TWO[:1])

    def twice(image: Image) -> None:
        # Both entries carry one name; the second stands where probing would put it.
        offset = image.table_end
        image.strings[:] = b"SAME=1\0SAME=2\0"
        image.slots[:] = [Slot() for _ in image.slots]
        for number in range(2):
            place(image, b"SAME", Slot(name_hash(image.seed, b"SAME"), 4, offset + 7 * number, 1))

    yield "8-name-twice", _changed(twice)

    def shared(image: Image) -> None:
        # Two slots for one string.
        image.slots[:] = [Slot() for _ in image.slots]
        for _ in range(2):
            place(image, b"DB_PASSWORD", Slot(name_hash(image.seed, b"DB_PASSWORD"), 11, image.table_end, 6))

    yield "8-string-twice", _changed(shared)


def files() -> dict[str, bytes]:
    """Return every vector file by name."""
    result: dict[str, bytes] = {}
    for name, entries, image in good():
        result[f"good-{name}.bin"] = image.pack()
        document = {
            "generation": image.generation,
            "entries": {key: value.hex() for key, value in entries},
        }
        result[f"good-{name}.json"] = (json.dumps(document, indent=2) + "\n").encode()
    for name, content in bad():
        result[f"bad-{name}.bin"] = content
    return result


def main() -> None:
    """Replace the files in this directory."""
    for pattern in ("good-*", "bad-*"):
        for path in HERE.glob(pattern):
            path.unlink()
    for name, content in files().items():
        (HERE / name).write_bytes(content)


if __name__ == "__main__":
    main()

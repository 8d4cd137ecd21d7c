"""The objects of the vectors that every reader must open, and what the refused ones are made of."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.vectors.object.writer import (
    MANIFEST,
    MARKER,
    PART,
    WHOLE,
    Bk,
    Contents,
    Digests,
    Head,
    Record,
    digests_of,
    entry,
    manifest,
    metadata,
    name_tag,
    noise,
    part,
    text,
    upload_tag,
    whole,
)
from tests.vectors.object.writer import field as attribute

BUCKET, KEY = "photos", "2026/ostern & mehr/größe.raw"
CHUNK = 65_536


@dataclass(frozen=True)
class Case:
    """An object, where it stands and what it is."""

    name: str
    stored: bytes = field(repr=False)
    entry: str | None
    plaintext: bytes = field(default=b"", repr=False)
    bucket: str = BUCKET
    key: str = KEY
    facts: dict[str, object] = field(default_factory=dict)


def whole_case(name: str, label: str, length: int, *, user: dict[str, str] | None = None, known: bool = False) -> Case:
    """One PUT."""
    plaintext = noise(label, length)
    head = Head(WHOLE, length, label)
    attributes = attribute(1, digests_of(plaintext).raw()) if known else b""
    if user is not None:
        attributes += attribute(2, metadata(dict(sorted(user.items()))))
    facts: dict[str, object] = {"label": label, "digests_known": known, "metadata": user}
    return Case(name, whole(head, plaintext), text(entry(head, BUCKET, KEY, attributes)), plaintext, facts=facts)


TAG = upload_tag(BUCKET, KEY, "upload-1")
MARK = Head(MARKER, 0, "marker")
OTHER = Bk("bk two", "archive")


def parts_of(label: str, lengths: dict[int, int], tag: bytes = TAG) -> dict[int, bytes]:
    """Parts by number; every second one under another bucket key."""
    return {
        number: part(
            Head(PART, length, f"{label} {number}", OTHER if number % 2 == 0 else Bk(), tag, number),
            noise(f"{label} {number}", length),
        )
        for number, length in lengths.items()
    }


def contents_of(lengths: dict[int, int], *, added: int = 0) -> Contents:
    """Return the manifest's contents; the part with the number ``added`` was not sent by the client."""
    return Contents(
        tuple(Record(number, length, int(number == added)) for number, length in lengths.items()),
        name_tag(BUCKET, KEY),
        digests=Digests(algorithm=1, scope=2, parts=len(lengths) - bool(added), checksum=b"\x12\x34\x56\x78"),
    )


def multi_case(name: str, label: str, lengths: dict[int, int], *, added: int = 0) -> Case:
    """Build a multipart object."""
    stored = b"".join(parts_of(label, lengths).values()) + manifest(contents_of(lengths, added=added), TAG)
    plaintext = b"".join(noise(f"{label} {number}", length) for number, length in lengths.items())
    listed = [[number, length, number == added] for number, length in lengths.items()]
    return Case(name, stored, text(entry(MARK, BUCKET, KEY)), plaintext, facts={"label": label, "parts": listed})


THREE = whole_case("three-chunks", "three", 2 * CHUNK + 1)
SHORT = whole_case("short", "short", 100, known=True, user={"Größe": "12 µm", "owner": "ann", "empty": ""})
PARTS = {1: 40, 9: 0, 10_000: 3}
MULTI = multi_case("parts", "multi", PARTS)


def good() -> Iterator[Case]:
    """Objects that every reader must open."""
    yield whole_case("empty", "empty", 0)
    yield whole_case("one-byte", "one", 1, known=True)
    yield SHORT
    yield THREE
    for length in (CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK):
        yield whole_case(f"{length}-bytes", f"length {length}", length)
    head = Head(WHOLE, 3, "keyring", wrapped=b"")
    yield Case("keyring-only", whole(head, b"abc", Digests()), text(entry(head, BUCKET, KEY)), b"abc")
    transit = replace(head, label="transit", wrapped=b"\x01\0\0\0\x02" + noise("transit", 60))
    yield Case("transit", whole(transit, b"abc", Digests()), text(entry(transit, BUCKET, KEY)), b"abc")
    yield MULTI
    yield multi_case("one-empty-part", "nothing", {1: 0})
    yield multi_case("added-part", "added", {3: 70, 4: 0}, added=4)
    yield multi_case("large-part", "large", {1: (64 << 20) + 1, 2: 5})
    tail = contents_of(PARTS).raw()
    copy = Head(MANIFEST, len(tail), "manifest", object_id=TAG)
    other = text(entry(copy, "backup", "copy"))
    yield replace(
        MULTI, name="copy-of-parts", entry=other, bucket="backup", key="copy", facts={"parts": MULTI.facts["parts"]}
    )

"""The manifest: proof of which parts make up a multipart object. ``docs/object-format.md``, "Multipart objects"."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from struct import Struct
from typing import Final

from strongroom.errors import MisuseError
from strongroom.sealed import sizes
from strongroom.sealed.digests import Digests, parse_digests
from strongroom.sealed.header import Header, Kind
from strongroom.sealed.names import name_tag
from strongroom.sealed.opener import open_stored
from strongroom.sealed.ranges import RangePlan, plan_range
from strongroom.sealed.refusal import RefusedError, refuse
from strongroom.sealed.sealer import seal
from strongroom.sealed.segment import Segment, admit_segment, begin_segment
from strongroom.sealed.sizes import MANIFEST_FIXED_BYTES, MANIFEST_RECORD_BYTES, MAX_PARTS
from strongroom.sealed.wrapping import BucketKey
from strongroom.secret import Secret

_FIXED: Final = Struct(">I4sQ32s96s")
_RECORD: Final = Struct(">HB5sQ")


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A part as the manifest has it.

    Attributes:
        number: part number, 1 … 10,000.
        plaintext_bytes: length of its plaintext.
        added: the client did not send it; it is there to carry the manifest.
    """

    number: int
    plaintext_bytes: int
    added: bool = False


@dataclass(frozen=True, slots=True)
class PartRange:
    """What to read from one part, for a range of the object.

    Attributes:
        index: of the part in ``Manifest.parts``.
        stored_offset: where the part, and so its header, begins in the stored object.
        plan: stored bytes of the part, from its beginning.
    """

    index: int
    stored_offset: int
    plan: RangePlan


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of an object, in the order of their numbers.

    Attributes:
        parts: at least one.
        name_tag: ``names.name_tag`` of the object that was written.
        digests: of the object, as far as its writer knew them.
    """

    parts: tuple[PartRecord, ...]
    name_tag: bytes = field(repr=False)
    digests: Digests = field(default_factory=Digests)

    @property
    def plaintext_bytes(self) -> int:
        """The length of the object's plaintext."""
        return sum(record.plaintext_bytes for record in self.parts)

    @property
    def stored_bytes(self) -> int:
        """The length of the stored object, this manifest included."""
        return self.plaintext_bytes + sizes.multipart_overhead_bytes(len(self.parts))

    @property
    def client_parts(self) -> tuple[PartRecord, ...]:
        """The parts that the client sent."""
        return self.parts[:-1] if self.parts[-1].added else self.parts

    def encode(self) -> bytes:
        """Return the manifest's plaintext.

        Raises:
            ConfigError: these parts cannot make up an object.
        """
        try:
            _check(self.parts)
        except RefusedError as error:
            raise MisuseError(error.message.replace("damaged or foreign object", "no manifest")) from error
        fixed = _FIXED.pack(len(self.parts), b"", self.plaintext_bytes, self.name_tag, self.digests.encode())
        records = (_RECORD.pack(part.number, part.added, b"", part.plaintext_bytes) for part in self.parts)
        return fixed + b"".join(records)

    def require_part(self, index: int, upload_tag: bytes, header: Header) -> None:
        """Check the header of a part against its record.

        Args:
            index: of the part in ``parts``.
            upload_tag: object id of the manifest's header.
            header: of the part, admitted.

        Raises:
            RefusedError: rule 16.
        """
        record = self.parts[index]
        found = (header.kind, header.object_id, header.part_number, header.plaintext_bytes)
        if found != (Kind.PART, upload_tag, record.number, record.plaintext_bytes):
            refuse(16, f"part {record.number} is not the one of the manifest")

    def require_size(self, stored_bytes: int) -> None:
        """Check the size of the stored object: the parts, this manifest, and nothing else.

        Raises:
            RefusedError: rule 16.
        """
        if stored_bytes != self.stored_bytes:
            refuse(16, f"{stored_bytes} bytes are stored, the manifest says {self.stored_bytes}")

    def stored_offsets(self) -> list[int]:
        """Return where each part begins in the stored object, and behind them where the manifest begins."""
        return list(accumulate((sizes.part_stored_bytes(part.plaintext_bytes) for part in self.parts), initial=0))

    def plan(self, first: int, last: int) -> list[PartRange]:
        """Plan to read the plaintext bytes from ``first`` to ``last`` of the object.

        Raises:
            ConfigError: the range is empty or begins behind the end.
        """
        begins = list(accumulate((part.plaintext_bytes for part in self.parts), initial=0))
        if not 0 <= first <= last or first >= begins[-1]:
            raise MisuseError(f"no range from byte {first} to {last} in {begins[-1]}")
        offsets = self.stored_offsets()
        ranges: list[PartRange] = []
        for index in range(bisect_right(begins, first) - 1, len(self.parts)):
            record, begin = self.parts[index], begins[index]
            if begin > last:
                break
            if record.plaintext_bytes:
                log2 = sizes.part_log2(record.plaintext_bytes)
                plan = plan_range(max(0, first - begin), last - begin, record.plaintext_bytes, log2)
                ranges.append(PartRange(index, offsets[index], plan))
        return ranges


def seal_manifest(bucket_key: BucketKey, manifest: Manifest, *, upload_tag: bytes, salt: bytes) -> bytes:
    """Seal a manifest: the bytes that stand behind the last part.

    Args:
        bucket_key: to seal under.
        manifest: the parts.
        upload_tag: ``names.upload_tag``, which the parts have too.
        salt: 32 random bytes for this attempt.

    Raises:
        ConfigError: these parts cannot make up an object.
    """
    plaintext = manifest.encode()
    segment = begin_segment(
        bucket_key, kind=Kind.MANIFEST, plaintext_bytes=len(plaintext), salt=salt, object_id=upload_tag
    )
    return seal(segment, plaintext)


def open_manifest(raw: bytes | memoryview, bucket_key: Secret) -> tuple[Segment, Manifest]:
    """Open the last M(N) bytes of a multipart object.

    Raises:
        RefusedError: rules 1 to 9, 14 and 16.
    """
    segment = admit_segment(raw, bucket_key)
    if segment.header.kind is not Kind.MANIFEST:
        refuse(16, "no manifest stands where one should")
    plaintext, _ = open_stored(segment, raw)
    return segment, parse_manifest(plaintext)


def parse_manifest(plaintext: bytes) -> Manifest:
    """Read the plaintext of a manifest.

    Raises:
        RefusedError: rule 14.
    """
    count, rest = divmod(len(plaintext) - MANIFEST_FIXED_BYTES, MANIFEST_RECORD_BYTES)
    if count < 1 or rest:
        refuse(14, f"a manifest of {len(plaintext)} bytes")
    declared, zero, total, name, digests = _FIXED.unpack_from(plaintext)
    parts: list[PartRecord] = []
    for number, added, padding, plaintext_bytes in _RECORD.iter_unpack(plaintext[MANIFEST_FIXED_BYTES:]):
        if added > 1 or any(padding):
            refuse(14, f"the record of part {number}")
        parts.append(PartRecord(number, plaintext_bytes, bool(added)))
    _check(parts)
    manifest = Manifest(tuple(parts), name, parse_digests(digests, rule=14))
    if declared != count or any(zero) or total != manifest.plaintext_bytes:
        refuse(14, f"it declares {declared} parts of {total} bytes")
    return manifest


def require_binding(entry: Segment, segment: Segment, manifest: Manifest, *, bucket: str, key: str) -> None:
    """Check that an opened manifest belongs to the opened entry, and so to the name.

    Args:
        entry: from ``open_entry``.
        segment: from ``open_manifest``.
        manifest: from ``open_manifest``.
        bucket: the bucket that was asked for.
        key: the key that was asked for.

    Raises:
        RefusedError: rules 13 and 15.
    """
    if entry.header.kind is Kind.MARKER:
        if manifest.name_tag != name_tag(bucket, key):
            refuse(15, "the manifest is that of another name")
    elif entry.raw != segment.raw:
        refuse(13, "the metadata entry is that of another body")


def _check(parts: Sequence[PartRecord]) -> None:
    if not 1 <= len(parts) <= MAX_PARTS:
        refuse(14, f"{len(parts)} parts")
    before = 0
    for part in parts:
        if not before < part.number <= MAX_PARTS or not 0 <= part.plaintext_bytes <= sizes.MAX_PART_BYTES:
            refuse(14, f"part {part.number} of {part.plaintext_bytes} bytes behind part {before}")
        before = part.number
    last = parts[-1]
    if any(part.added for part in parts[:-1]) or (last.added and (last.plaintext_bytes or len(parts) == 1)):
        refuse(14, "an added part that is not the last, not empty, or the only one")

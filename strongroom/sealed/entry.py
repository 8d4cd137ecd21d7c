"""The metadata entry ``x-amz-meta-seg1``: the header again, bound to the object's name, and sealed attributes.

``docs/object-format.md``, section "Metadata entry". A reader parses the entry, finds the bucket key that its header
names, and opens it; only then do header and attributes mean anything.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag

from strongroom.errors import MisuseError
from strongroom.sealed.attributes import Attributes, parse_attributes
from strongroom.sealed.header import Header, Kind, parse_header
from strongroom.sealed.names import name_tag
from strongroom.sealed.refusal import refuse
from strongroom.sealed.segment import Segment, admit_parsed
from strongroom.sealed.sizes import HEADER_BYTES, TAG_BYTES
from strongroom.secret import Secret

ENTRY_NAME: Final = "seg1"  # behind x-amz-meta-
ENTRY_NONCE_BYTES: Final = 12

_SEALED_FROM: Final = HEADER_BYTES + ENTRY_NONCE_BYTES


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that was read and not opened: nothing in it is authentic.

    Attributes:
        header: tells which bucket key opens it.
        raw: header, nonce and sealed attributes.
    """

    header: Header
    raw: bytes = field(repr=False)


def seal_entry(segment: Segment, attributes: Attributes, *, bucket: str, key: str, nonce: bytes) -> str:
    """Return the value of ``x-amz-meta-seg1``.

    Args:
        segment: of the whole object, a marker, or the manifest (for a copy).
        attributes: what to seal.
        bucket: where the object is to stand.
        key: its name there.
        nonce: 12 random bytes, drawn for this entry.

    Raises:
        ConfigError: the segment is a part, or the attributes cannot be written.
    """
    if segment.header.kind is Kind.PART or len(nonce) != ENTRY_NONCE_BYTES:
        raise MisuseError("an entry is made of a whole object, a marker or a manifest, and 12 bytes of nonce")
    sealed = segment.keys.attributes.encrypt(nonce, attributes.encode(), name_tag(bucket, key))
    return base64.b64encode(segment.raw + nonce + sealed).decode("ascii")


def parse_entry(text: str | None) -> Entry:
    """Read the value of ``x-amz-meta-seg1``, or its absence.

    Raises:
        RefusedError: rule 11, and 1 to 5 for the header in it.
    """
    if not text:
        refuse(11, "it has no metadata entry")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        refuse(11, "the metadata entry is not base64")
    if base64.b64encode(raw).decode("ascii") != text:
        refuse(11, "the metadata entry is not canonical base64")
    if len(raw) < _SEALED_FROM + TAG_BYTES:
        refuse(11, f"a metadata entry of {len(raw)} bytes")
    header = parse_header(raw)
    if header.kind is Kind.PART:
        refuse(11, "a metadata entry of a part")
    return Entry(header, raw)


def open_entry(entry: Entry, bucket_key: Secret, *, bucket: str, key: str) -> tuple[Segment, Attributes]:
    """Open an entry under the name that was asked for.

    Args:
        entry: from ``parse_entry``.
        bucket_key: the key that its header names.
        bucket: the bucket that was asked for.
        key: the key that was asked for.

    Raises:
        RefusedError: rules 7, 11 and 12.
    """
    segment = admit_parsed(entry.header, entry.raw[:HEADER_BYTES], bucket_key)
    nonce, sealed = entry.raw[HEADER_BYTES:_SEALED_FROM], entry.raw[_SEALED_FROM:]
    try:
        raw = segment.keys.attributes.decrypt(nonce, sealed, name_tag(bucket, key))
    except InvalidTag:
        refuse(12, "the metadata entry is damaged or belongs to another name")
    return segment, parse_attributes(raw)

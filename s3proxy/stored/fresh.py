"""What is sealed anew: every salt, id and nonce of an object is drawn here, and nowhere else.

A salt serves one attempt and a nonce one entry (docs/object-format.md). So none is handed out: a function returns what
was made with it, and a second attempt is a second call.
"""

import os

from strongroom.sealed.attributes import Attributes
from strongroom.sealed.entry import ENTRY_NONCE_BYTES, seal_entry
from strongroom.sealed.header import ID_BYTES, SALT_BYTES, Kind
from strongroom.sealed.manifest import Manifest, seal_manifest
from strongroom.sealed.segment import Segment, begin_segment
from strongroom.sealed.wrapping import BucketKey

MEANT_BYTES = 16


def whole(key: BucketKey, plaintext_bytes: int) -> Segment:
    """Begin a whole object."""
    return _with_own_id(key, Kind.WHOLE, plaintext_bytes)


def marker(key: BucketKey) -> Segment:
    """Begin the marker of an upload, which has an entry and no plaintext."""
    return _with_own_id(key, Kind.MARKER, 0)


def _with_own_id(key: BucketKey, kind: Kind, plaintext_bytes: int) -> Segment:
    return begin_segment(
        key, kind=kind, plaintext_bytes=plaintext_bytes, salt=os.urandom(SALT_BYTES), object_id=os.urandom(ID_BYTES)
    )


def part(key: BucketKey, plaintext_bytes: int, *, upload_tag: bytes, number: int) -> Segment:
    """Begin an attempt at a part of an upload."""
    return begin_segment(
        key,
        kind=Kind.PART,
        plaintext_bytes=plaintext_bytes,
        salt=os.urandom(SALT_BYTES),
        object_id=upload_tag,
        part_number=number,
    )


def manifest(key: BucketKey, content: Manifest, *, upload_tag: bytes, meant: bytes) -> bytes:
    """Seal an attempt at the manifest of an upload.

    Args:
        key: to seal under.
        content: the parts.
        upload_tag: of the upload.
        meant: ``MEANT_BYTES`` bytes that readers of the salt know this manifest by. The rest is random.
    """
    return seal_manifest(key, content, upload_tag=upload_tag, salt=os.urandom(SALT_BYTES - MEANT_BYTES) + meant)


def entry(segment: Segment, attributes: Attributes, *, bucket: str, key: str) -> str:
    """Seal the metadata entry of an object for one name."""
    return seal_entry(segment, attributes, bucket=bucket, key=key, nonce=os.urandom(ENTRY_NONCE_BYTES))

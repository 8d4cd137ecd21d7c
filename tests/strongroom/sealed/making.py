"""Segments, entries and whole objects for tests, with randomness that is the same every time."""

import hashlib
from collections.abc import Iterable
from itertools import count

from strongroom.sealed.digests import Digests
from strongroom.sealed.header import Kind
from strongroom.sealed.manifest import Manifest, PartRecord, seal_manifest
from strongroom.sealed.names import name_tag, upload_tag
from strongroom.sealed.opener import SegmentOpener
from strongroom.sealed.ranges import RangePlan
from strongroom.sealed.sealer import SegmentSealer, seal
from strongroom.sealed.segment import Segment, begin_segment
from strongroom.sealed.wrapping import BucketKey, associated_data, wrap_with_file
from strongroom.secret import Secret

BUCKET = "photos"
KEY = "a/b.raw"
KEK = Secret(bytes(32))
CHUNK = 65_536
_counter = count()


def noise(length: int, label: str = "noise") -> bytes:
    return hashlib.shake_128(label.encode()).digest(length)


def fresh(length: int) -> bytes:
    """Bytes that no other call returns."""
    return noise(length, f"fresh {next(_counter)}")


def make_bucket_key(label: str = "bk", policy: str = "default") -> BucketKey:
    key_id, secret = noise(16, label + " id"), Secret(noise(32, label))
    wrapped = wrap_with_file(secret, KEK, aad=associated_data(policy, key_id), nonce=noise(12, label + " nonce"))
    return BucketKey(key_id, policy, secret, wrapped.encode())


BK = make_bucket_key()
TAG = upload_tag(BUCKET, KEY, "upload")


def begin(
    plaintext_bytes: int, kind: Kind = Kind.WHOLE, *, part_number: int | None = None, tag: bytes = TAG
) -> Segment:
    """A segment with a salt of its own."""
    number = part_number or (1 if kind is Kind.PART else 0)
    object_id = tag if kind in {Kind.PART, Kind.MANIFEST} else fresh(16)
    return begin_segment(
        BK, kind=kind, plaintext_bytes=plaintext_bytes, salt=fresh(32), object_id=object_id, part_number=number
    )


def fed(data: bytes, feed: int) -> Iterable[memoryview]:
    view = memoryview(data)
    return (view[at : at + feed] for at in range(0, len(data), feed))


def sealed_in_feeds(segment: Segment, plaintext: bytes, feed: int, digests: Digests | None = None) -> bytes:
    sealer = SegmentSealer(segment)
    pieces = [bytes(piece) for data in fed(plaintext, feed) for piece in sealer.update(data)]
    return b"".join([*pieces, sealer.finish(digests)])


def opened_in_feeds(segment: Segment, stored: bytes, feed: int, plan: RangePlan | None = None) -> bytes:
    opener = SegmentOpener(segment, plan)
    plaintext = b"".join([bytes(piece) for data in fed(stored, feed) for piece in opener.update(data)])
    opener.finish()
    return plaintext


def sealed_part(number: int, plaintext: bytes, *, tag: bytes = TAG) -> bytes:
    return seal(begin(len(plaintext), Kind.PART, part_number=number, tag=tag), plaintext)


def make_manifest(parts: Iterable[PartRecord], bucket: str = BUCKET, key: str = KEY) -> Manifest:
    return Manifest(tuple(parts), name_tag(bucket, key))


def sealed_manifest(manifest: Manifest, *, tag: bytes = TAG) -> bytes:
    return seal_manifest(BK, manifest, upload_tag=tag, salt=fresh(32))


def sealed_object(parts: dict[int, bytes], *, bucket: str = BUCKET, key: str = KEY) -> bytes:
    """A multipart object from its plaintexts."""
    manifest = make_manifest([PartRecord(number, len(part)) for number, part in parts.items()], bucket, key)
    return b"".join([*(sealed_part(number, part) for number, part in parts.items()), sealed_manifest(manifest)])

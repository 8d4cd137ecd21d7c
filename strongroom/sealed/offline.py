"""Opening a whole stored object without its store: from its bytes and something that unwraps bucket keys.

``docs/object-format.md``, section "What a reader must refuse". Without the object's metadata the name is not checked;
with it, everything is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Digests
from strongroom.sealed.entry import open_entry, parse_entry
from strongroom.sealed.header import Header, Kind, parse_header
from strongroom.sealed.manifest import Manifest, open_manifest, require_binding
from strongroom.sealed.opener import SegmentOpener, open_footer
from strongroom.sealed.refusal import RefusedError, refuse
from strongroom.sealed.segment import Segment, admit_segment
from strongroom.sealed.sizes import FOOTER_BYTES
from strongroom.sealed.wrapping import associated_data, parse_wrapped, unwrap_with_file
from strongroom.secret import Secret

Unwrap = Callable[[Header], Secret]

_FEED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Binding:
    """What ties a body to its name.

    Attributes:
        entry: the value of ``x-amz-meta-seg1``, None if the object has none.
        bucket: where the object stood.
        key: its name there.
    """

    entry: str | None
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A stored object whose headers, manifest and name hold; its chunks are checked as they are read.

    Attributes:
        plaintext_bytes: length of the plaintext.
        digests: what the writer knew of the plaintext.
        attributes: of the metadata entry; None without a binding, and then the name was not checked.
        manifest: of a multipart object, else None.
        segments: whole object or parts, with their places in the stored bytes.
    """

    plaintext_bytes: int
    digests: Digests
    attributes: Attributes | None
    manifest: Manifest | None
    segments: tuple[tuple[Segment, memoryview], ...]

    def pieces(self) -> Iterator[memoryview]:
        """Yield the plaintext. Each piece is valid until the next one is asked for.

        Raises:
            RefusedError: rules 8 to 10 and 13; what was given before is authentic, but not the whole.
        """
        for segment, stored in self.segments:
            opener = SegmentOpener(segment)
            for at in range(0, len(stored), _FEED_BYTES):
                yield from opener.update(stored[at : at + _FEED_BYTES])
            opener.finish()

    def read(self) -> bytes:
        """Return the whole plaintext.

        Raises:
            RefusedError: any chunk, footer or padding is damaged.
        """
        return b"".join([bytes(piece) for piece in self.pieces()])


def open_object(stored: bytes | memoryview, unwrap: Unwrap, *, binding: Binding | None = None) -> StoredObject:
    """Open a stored object.

    Args:
        stored: all of its bytes; the view of a mapped file is fine.
        unwrap: returns the bucket key that a header names, or raises a RefusedError with rule 6.
        binding: metadata and name, if they are known.

    Raises:
        RefusedError: any rule of the specification.
    """
    view = memoryview(stored).cast("B")
    unwrap = _once_per_key(unwrap)
    head = parse_header(view)
    if head.kind is Kind.WHOLE:
        opened = _open_whole(view, head, unwrap)
        manifest_segment = None
    elif head.kind is Kind.PART:
        opened, manifest_segment = _open_multipart(view, unwrap)
    else:
        refuse(16, f"a body that begins with a {head.kind.name.lower()}")
    if binding is None:
        return opened
    entry = parse_entry(binding.entry)
    segment, attributes = open_entry(entry, unwrap(entry.header), bucket=binding.bucket, key=binding.key)
    if manifest_segment is not None and opened.manifest is not None:
        require_binding(segment, manifest_segment, opened.manifest, bucket=binding.bucket, key=binding.key)
    elif segment.raw != opened.segments[0][0].raw:
        refuse(13, "the metadata entry is that of another body")
    return StoredObject(opened.plaintext_bytes, opened.digests, attributes, opened.manifest, opened.segments)


def file_unwrapper(kek: Secret) -> Unwrap:
    """Return what unwraps the bucket keys in headers with the key of a key file."""

    def unwrap(header: Header) -> Secret:
        if not header.wrapped_key:
            refuse(6, f"its bucket key {header.key_id.hex()} is in the keyring only")
        wrapped = parse_wrapped(header.wrapped_key)
        return unwrap_with_file(wrapped, kek, aad=associated_data(header.policy, header.key_id))

    return unwrap


def _open_whole(view: memoryview, head: Header, unwrap: Unwrap) -> StoredObject:
    segment = admit_segment(view, unwrap(head))
    if len(view) != head.stored_bytes:
        refuse(8, f"{len(view)} bytes are stored, the header says {head.stored_bytes}")
    digests = open_footer(segment, bytes(view[-FOOTER_BYTES:]))
    return StoredObject(head.plaintext_bytes, digests, None, None, ((segment, view),))


def _open_multipart(view: memoryview, unwrap: Unwrap) -> tuple[StoredObject, Segment]:
    """Walk over the headers of the parts to the manifest, open it, and hold every part against it."""
    places: list[memoryview] = []
    at = 0
    while (header := _next_header(view, at)).kind is not Kind.MANIFEST:
        if header.kind is not Kind.PART or header.stored_bytes >= len(view) - at:
            refuse(16, f"no manifest follows {len(places)} parts")
        places.append(view[at : at + header.stored_bytes])
        at += header.stored_bytes
    manifest_segment, manifest = open_manifest(view[at:], unwrap(header))
    manifest.require_size(len(view))
    if len(manifest.parts) != len(places):
        refuse(16, f"{len(places)} parts, of which the manifest says {len(manifest.parts)}")
    segments = []
    for index, place in enumerate(places):
        segment = admit_segment(place, unwrap(parse_header(place)))
        manifest.require_part(index, manifest_segment.header.object_id, segment.header)
        segments.append((segment, place))
    opened = StoredObject(manifest.plaintext_bytes, manifest.digests, None, manifest, tuple(segments))
    return opened, manifest_segment


def _next_header(view: memoryview, at: int) -> Header:
    try:
        return parse_header(view[at:])
    except RefusedError as error:
        if at and error.rule == 1:
            refuse(16, f"no segment begins at byte {at}, where a part ends")
        raise


def _once_per_key(unwrap: Unwrap) -> Unwrap:
    known: dict[tuple[str, bytes], Secret] = {}

    def unwrap_once(header: Header) -> Secret:
        name = header.policy, header.key_id
        if name not in known:
            known[name] = unwrap(header)
        return known[name]

    return unwrap_once

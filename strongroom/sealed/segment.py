"""Segments and their keys: begun for writing, admitted for reading. ``docs/object-format.md``, section "Keys".

Every other module of this package takes a ``Segment``, so nothing can be opened under a header whose commitment was not
compared, and nothing be sealed under a header that its keys were not derived from.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.keyed_hash import HmacSha256
from strongroom.sealed.header import COMMITTED_BYTES, Header, Kind, parse_header
from strongroom.sealed.refusal import refuse
from strongroom.sealed.sizes import HEADER_BYTES
from strongroom.sealed.wrapping import BucketKey
from strongroom.secret import Secret

PREFIX_BYTES: Final = 7  # nonce: 7 of prefix, 4 of index, 1 of final flag


@dataclass(frozen=True, slots=True, repr=False)
class SegmentKeys:
    """What is derived from a bucket key and a header. Ciphers, so that the keys themselves stay inside.

    Attributes:
        chunks: cipher of the chunks.
        nonce_prefix: what their nonces begin with.
        footer: cipher of the footer, for one use.
        attributes: cipher of the sealed attributes, with random nonces.
    """

    chunks: AESGCM
    nonce_prefix: bytes
    footer: AESGCM
    attributes: AESGCM


@dataclass(frozen=True, slots=True)
class Segment:
    """A header whose commitment holds, with its keys.

    Attributes:
        header: the fields.
        raw: the 256 bytes.
        keys: the keys.
    """

    header: Header
    raw: bytes = field(repr=False)
    keys: SegmentKeys = field(repr=False)


def begin_segment(  # noqa: PLR0913 - the fields of a header
    bucket_key: BucketKey, *, kind: Kind, plaintext_bytes: int, salt: bytes, object_id: bytes, part_number: int = 0
) -> Segment:
    """Make the header and the keys of a new segment.

    Args:
        bucket_key: the key to seal under.
        kind: what the segment is.
        plaintext_bytes: length of the plaintext to come.
        salt: 32 bytes, drawn at random for this very attempt and for nothing else.
        object_id: 16 random bytes; of parts and manifests ``names.upload_tag``.
        part_number: of a part.

    Raises:
        ConfigError: a field is out of bounds.
    """
    header = Header(
        kind=kind,
        plaintext_bytes=plaintext_bytes,
        key_id=bucket_key.key_id,
        policy=bucket_key.policy,
        salt=salt,
        object_id=object_id,
        part_number=part_number,
        wrapped_key=bucket_key.wrapped,
    )
    committed = header.committed()
    keys, commitment = _derive(bucket_key.secret, salt, committed)
    return Segment(header, committed + commitment, keys)


def admit_segment(raw: bytes | bytearray | memoryview, bucket_key: Secret) -> Segment:
    """Admit a stored segment: compare its commitment, and so every byte of its header, with the bucket key.

    Args:
        raw: at least the first 256 bytes.
        bucket_key: the key that the header names.

    Raises:
        RefusedError: rules 1 to 5 and 7.
    """
    return admit_parsed(parse_header(raw), bytes(raw[:HEADER_BYTES]), bucket_key)


def admit_parsed(header: Header, own: bytes, bucket_key: Secret) -> Segment:
    """Admit a stored segment whose header was read before.

    Args:
        header: ``parse_header(own)``.
        own: exactly the first 256 bytes.
        bucket_key: the key that the header names.

    Raises:
        RefusedError: rule 7.
    """
    keys, commitment = _derive(bucket_key, header.salt, own[:COMMITTED_BYTES])
    if not hmac.compare_digest(commitment, own[COMMITTED_BYTES:]):
        refuse(7, "the commitment is not that of this key and header")
    return Segment(header, own, keys)


def _derive(bucket_key: Secret, salt: bytes, committed: bytes) -> tuple[SegmentKeys, bytes]:
    """Return keys and commitment: RFC 5869 with outputs of one block, which is one HMAC each."""
    expand = HmacSha256(HmacSha256(salt).digest(bucket_key.reveal())).digest
    suffix = hashlib.sha256(committed).digest() + b"\x01"
    keys = SegmentKeys(
        chunks=AESGCM(expand(b"seg1/data" + suffix)),
        nonce_prefix=expand(b"seg1/nonce" + suffix)[:PREFIX_BYTES],
        footer=AESGCM(expand(b"seg1/footer" + suffix)),
        attributes=AESGCM(expand(b"seg1/attr" + suffix)),
    )
    return keys, expand(b"seg1/commit" + suffix)

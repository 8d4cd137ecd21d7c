"""What an entry carries beside its header: fields of tag, length and value.

``docs/object-format.md``, section "Metadata entry". Sealing them is left to ``entry``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

from strongroom.errors import ConfigError
from strongroom.sealed.digests import Digests, parse_digests
from strongroom.sealed.refusal import refuse

_DIGESTS_TAG: Final = 1
_METADATA_TAG: Final = 2

_FIELD: Final = Struct(">BH")
_NAME_LENGTH: Final = Struct(">B")
_VALUE_LENGTH: Final = Struct(">H")
_MAX_NAME_BYTES: Final = 0xFF
_MAX_VALUE_BYTES: Final = 0xFFFF
_TEXT: Final = ("utf-8", "surrogateescape")  # headers are bytes; those that are no UTF-8 come back as they were


@dataclass(frozen=True, slots=True)
class Attributes:
    """The contents of an entry.

    Attributes:
        digests: of the body, if they were known when the entry was made.
        metadata: user metadata, names without ``x-amz-meta-``; None when it is not sealed.
    """

    digests: Digests | None = None
    metadata: Mapping[str, str] | None = None

    def encode(self) -> bytes:
        """Return the fields.

        Raises:
            ConfigError: the metadata is too long.
        """
        fields = []
        if self.digests is not None:
            fields.append((_DIGESTS_TAG, self.digests.encode()))
        if self.metadata is not None:
            fields.append((_METADATA_TAG, _encode_metadata(self.metadata)))
        return b"".join(_FIELD.pack(tag, len(value)) + value for tag, value in fields)


def parse_attributes(raw: bytes) -> Attributes:
    """Read attributes that were sealed.

    Raises:
        RefusedError: rule 11.
    """
    digests = metadata = None
    before = 0
    for tag, value in _fields(raw):
        if tag <= before:
            refuse(11, "attributes that are not in order")
        before = tag
        if tag == _DIGESTS_TAG:
            digests = parse_digests(value, rule=11)
        elif tag == _METADATA_TAG:
            metadata = _parse_metadata(value)
        else:
            refuse(11, f"attribute {tag} is unknown")
    return Attributes(digests, metadata)


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(raw):
        if len(raw) - at < _FIELD.size:
            refuse(11, "attributes that end early")
        tag, length = _FIELD.unpack_from(raw, at)
        at += _FIELD.size
        if len(raw) - at < length:
            refuse(11, "attributes that end early")
        yield tag, raw[at : at + length]
        at += length


def _encode_metadata(metadata: Mapping[str, str]) -> bytes:
    pairs = sorted((name.encode(*_TEXT), value.encode(*_TEXT)) for name, value in metadata.items())
    if any(len(name) > _MAX_NAME_BYTES or len(value) > _MAX_VALUE_BYTES for name, value in pairs):
        msg = "user metadata has a name of more than 255 bytes, or a value of more than 65,535"
        raise ConfigError(msg, hint="keep user metadata short, or in an object of its own")
    encoded = b"".join(
        _NAME_LENGTH.pack(len(name)) + name + _VALUE_LENGTH.pack(len(value)) + value for name, value in pairs
    )
    if len(encoded) > _MAX_VALUE_BYTES:
        msg = f"user metadata of {len(encoded)} bytes is too much to be sealed"
        raise ConfigError(msg, hint="keep user metadata short, or in an object of its own")
    return encoded


def _parse_metadata(raw: bytes) -> dict[str, str]:
    metadata: dict[str, str] = {}
    before: bytes | None = None
    at = 0
    while at < len(raw):
        name, at = _take(raw, at, _NAME_LENGTH)
        value, at = _take(raw, at, _VALUE_LENGTH)
        if before is not None and name <= before:
            refuse(11, "sealed metadata that is not in order")
        before = name
        metadata[name.decode(*_TEXT)] = value.decode(*_TEXT)
    return metadata


def _take(raw: bytes, at: int, length: Struct) -> tuple[bytes, int]:
    if len(raw) - at < length.size:
        refuse(11, "sealed metadata that ends early")
    (size,) = length.unpack_from(raw, at)
    at += length.size
    if len(raw) - at < size:
        refuse(11, "sealed metadata that ends early")
    return raw[at : at + size], at + size

"""What is known of a plaintext when it has ended: its MD5 and the checksum that the client chose.

96 bytes, which are in the footer of a whole object, in manifests and in metadata entries; always sealed, since the
MD5 of a plaintext tells who has the file anyway that this is it. ``docs/object-format.md``, section "Footer".
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from strongroom.errors import MisuseError
from strongroom.sealed.refusal import refuse
from strongroom.sealed.sizes import MAX_PARTS

DIGESTS_BYTES: Final = 96

_DIGESTS: Final = Struct(">BBBBI16s32s40s")
_NONE_KNOWN: Final = bytes(DIGESTS_BYTES)


class ChecksumAlgorithm(IntEnum):
    """The checksum algorithms of S3."""

    __hash__ = int.__hash__  # Enum's own hashes the name; tables are asked by it several times for each request

    CRC32 = 1
    CRC32C = 2
    CRC64NVME = 3
    SHA1 = 4
    SHA256 = 5


class ChecksumScope(IntEnum):
    """What a checksum is taken of: S3's FULL_OBJECT and COMPOSITE."""

    FULL_OBJECT = 1
    COMPOSITE = 2


CHECKSUM_BYTES: Final = {
    ChecksumAlgorithm.CRC32: 4,
    ChecksumAlgorithm.CRC32C: 4,
    ChecksumAlgorithm.CRC64NVME: 8,
    ChecksumAlgorithm.SHA1: 20,
    ChecksumAlgorithm.SHA256: 32,
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum of S3.

    Attributes:
        algorithm: which.
        value: its bytes, as S3 has them before base64.
        scope: of what.
        parts: of a composite checksum, the number of the client's parts (S3 writes it behind a dash); else 0.
    """

    algorithm: ChecksumAlgorithm
    value: bytes
    scope: ChecksumScope = ChecksumScope.FULL_OBJECT
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of one plaintext.

    Attributes:
        md5: 16 bytes, or None when it was not computed.
        checksum: the client's, or None.
    """

    md5: bytes | None = None
    checksum: Checksum | None = None

    def encode(self) -> bytes:
        """Return the 96 bytes.

        Raises:
            ConfigError: a digest has the wrong length, or a number of parts does not fit its scope.
        """
        known, value = self.md5 is not None, self.checksum
        if not known and value is None:
            return _NONE_KNOWN
        if (known and len(self.md5 or b"") != 16) or (value is not None and not _fits(value)):  # noqa: PLR2004 - MD5
            msg = "a digest has the wrong length for its algorithm, or a number of parts that its scope has not"
            raise MisuseError(msg)
        if value is None:
            return _DIGESTS.pack(known, 0, 0, 0, 0, self.md5 or b"", b"", b"")
        return _DIGESTS.pack(known, value.algorithm, value.scope, 0, value.parts, self.md5 or b"", value.value, b"")


def parse_digests(raw: bytes, *, rule: int) -> Digests:
    """Read digests that were sealed.

    Args:
        raw: the bytes behind the seal.
        rule: what to refuse by, which depends on where they stood.

    Raises:
        RefusedError: they have a wrong form.
    """
    if len(raw) != DIGESTS_BYTES:
        refuse(rule, f"digests of {len(raw)} bytes")
    if raw == _NONE_KNOWN:
        return Digests()
    known, algorithm, scope, zero, parts, md5, padded, reserved = _DIGESTS.unpack(raw)
    checksum = None
    if algorithm in ChecksumAlgorithm._value2member_map_ and scope in ChecksumScope._value2member_map_:
        size = CHECKSUM_BYTES[ChecksumAlgorithm(algorithm)]
        checksum = Checksum(ChecksumAlgorithm(algorithm), padded[:size], ChecksumScope(scope), parts)
        if not _fits(checksum):
            refuse(rule, f"a checksum of {parts} parts")
    digests = Digests(md5 if known else None, checksum)
    if known > 1 or zero or any(reserved) or digests.encode() != raw:
        refuse(rule, "digests of unknown form")
    return digests


def _fits(checksum: Checksum) -> bool:
    composite = checksum.scope is ChecksumScope.COMPOSITE
    lengths_agree = len(checksum.value) == CHECKSUM_BYTES[checksum.algorithm]
    return lengths_agree and (1 <= checksum.parts <= MAX_PARTS if composite else checksum.parts == 0)

"""The checksums of S3 over plaintext: running, as a string, of whole multipart uploads.

The one module that imports awscrt. CRC-32 (ISO-HDLC) comes from zlib, CRC-32C and CRC-64/NVME from awscrt, which AWS's
own SDKs use for them. All accept any bytes-like object and let other threads run meanwhile.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NoReturn, Protocol

from awscrt import checksums  # type: ignore[import-untyped]

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.xml_write import Node, node
from strongroom.sealed.digests import CHECKSUM_BYTES, Checksum, ChecksumAlgorithm, ChecksumScope, Digests
from strongroom.sealed.sizes import MAX_PARTS

HEADER_PREFIX: Final = "x-amz-checksum-"
CHECKSUM_TYPE: Final = "x-amz-checksum-type"
_NOT_A_VALUE: Final = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", CHECKSUM_TYPE})
_COMPOSITE: Final = re.compile(r"(?P<value>[A-Za-z0-9+/=]+)-(?P<parts>[1-9][0-9]{0,4})")
_HASHES: Final = {ChecksumAlgorithm.SHA1: "sha1", ChecksumAlgorithm.SHA256: "sha256"}

_CRCS: Final[dict[ChecksumAlgorithm, Callable[[memoryview, int], int]]] = {
    ChecksumAlgorithm.CRC32: zlib.crc32,
    ChecksumAlgorithm.CRC32C: checksums.crc32c,
    ChecksumAlgorithm.CRC64NVME: checksums.crc64nvme,
}
# (CRC of A, CRC of B, length of B) -> CRC of A followed by B
_COMBINING: Final[dict[ChecksumAlgorithm, Callable[[int, int, int], int]]] = {
    ChecksumAlgorithm.CRC32: checksums.combine_crc32,
    ChecksumAlgorithm.CRC32C: checksums.combine_crc32c,
    ChecksumAlgorithm.CRC64NVME: checksums.combine_crc64nvme,
}

# User guide, "Checksum types supported by multipart uploads"; the first is what S3 takes by default.
SCOPES: Final = {
    ChecksumAlgorithm.CRC32: (ChecksumScope.COMPOSITE, ChecksumScope.FULL_OBJECT),
    ChecksumAlgorithm.CRC32C: (ChecksumScope.COMPOSITE, ChecksumScope.FULL_OBJECT),
    ChecksumAlgorithm.CRC64NVME: (ChecksumScope.FULL_OBJECT,),
    ChecksumAlgorithm.SHA1: (ChecksumScope.COMPOSITE,),
    ChecksumAlgorithm.SHA256: (ChecksumScope.COMPOSITE,),
}


class Running(Protocol):
    """A checksum being computed; hashlib's objects are such."""

    def update(self, data: memoryview, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Return the checksum of the bytes so far."""


class _RunningCrc:
    def __init__(self, algorithm: ChecksumAlgorithm) -> None:
        self._step = _CRCS[algorithm]
        self._size = CHECKSUM_BYTES[algorithm]
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def running(algorithm: ChecksumAlgorithm) -> Running:
    """Start a checksum."""
    if algorithm in _HASHES:
        return hashlib.new(_HASHES[algorithm], usedforsecurity=False)
    return _RunningCrc(algorithm)


class RunningDigests:
    """The digests of a plaintext, being computed.

    Attributes:
        running: to be told each piece.
    """

    def __init__(self, *, with_md5: bool, algorithm: ChecksumAlgorithm | None) -> None:
        """Start those that are wanted."""
        self._md5: Running | None = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self._algorithm = algorithm
        self._checksum = None if algorithm is None else running(algorithm)
        self.running = [one for one in (self._md5, self._checksum) if one is not None]

    def result(self) -> Digests:
        """Return the digests of the pieces so far."""
        checksum = None
        if self._checksum is not None and self._algorithm is not None:
            checksum = Checksum(self._algorithm, self._checksum.digest())
        return Digests(self._md5.digest() if self._md5 is not None else None, checksum)


def parse_algorithm(text: str) -> ChecksumAlgorithm:
    """Return the algorithm of ``x-amz-sdk-checksum-algorithm`` or ``x-amz-checksum-algorithm``.

    Raises:
        S3Error: InvalidRequest, as there is no such algorithm.
    """
    try:
        return ChecksumAlgorithm[text.upper()]
    except KeyError:
        code = "InvalidRequest"
        msg = f"Checksum algorithm provided is unsupported. Please try again with any of {_names()}"
        raise S3Error(code, msg) from None


def parse_scope(text: str, algorithm: ChecksumAlgorithm) -> ChecksumScope:
    """Return the scope of ``x-amz-checksum-type``; "" is the default of the algorithm.

    Raises:
        S3Error: InvalidRequest, as the algorithm has no such scope.
    """
    for scope in SCOPES[algorithm]:
        if text.upper() in {"", scope.name}:
            return scope
    raise S3Error("InvalidRequest", f"The {text[:32]} checksum type cannot be used with {algorithm.name.lower()}.")


def checksum_name(algorithm: ChecksumAlgorithm) -> str:
    """Return the name of the header, ``x-amz-checksum-crc32c``."""
    return HEADER_PREFIX + algorithm.name.lower()


def algorithm_of_header(name: str) -> ChecksumAlgorithm | None:
    """Return the algorithm of a header (lower-case name), or None when it carries no checksum.

    Raises:
        S3Error: InvalidRequest for an algorithm that is not known: what cannot be verified must not be ignored.
    """
    if not name.startswith(HEADER_PREFIX) or name in _NOT_A_VALUE:
        return None
    algorithm = ChecksumAlgorithm.__members__.get(name.removeprefix(HEADER_PREFIX).upper())
    if algorithm is None:
        _refuse("The algorithm type you specified in x-amz-checksum- header is invalid.")
    return algorithm


def parse_checksum(algorithm: ChecksumAlgorithm, text: str) -> Checksum:
    """Read the value of a checksum header or element: base64, of a composite one with ``-N`` behind it.

    Raises:
        S3Error: InvalidRequest, as it is malformed or has the wrong length.
    """
    match = _COMPOSITE.fullmatch(text)
    parts = int(match["parts"]) if match else 0
    value = _decode_base64(match["value"] if match else text)
    if value is None or len(value) != CHECKSUM_BYTES[algorithm] or parts > MAX_PARTS:
        _refuse(f"Value for {checksum_name(algorithm)} header is invalid.")
    if parts:
        return Checksum(algorithm, value, ChecksumScope.COMPOSITE, parts)
    return Checksum(algorithm, value)


def checksum_text(checksum: Checksum) -> str:
    """Return the value of a checksum as headers and elements have it."""
    text = base64.b64encode(checksum.value).decode()
    return f"{text}-{checksum.parts}" if checksum.scope is ChecksumScope.COMPOSITE else text


def checksum_header(checksum: Checksum) -> tuple[str, str]:
    """Return the header that tells a checksum."""
    return checksum_name(checksum.algorithm), checksum_text(checksum)


def checksum_nodes(checksum: Checksum) -> tuple[Node, Node]:
    """Return the elements that tell a checksum in an answer."""
    name = f"Checksum{checksum.algorithm.name}"
    return node(name, checksum_text(checksum)), node("ChecksumType", checksum.scope.name)


def parse_content_md5(text: str) -> bytes:
    """Return the 16 bytes of a Content-MD5 header (RFC 1864).

    Raises:
        S3Error: InvalidDigest.
    """
    value = _decode_base64(text)
    if value is None or len(value) != 16:  # noqa: PLR2004 - bytes of an MD5
        raise S3Error("InvalidDigest", "The Content-MD5 you specified is not valid.")
    return value


def _decode_base64(text: str) -> bytes | None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if base64.b64encode(value).decode() == text else None  # one text for each value


def composite(algorithm: ChecksumAlgorithm, values: Sequence[bytes]) -> Checksum:
    """Return the checksum of the checksums of the parts, in their order."""
    total = running(algorithm)
    total.update(memoryview(b"".join(values)))
    return Checksum(algorithm, total.digest(), ChecksumScope.COMPOSITE, len(values))


def full_object(algorithm: ChecksumAlgorithm, parts: Iterable[tuple[bytes, int]]) -> Checksum:
    """Return the CRC of the whole object from those of its parts.

    Args:
        algorithm: a CRC; hashes cannot be combined.
        parts: (checksum, plaintext length in bytes) of each part, in their order.
    """
    combine = _COMBINING[algorithm]
    total = 0
    for value, length in parts:
        total = combine(total, int.from_bytes(value, "big"), length)
    return Checksum(algorithm, total.to_bytes(CHECKSUM_BYTES[algorithm], "big"))


def _names() -> str:
    return ", ".join(algorithm.name for algorithm in ChecksumAlgorithm)


def _refuse(message: str) -> NoReturn:
    code = "InvalidRequest"
    raise S3Error(code, message)

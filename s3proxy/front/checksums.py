"""The checksums of S3 over plaintext: running, as text, of whole multipart uploads.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from s3proxy.front.crc import COMBINING, RUNNING
from s3proxy.front.errors import S3Error
from s3proxy.front.xml_write import Node, node
from strongroom.sealed.digests import CHECKSUM_BYTES, Checksum, ChecksumAlgorithm, ChecksumScope
from strongroom.sealed.sizes import MAX_PARTS

HEADER_PREFIX: Final = "x-amz-checksum-"
_COMPOSITE: Final = re.compile(r"(?P<value>[A-Za-z0-9+/=]+)-(?P<parts>[1-9][0-9]{0,4})")
_HASHES: Final = {ChecksumAlgorithm.SHA1: "sha1", ChecksumAlgorithm.SHA256: "sha256"}

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
        self._step = RUNNING[algorithm]
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
    code, msg = "InvalidRequest", f"The {text[:32]} checksum type cannot be used with {algorithm.name.lower()}."
    raise S3Error(code, msg)


def checksum_name(algorithm: ChecksumAlgorithm) -> str:
    """Return the name of the header, ``x-amz-checksum-crc32c``."""
    return HEADER_PREFIX + algorithm.name.lower()


def algorithm_of_header(name: str) -> ChecksumAlgorithm | None:
    """Return the algorithm of a header (lower-case name), or None when it carries no checksum."""
    if not name.startswith(HEADER_PREFIX):
        return None
    return ChecksumAlgorithm.__members__.get(name.removeprefix(HEADER_PREFIX).upper())


def parse_checksum(algorithm: ChecksumAlgorithm, text: str) -> Checksum:
    """Read the value of a checksum header or element: base64, of a composite one with ``-N`` behind it.

    Raises:
        S3Error: InvalidRequest, as it is malformed or has the wrong length.
    """
    match = _COMPOSITE.fullmatch(text)
    parts = int(match["parts"]) if match else 0
    value = _decode_base64(match["value"] if match else text)
    if value is None or len(value) != CHECKSUM_BYTES[algorithm] or parts > MAX_PARTS:
        code, msg = "InvalidRequest", f"Value for {checksum_name(algorithm)} header is invalid."
        raise S3Error(code, msg)
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
        code, msg = "InvalidDigest", "The Content-MD5 you specified is not valid."
        raise S3Error(code, msg)
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
    combine = COMBINING[algorithm]
    total = 0
    for value, length in parts:
        total = combine(total, int.from_bytes(value, "big"), length)
    return Checksum(algorithm, total.to_bytes(CHECKSUM_BYTES[algorithm], "big"))


def _names() -> str:
    return ", ".join(algorithm.name for algorithm in ChecksumAlgorithm)

"""The checksums of S3 over plaintext: running, as a string, of whole multipart uploads.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NoReturn, Protocol

from s3proxy.s3api.crc import COMBINING, RUNNING
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.xml_write import Node, node
from strongroom.sealed.digests import CHECKSUM_BYTES, Checksum, ChecksumAlgorithm, ChecksumScope
from strongroom.sealed.sizes import MAX_PARTS

HEADER_PREFIX: Final = "x-amz-checksum-"
_NOT_A_VALUE: Final = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})
_NAMED: Final = "x-amz-sdk-checksum-algorithm"
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


def claimed_checksum(head: RequestHead) -> Checksum | None:
    """Return the one checksum that headers claim, or None.

    Raises:
        S3Error: InvalidRequest for several, for an algorithm that is not known, and for a malformed value.
    """
    claims = [
        parse_checksum(algorithm, head.header(name))
        for name in head.names()
        if name.startswith(HEADER_PREFIX) and (algorithm := algorithm_of_header(name)) is not None
    ]
    if len(claims) > 1:
        _refuse("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    return claims[0] if claims else None


def require_known_algorithms(head: RequestHead) -> None:
    """Return if all algorithms that a request names are known, whether it has a body or not.

    Raises:
        S3Error: InvalidRequest.
    """
    for name in head.names():
        if name.startswith(HEADER_PREFIX):
            algorithm_of_header(name)
    if head.has(_NAMED):
        _named_algorithm(head)


def require_named(head: RequestHead, given: Collection[ChecksumAlgorithm]) -> None:
    """Return if a request comes with a checksum by the algorithm that it names, or names none.

    Args:
        head: of the request.
        given: the algorithms of its checksums.

    Raises:
        S3Error: InvalidRequest.
    """
    if not head.has(_NAMED):
        return
    named = _named_algorithm(head)
    if not given:
        _refuse(f"{_NAMED} specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
    if named not in given:
        _refuse(f"Value for {_NAMED} header is invalid.")


def _named_algorithm(head: RequestHead) -> ChecksumAlgorithm:
    algorithm = ChecksumAlgorithm.__members__.get(head.header(_NAMED).upper())
    if algorithm is None:
        _refuse(f"Value for {_NAMED} header is invalid.")
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
    combine = COMBINING[algorithm]
    total = 0
    for value, length in parts:
        total = combine(total, int.from_bytes(value, "big"), length)
    return Checksum(algorithm, total.to_bytes(CHECKSUM_BYTES[algorithm], "big"))


def _names() -> str:
    return ", ".join(algorithm.name for algorithm in ChecksumAlgorithm)


def _refuse(message: str) -> NoReturn:
    code = "InvalidRequest"
    raise S3Error(code, message)

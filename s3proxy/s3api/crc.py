"""The CRCs of S3, running and combined; the one module that imports awscrt.

CRC-32 (ISO-HDLC) comes from zlib, CRC-32C and CRC-64/NVME from awscrt, which AWS's own SDKs use for them. All accept
any bytes-like object and let other threads run meanwhile.
"""

import zlib
from collections.abc import Callable
from typing import Final

from awscrt import checksums  # type: ignore[import-untyped]

from strongroom.sealed.digests import ChecksumAlgorithm

Crc = Callable[[memoryview, int], int]

RUNNING: Final[dict[ChecksumAlgorithm, Crc]] = {
    ChecksumAlgorithm.CRC32: zlib.crc32,
    ChecksumAlgorithm.CRC32C: checksums.crc32c,
    ChecksumAlgorithm.CRC64NVME: checksums.crc64nvme,
}

# (CRC of A, CRC of B, length of B) -> CRC of A followed by B
COMBINING: Final[dict[ChecksumAlgorithm, Callable[[int, int, int], int]]] = {
    ChecksumAlgorithm.CRC32: checksums.combine_crc32,
    ChecksumAlgorithm.CRC32C: checksums.combine_crc32c,
    ChecksumAlgorithm.CRC64NVME: checksums.combine_crc64nvme,
}

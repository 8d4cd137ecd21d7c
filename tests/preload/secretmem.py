"""Memory to hand a region over in, as the wrapper would, for tests only.

The product has its own code for this; tests of the C library must not depend on it.
"""

import ctypes
import fcntl
import mmap
import os

MEMFD_SECRET = 447  # the same on every architecture
LOWEST_FD = 100  # scripts use the low descriptors

_libc = ctypes.CDLL(None, use_errno=True)


def memfd_secret() -> int:
    """Return a new, empty secret memory descriptor, inheritable. Raises OSError where the kernel refuses."""
    descriptor: int = _libc.syscall(MEMFD_SECRET, 0)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"memfd_secret: {os.strerror(number)}")
    return descriptor


def _high(descriptor: int) -> int:
    """Move a descriptor to a free number from 100 on, inheritable."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, LOWEST_FD)
    os.close(descriptor)
    return moved


def secret_descriptor(image: bytes) -> int:
    """Return a descriptor from 100 on of secret memory that holds exactly ``image``."""
    descriptor = memfd_secret()
    os.ftruncate(descriptor, len(image))
    if image:
        with mmap.mmap(descriptor, len(image), mmap.MAP_SHARED) as memory:  # write() is refused on secret memory
            memory[:] = image
    return _high(descriptor)


def sealed_descriptor(image: bytes) -> int:
    """Return a descriptor from 100 on of a sealed memfd that holds exactly ``image``."""
    descriptor = os.memfd_create("region", os.MFD_ALLOW_SEALING)
    os.write(descriptor, image)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return _high(descriptor)


def region_descriptor(image: bytes, rung: str) -> int:
    """Return a descriptor of the kind that ``rung`` asks for."""
    return secret_descriptor(image) if rung == "memfd-secret" else sealed_descriptor(image)

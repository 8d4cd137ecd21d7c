"""Memory that can hold secrets across exec, and which rung of protection it gives.

``memfd_secret(2)`` memory is taken out of the kernel's own mapping: neither ``/proc/PID/mem`` nor ``process_vm_readv``
nor a debugger reads it, root or not. ``locked`` memory is an ordinary sealed memfd kept out of swap; root can read it.
"""

import errno
import fcntl
import mmap
import os
import resource

from strongroom import linux
from strongroom.errors import OTHER_VERSION, IntegrityError
from wrapper.program import ProtectionError
from wrapper.settings import REQUIRE_ANY, REQUIRE_LOCKED, REQUIRE_MEMFD_SECRET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Body(Protocol):
        """An answer that is read from its beginning to its end, straight into memory (``wrapper.fetch.bridge``)."""

        size: int

        def read_into(self, buffer: memoryview) -> None:
            """Fill a buffer with what comes next."""


FIRST_DESCRIPTOR = 100  # scripts use 3…9, and shells park their own from 10 on

_ALLOW_LESS = "allow less with --require locked, or --require any, and without --require-yama"
_CAUSES = {
    "ENOSYS": "the kernel does not have it, has it switched off (secretmem.enable=1 before 6.5), or is gVisor",
    "EPERM": "a seccomp profile forbids it",
}


class SecretMemory:
    """One block of memory that survives exec through its descriptor.

    Attributes:
        rung: what protects it: ``memfd-secret``, ``locked`` or ``any`` (neither).
        mapping: the block; valid after ``allocate``.
    """

    __slots__ = ("_descriptor", "_require", "mapping", "rung")

    def __init__(self, require: str) -> None:
        """Open the best memory that this machine offers.

        Args:
            require: the least that will do, one of ``wrapper.settings.REQUIREMENTS``.

        Raises:
            ProtectionError: that cannot be had here; the message says what was tried.
        """
        self._require = require
        self._descriptor, self.rung = _open(require)
        self.mapping: mmap.mmap | None = None

    def allocate(self, size: int) -> mmap.mmap:
        """Size the block and map it. Called again, it starts afresh: an answer was lost, and is fetched once more.

        Args:
            size: bytes.

        Raises:
            IntegrityError: the size is not one that a region can have.
            ProtectionError: there is not enough lockable memory.
        """
        from strongroom.launch.region import MAX_TOTAL_BYTES  # loaded while the answer is waited for

        if not 0 < size <= MAX_TOTAL_BYTES:
            raise IntegrityError(f"the bridge announces {size} bytes, not the size of a region", hint=OTHER_VERSION)
        if self.mapping is not None:  # such a file can be sized only once
            self.mapping = None  # first: it counts against RLIMIT_MEMLOCK, which may not hold two
            os.close(self._descriptor)
            self._descriptor, self.rung = _open(self._require)
        try:
            os.ftruncate(self._descriptor, size)
            self.mapping = mapping = mmap.mmap(self._descriptor, size)
            if self.rung != REQUIRE_MEMFD_SECRET:
                mapping.madvise(mmap.MADV_DONTDUMP)
                self._lock(mapping, size)
        except OSError as error:
            raise self._too_little(size, error) from None
        return mapping

    def receive(self, body: "Body") -> None:
        """Read all of an answer into the block. Raises what ``allocate`` and the body raise."""
        body.read_into(memoryview(self.allocate(body.size)))

    def _lock(self, mapping: mmap.mmap, size: int) -> None:
        try:
            linux.lock_memory(mapping, size)
        except OSError:
            if self._require != REQUIRE_ANY:
                raise
            self.rung = REQUIRE_ANY

    def _too_little(self, size: int, error: OSError) -> ProtectionError:
        if error.errno == errno.EFBIG:
            limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
            return ProtectionError(
                f"{size} bytes of {self.rung} memory cannot be had: RLIMIT_FSIZE is {limit}",
                hint="raise the limit on file sizes (ulimit -f); memory that survives exec is a file to the kernel",
            )
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        shown = "unlimited" if limit == resource.RLIM_INFINITY else f"{limit} bytes"
        return ProtectionError(
            f"{size} bytes of {self.rung} memory cannot be had: {error.strerror}; RLIMIT_MEMLOCK is {shown}",
            hint="raise RLIMIT_MEMLOCK, fetch less, or allow less protection with --require",
        )

    def seal(self) -> int:
        """Move the descriptor out of the way of scripts, freeze it as far as its kind allows, and let it survive exec.

        Returns:
            The descriptor.

        Raises:
            ProtectionError: there is no free one.
        """
        moved = to_high_descriptor(self._descriptor, least=FIRST_DESCRIPTOR)  # the library takes no lower one
        self._descriptor = moved
        if self.rung != REQUIRE_MEMFD_SECRET:  # memfd_secret files cannot be sealed, nor sized a second time
            fcntl.fcntl(moved, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        return moved


def to_high_descriptor(descriptor: int, *, least: int = 10) -> int:
    """Move a descriptor out of the way of scripts and let it survive exec; return its new number.

    Args:
        descriptor: what to move.
        least: the lowest number that will do where few descriptors are allowed.

    Raises:
        ProtectionError: there is no free one.
    """
    soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    first = min(FIRST_DESCRIPTOR, max(soft_limit - 8, least))
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, first)
    except OSError as error:
        msg = f"no descriptor is free from {first} on: {error.strerror}; RLIMIT_NOFILE is {soft_limit}"
        raise ProtectionError(msg, hint="raise RLIMIT_NOFILE (ulimit -n) to 128 or more") from None
    os.close(descriptor)
    return moved


def _open(require: str) -> tuple[int, str]:
    try:
        return linux.memfd_secret(), REQUIRE_MEMFD_SECRET
    except OSError as error:
        if require == REQUIRE_MEMFD_SECRET:
            name = errno.errorcode.get(error.errno or 0, "?")
            msg = f"memfd_secret cannot be had: {error.strerror} ({name}): {_CAUSES.get(name, 'see memfd_secret(2)')}"
            raise ProtectionError(msg, hint=_ALLOW_LESS) from None
    try:
        return os.memfd_create("strongroom", os.MFD_ALLOW_SEALING), REQUIRE_LOCKED
    except OSError as error:
        raise ProtectionError(f"no memory that survives exec: {error.strerror}", hint="see memfd_create(2)") from None

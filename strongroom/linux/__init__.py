"""System calls that the standard library does not offer. This package is the only place of ctypes.

Here are those of a launch, called by the native part of ctypes alone: the rest of it declares the types of C, which
takes 1 ms. The submodules have what others need, with all of ctypes (``libc``).
Each function raises OSError with the errno of the call.
"""

import _ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

_SYS_MEMFD_SECRET = 447  # the same on every architecture that has it (asm-generic/unistd.h)

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_PTRACER = 0x59616D61

_RTLD_NOW = 2  # dlfcn.h, in glibc and in musl
_STATFS_WORDS = 32  # a struct statfs has 120 bytes on 64-bit machines


class _Word(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001 - what ctypes makes its types of
    """An argument: a long, which has room for pointers and for whatever is shorter."""

    _type_ = "l"


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001
    """A result. The upper half of a register that returns an int is nobody's: read as a long, -1 may be 2³²-1."""

    _type_ = "i"


class _Byte(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001
    _type_ = "c"


class _Words(_ctypes.Array):  # type: ignore[type-arg]
    _type_ = _Word
    _length_ = _STATFS_WORDS


class _Call(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


_c_library = _ctypes.dlopen(None, _RTLD_NOW)  # type: ignore[arg-type]  # this very process (dlopen(3))


def _function(name: str, arguments: int) -> "Callable[..., int]":
    """Return a function of the C library that takes this many words and returns an int."""
    call = _Call(_ctypes.dlsym(_c_library, name))
    call.argtypes = (_Word,) * arguments
    return call


_syscall = _function("syscall", 2)  # returns a long; what it is called for here returns a descriptor or -1
_prctl = _function("prctl", 5)


def checked(result: int) -> int:
    """Return the result of a call; raise OSError if it says that the call failed."""
    if result < 0:
        number = _ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def memfd_secret() -> int:
    """Return a new descriptor of secret memory, inheritable, of size 0 (memfd_secret(2)).

    Raises:
        OSError: ENOSYS where the kernel does not have it or it is switched off, EPERM where seccomp forbids it.
    """
    return checked(_syscall(_SYS_MEMFD_SECRET, 0))


def filesystem_type(descriptor: int) -> int:
    """Return the magic number of the file system that an open file or directory is on (fstatfs(2), f_type)."""
    buffer = _Words()
    checked(_function("fstatfs", 2)(descriptor, _ctypes.addressof(buffer)))
    return int(buffer[0])


def lock_memory(mapping: "mmap", size: int) -> None:
    """Keep a writable mapping out of swap (mlock(2)).

    Raises:
        OSError: ENOMEM or EPERM when RLIMIT_MEMLOCK is too small.
    """
    first = _Byte.from_buffer(mapping)
    checked(_function("mlock", 2)(_ctypes.addressof(first), size))


def set_not_dumpable() -> None:
    """Keep this process out of core dumps and out of reach of its own user's other processes (PR_SET_DUMPABLE)."""
    checked(_prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def set_dumpable() -> None:
    """Take ``set_not_dumpable`` back, which a program needs to be traced by its own child."""
    checked(_prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))


def set_no_new_privileges() -> None:
    """Take setuid and file capabilities away from this process and all it will exec (PR_SET_NO_NEW_PRIVS)."""
    checked(_prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def allow_tracer(pid: int) -> None:
    """Let a child trace this process, which Yama allows only to ancestors by itself. Without Yama nothing happens."""
    _prctl(_PR_SET_PTRACER, pid, 0, 0, 0)

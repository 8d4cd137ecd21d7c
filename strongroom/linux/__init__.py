"""System calls that the standard library does not offer. This package is the only place of ctypes.

Here are those of a launch, without a submodule that every launch would pay for; the submodules have what others need.
Each function raises OSError with the errno of the call.
"""

import ctypes
import os

_SYS_MEMFD_SECRET = 447  # the same on every architecture that has it (asm-generic/unistd.h)

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_PTRACER = 0x59616D61

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mlock.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def checked(result: int) -> int:
    """Return the result of a call; raise OSError if it says that the call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def memfd_secret() -> int:
    """Return a new descriptor of secret memory, inheritable, of size 0 (memfd_secret(2)).

    Raises:
        OSError: ENOSYS where the kernel does not have it or it is switched off, EPERM where seccomp forbids it.
    """
    return checked(libc.syscall(ctypes.c_long(_SYS_MEMFD_SECRET), ctypes.c_uint(0)))


def filesystem_type(descriptor: int) -> int:
    """Return the magic number of the file system that an open file or directory is on (fstatfs(2), f_type)."""
    buffer = (ctypes.c_ulong * 32)()  # a struct statfs has 120 bytes on 64-bit machines; its first word is f_type
    checked(libc.fstatfs(descriptor, ctypes.byref(buffer)))
    return buffer[0]


def lock_memory(mapping: "ctypes.Array[ctypes.c_char] | object", size: int) -> None:
    """Keep a writable mapping out of swap (mlock(2)).

    Raises:
        OSError: ENOMEM or EPERM when RLIMIT_MEMLOCK is too small.
    """
    first = ctypes.c_char.from_buffer(mapping)  # type: ignore[arg-type]
    checked(libc.mlock(ctypes.addressof(first), size))


def set_not_dumpable() -> None:
    """Keep this process out of core dumps and out of reach of its own user's other processes (PR_SET_DUMPABLE)."""
    checked(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def set_dumpable() -> None:
    """Take ``set_not_dumpable`` back, which a program needs to be traced by its own child."""
    checked(libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))


def set_no_new_privileges() -> None:
    """Take setuid and file capabilities away from this process and all it will exec (PR_SET_NO_NEW_PRIVS)."""
    checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def allow_tracer(pid: int) -> None:
    """Let a child trace this process, which Yama allows only to ancestors by itself. Without Yama nothing happens."""
    libc.prctl(_PR_SET_PTRACER, pid, 0, 0, 0)

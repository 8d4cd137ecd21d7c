"""System calls that the standard library does not offer. The only module with ctypes.

Each function raises OSError with the errno of the call.
"""

import ctypes
import os
import signal

_SYS_MEMFD_SECRET = 447  # the same on every architecture that has it (asm-generic/unistd.h)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mlock.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def memfd_secret() -> int:
    """Return a new descriptor of secret memory, inheritable, of size 0 (memfd_secret(2)).

    Raises:
        OSError: ENOSYS where the kernel does not have it or it is switched off, EPERM where seccomp forbids it.
    """
    return _checked(_libc.syscall(ctypes.c_long(_SYS_MEMFD_SECRET), ctypes.c_uint(0)))


def lock_memory(mapping: "ctypes.Array[ctypes.c_char] | object", size: int) -> None:
    """Keep a writable mapping out of swap (mlock(2)).

    Raises:
        OSError: ENOMEM or EPERM when RLIMIT_MEMLOCK is too small.
    """
    first = ctypes.c_char.from_buffer(mapping)  # type: ignore[arg-type]
    _checked(_libc.mlock(ctypes.addressof(first), size))


def set_not_dumpable() -> None:
    """Keep this process out of core dumps and out of reach of its own user's other processes (PR_SET_DUMPABLE)."""
    _checked(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def set_no_new_privileges() -> None:
    """Take setuid and file capabilities away from this process and all it will exec (PR_SET_NO_NEW_PRIVS)."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends (PR_SET_PDEATHSIG)."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))

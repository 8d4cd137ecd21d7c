"""What a process of ours that holds secrets gives up, before it has any, and the memory that it no longer needs.

The wrapper does the same by ``wrapper.libc``: one more module would be paid for by every launch.
"""

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def return_free_memory() -> None:
    """Give pages that hold nothing any more back to the kernel, which glibc by itself does at the heap's end only."""
    trim = getattr(_libc, "malloc_trim", None)  # musl has none, and less to return
    if trim is not None:
        trim(ctypes.c_size_t(0))


def keep_memory_private() -> None:
    """Keep this process's memory out of core dumps, and from other processes of its user. Call it first of all.

    RLIMIT_CORE alone is not enforced where the kernel pipes core dumps to a program (core(5)). A process that is not
    dumpable has none at all, and only CAP_SYS_PTRACE gets at its ``/proc/PID/mem`` and ``environ``, or may trace it. An
    exec takes that back; the limit stays.

    Raises:
        OSError: the kernel refuses; no secret may come into such a process.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

"""What processes of ours other than a launch ask of the kernel and of the libc: servers, and those that start some."""

import ctypes
import resource
import signal

from strongroom.linux import checked, set_not_dumpable
from strongroom.linux.libc import libc

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_M_TRIM_THRESHOLD = -1  # malloc.h
_M_MMAP_THRESHOLD = -3


def return_free_memory() -> None:
    """Give pages that hold nothing any longer back to the kernel, which glibc by itself does at the heap's end only."""
    trim = getattr(libc, "malloc_trim", None)  # musl has none, and less to return
    if trim is not None:
        trim(ctypes.c_size_t(0))


def keep_free_memory(*, blocks_bytes: int, free_bytes: int) -> None:
    """Have glibc use free memory again where it would give it back and fault in new pages (mallopt(3)).

    By itself it takes a mapping of its own for a buffer of some MiB, or gives the heap's end back, and each page of the
    next buffer is a fault that takes longer than filling it. Without effect where the libc is another one.

    Args:
        blocks_bytes: blocks up to this size come from the heap.
        free_bytes: at most this much stays free at the heap's end.
    """
    option = getattr(libc, "mallopt", None)  # musl has none
    if option is not None:
        option(ctypes.c_int(_M_MMAP_THRESHOLD), ctypes.c_int(blocks_bytes))
        option(ctypes.c_int(_M_TRIM_THRESHOLD), ctypes.c_int(free_bytes))


def keep_memory_private() -> None:
    """Keep this process's memory out of core dumps, and from other processes of its user. Call it first of all.

    RLIMIT_CORE alone is not enforced where the kernel pipes core dumps to a program (core(5)). A process that is not
    dumpable has none at all, and only CAP_SYS_PTRACE gets at its ``/proc/PID/mem`` and ``environ``, or may trace it. An
    exec takes that back; the limit stays.

    Raises:
        OSError: the kernel refuses; no secret may come into such a process.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    set_not_dumpable()


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends (PR_SET_PDEATHSIG)."""
    checked(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))

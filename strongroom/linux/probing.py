"""System calls of ``strongroom doctor`` only: what it tries on this machine, and on programs."""

import ctypes

from strongroom.linux import checked, ptrace
from strongroom.linux.libc import libc

_SYS_PIDFD_GETFD = 438  # the same on every architecture
_PTRACE_PEEKDATA = 2  # linux/ptrace.h
_PTRACE_GETSIGMASK = 0x420A
_PTRACE_SETSIGMASK = 0x420B
_SIGSET_BYTES = 8  # the kernel's, not the libc's
_CAPABILITY_VERSION_3 = 0x2008_0522  # linux/capability.h
_CLONE_NEWUSER = 0x1000_0000  # linux/sched.h
_PR_SET_MM = 35  # linux/prctl.h
_PR_SET_MM_MAP = 14


def peek_word(pid: int, address: int) -> int:
    """Return eight bytes of a stopped tracee, as debuggers read them (PTRACE_PEEKDATA).

    Raises:
        OSError: EIO where nothing can be read.
    """
    call = libc.ptrace
    call.restype = ctypes.c_long
    ctypes.set_errno(0)  # every result is a legal word
    word: int = call(_PTRACE_PEEKDATA, pid, ctypes.c_void_p(address), None)
    checked(-1 if ctypes.get_errno() else 0)
    return word


def read_signal_mask(pid: int) -> bytes:
    """Return which signals a stopped tracee blocks (PTRACE_GETSIGMASK)."""
    mask = ctypes.create_string_buffer(_SIGSET_BYTES)
    ptrace.request(_PTRACE_GETSIGMASK, pid, _SIGSET_BYTES, ctypes.addressof(mask))
    return mask.raw


def write_signal_mask(pid: int, mask: bytes) -> None:
    """Set which signals a stopped tracee blocks (PTRACE_SETSIGMASK)."""
    buffer = ctypes.create_string_buffer(mask, _SIGSET_BYTES)
    ptrace.request(_PTRACE_SETSIGMASK, pid, _SIGSET_BYTES, ctypes.addressof(buffer))


def pidfd_getfd(pidfd: int, descriptor: int) -> int:
    """Return a copy of another process's descriptor (pidfd_getfd(2)).

    Raises:
        OSError: EPERM when this process may not, EBADF when there is no such descriptor.
    """
    return checked(libc.syscall(ctypes.c_long(_SYS_PIDFD_GETFD), pidfd, descriptor, ctypes.c_uint(0)))


def drop_capabilities() -> None:
    """Give up every capability of this process for good, but for what root would get at exec (capset(2))."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    checked(libc.capset(header, (ctypes.c_uint32 * 6)()))


def enter_user_namespace() -> None:
    """Move this process, which may have one thread only, into a new user namespace (unshare(2)).

    Raises:
        OSError: EPERM or ENOSPC where that is not allowed.
    """
    checked(libc.unshare(_CLONE_NEWUSER))


def set_memory_map(fields: "tuple[int, ...]") -> None:
    """Tell the kernel anew where this process's parts lie, which /proc shows (PR_SET_MM_MAP, struct prctl_mm_map).

    Args:
        fields: start_code, end_code, start_data, end_data, start_brk, brk, start_stack, arg_start, arg_end, env_start
            and env_end.

    Raises:
        OSError: EINVAL where the kernel has no checkpoint support.
    """
    no_auxv, no_exe = (0, 0), 0xFFFF_FFFF  # leave both as they are
    values = (ctypes.c_uint64 * 13)(*fields, no_auxv[0], no_auxv[1] | no_exe << 32)
    checked(libc.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.addressof(values), ctypes.sizeof(values), 0))

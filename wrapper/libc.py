"""System calls that the standard library does not offer. With ``strongroom.linux`` the only place of ctypes.

Each function raises OSError with the errno of the call.
"""

import ctypes
import os
import signal

_SYS_MEMFD_SECRET = 447  # the same on every architecture that has it (asm-generic/unistd.h)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_PTRACER = 0x59616D61

_PTRACE_GETREGSET = 0x4204  # linux/ptrace.h
_PTRACE_SETREGSET = 0x4205
_NT_PRSTATUS = 1  # linux/elf.h

# For `strongroom doctor`.
_SYS_PIDFD_GETFD = 438  # the same on every architecture
_PTRACE_PEEKDATA = 2
_PTRACE_GETSIGMASK = 0x420A
_PTRACE_SETSIGMASK = 0x420B
_SIGSET_BYTES = 8  # the kernel's, not the libc's
_CAPABILITY_VERSION_3 = 0x2008_0522  # linux/capability.h
_CLONE_NEWUSER = 0x1000_0000  # linux/sched.h
_PR_SET_MM = 35
_PR_SET_MM_MAP = 14

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


def filesystem_type(descriptor: int) -> int:
    """Return the magic number of the file system that an open file or directory is on (fstatfs(2), f_type)."""
    buffer = (ctypes.c_ulong * 32)()  # a struct statfs has 120 bytes on 64-bit machines; its first word is f_type
    _checked(_libc.fstatfs(descriptor, ctypes.byref(buffer)))
    return buffer[0]


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


def set_dumpable() -> None:
    """Take ``set_not_dumpable`` back, which a program needs to be traced by its own child."""
    _checked(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))


def set_no_new_privileges() -> None:
    """Take setuid and file capabilities away from this process and all it will exec (PR_SET_NO_NEW_PRIVS)."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends (PR_SET_PDEATHSIG)."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def allow_tracer(pid: int) -> None:
    """Let a child trace this process, which Yama allows only to ancestors by itself. Without Yama nothing happens."""
    _libc.prctl(_PR_SET_PTRACER, pid, 0, 0, 0)


def ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    """Send the kernel a request about a tracee, one that returns nothing (see the manual page).

    Raises:
        OSError: ESRCH when the process has ended or is not stopped, EPERM where tracing is forbidden.
    """
    _checked(_libc.ptrace(request, pid, ctypes.c_void_p(address), ctypes.c_void_p(data)))


def read_registers(pid: int, size: int) -> bytes:
    """Return the general registers of a stopped tracee (PTRACE_GETREGSET, NT_PRSTATUS).

    Args:
        pid: the tracee.
        size: how many bytes they are on this machine.
    """
    buffer = ctypes.create_string_buffer(size)
    part = _memory_part(ctypes.addressof(buffer), size)
    ptrace(_PTRACE_GETREGSET, pid, _NT_PRSTATUS, ctypes.addressof(part))
    return buffer.raw


def write_registers(pid: int, registers: bytes) -> None:
    """Set the general registers of a stopped tracee (PTRACE_SETREGSET, NT_PRSTATUS)."""
    buffer = ctypes.create_string_buffer(registers, len(registers))
    part = _memory_part(ctypes.addressof(buffer), len(registers))
    ptrace(_PTRACE_SETREGSET, pid, _NT_PRSTATUS, ctypes.addressof(part))


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Return what another process holds at an address, up to the first page that cannot be read (process_vm_readv(2)).

    Raises:
        OSError: EFAULT when not one byte can be read, EPERM when this process may not.
    """
    buffer = ctypes.create_string_buffer(size)
    ours, theirs = _memory_part(ctypes.addressof(buffer), size), _memory_part(address, size)
    call = _libc.process_vm_readv
    call.restype = ctypes.c_ssize_t
    done = _checked(call(pid, ours, ctypes.c_ulong(1), theirs, ctypes.c_ulong(1), ctypes.c_ulong(0)))
    return buffer.raw[:done]


def write_memory(pid: int, address: int, data: bytes) -> int:
    """Write into the writable memory of another process; return how much was written (process_vm_writev(2)).

    Raises:
        OSError: EFAULT when not one byte can be written, EPERM when this process may not.
    """
    buffer = ctypes.create_string_buffer(data, len(data))
    ours, theirs = _memory_part(ctypes.addressof(buffer), len(data)), _memory_part(address, len(data))
    call = _libc.process_vm_writev
    call.restype = ctypes.c_ssize_t
    return _checked(call(pid, ours, ctypes.c_ulong(1), theirs, ctypes.c_ulong(1), ctypes.c_ulong(0)))


def _memory_part(address: int, size: int) -> "ctypes.Array[ctypes.c_size_t]":
    """Return a struct iovec."""
    return (ctypes.c_size_t * 2)(address, size)


def peek_word(pid: int, address: int) -> int:
    """Return eight bytes of a stopped tracee, as debuggers read them (PTRACE_PEEKDATA).

    Raises:
        OSError: EIO where nothing can be read.
    """
    call = _libc.ptrace
    call.restype = ctypes.c_long
    ctypes.set_errno(0)  # every result is a legal word
    word: int = call(_PTRACE_PEEKDATA, pid, ctypes.c_void_p(address), None)
    _checked(-1 if ctypes.get_errno() else 0)
    return word


def read_signal_mask(pid: int) -> bytes:
    """Return which signals a stopped tracee blocks (PTRACE_GETSIGMASK)."""
    mask = ctypes.create_string_buffer(_SIGSET_BYTES)
    ptrace(_PTRACE_GETSIGMASK, pid, _SIGSET_BYTES, ctypes.addressof(mask))
    return mask.raw


def write_signal_mask(pid: int, mask: bytes) -> None:
    """Set which signals a stopped tracee blocks (PTRACE_SETSIGMASK)."""
    buffer = ctypes.create_string_buffer(mask, _SIGSET_BYTES)
    ptrace(_PTRACE_SETSIGMASK, pid, _SIGSET_BYTES, ctypes.addressof(buffer))


def pidfd_getfd(pidfd: int, descriptor: int) -> int:
    """Return a copy of another process's descriptor (pidfd_getfd(2)).

    Raises:
        OSError: EPERM when this process may not, EBADF when there is no such descriptor.
    """
    return _checked(_libc.syscall(ctypes.c_long(_SYS_PIDFD_GETFD), pidfd, descriptor, ctypes.c_uint(0)))


def drop_capabilities() -> None:
    """Give up every capability of this process for good, but for what root would get at exec (capset(2))."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def enter_user_namespace() -> None:
    """Move this process, which may have one thread only, into a new user namespace (unshare(2)).

    Raises:
        OSError: EPERM or ENOSPC where that is not allowed.
    """
    _checked(_libc.unshare(_CLONE_NEWUSER))


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
    _checked(_libc.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.addressof(values), ctypes.sizeof(values), 0))

"""ptrace(2), and the memory of other processes. What a tracer makes of it is in ``wrapper.static`` and ``doctor``."""

import ctypes
import signal

from strongroom.linux import checked
from strongroom.linux.libc import libc

# linux/ptrace.h
CONT = 7
DETACH = 17
POKEDATA = 5
SYSCALL = 24
SETOPTIONS = 0x4200
SEIZE = 0x4206
INTERRUPT = 0x4207
LISTEN = 0x4208
_GETREGSET = 0x4204
_SETREGSET = 0x4205

O_TRACESYSGOOD = 1
O_TRACEEXEC = 1 << 4
O_EXITKILL = 1 << 20
O_SUSPEND_SECCOMP = 1 << 21

EVENT_EXEC = 4
EVENT_STOP = 128

SYSCALL_STOP = signal.SIGTRAP | 0x80  # with O_TRACESYSGOOD
WALL = 0x4000_0000  # for waitpid (linux/wait.h)

_NT_PRSTATUS = 1  # linux/elf.h


def request(kind: int, pid: int, address: int = 0, data: int = 0) -> None:
    """Send the kernel a request about a tracee, one that returns nothing (see the manual page).

    Raises:
        OSError: ESRCH when the process has ended or is not stopped, EPERM where tracing is forbidden.
    """
    checked(libc.ptrace(kind, pid, ctypes.c_void_p(address), ctypes.c_void_p(data)))


def read_registers(pid: int, size: int) -> bytes:
    """Return the general registers of a stopped tracee (PTRACE_GETREGSET, NT_PRSTATUS).

    Args:
        pid: the tracee.
        size: how many bytes they are on this machine.
    """
    buffer = ctypes.create_string_buffer(size)
    part = _memory_part(ctypes.addressof(buffer), size)
    request(_GETREGSET, pid, _NT_PRSTATUS, ctypes.addressof(part))
    return buffer.raw


def write_registers(pid: int, registers: bytes) -> None:
    """Set the general registers of a stopped tracee (PTRACE_SETREGSET, NT_PRSTATUS)."""
    buffer = ctypes.create_string_buffer(registers, len(registers))
    part = _memory_part(ctypes.addressof(buffer), len(registers))
    request(_SETREGSET, pid, _NT_PRSTATUS, ctypes.addressof(part))


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Return what another process holds at an address, up to the first page that cannot be read (process_vm_readv(2)).

    Raises:
        OSError: EFAULT when not one byte can be read, EPERM when this process may not.
    """
    buffer = ctypes.create_string_buffer(size)
    ours, theirs = _memory_part(ctypes.addressof(buffer), size), _memory_part(address, size)
    call = libc.process_vm_readv
    call.restype = ctypes.c_ssize_t
    done = checked(call(pid, ours, ctypes.c_ulong(1), theirs, ctypes.c_ulong(1), ctypes.c_ulong(0)))
    return buffer.raw[:done]


def write_memory(pid: int, address: int, data: bytes) -> int:
    """Write into the writable memory of another process; return how much was written (process_vm_writev(2)).

    Raises:
        OSError: EFAULT when not one byte can be written, EPERM when this process may not.
    """
    buffer = ctypes.create_string_buffer(data, len(data))
    ours, theirs = _memory_part(ctypes.addressof(buffer), len(data)), _memory_part(address, len(data))
    call = libc.process_vm_writev
    call.restype = ctypes.c_ssize_t
    return checked(call(pid, ours, ctypes.c_ulong(1), theirs, ctypes.c_ulong(1), ctypes.c_ulong(0)))


def _memory_part(address: int, size: int) -> "ctypes.Array[ctypes.c_size_t]":
    """Return a struct iovec."""
    return (ctypes.c_size_t * 2)(address, size)

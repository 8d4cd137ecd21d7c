"""Makes a machine poorer and becomes a command: ``python sandbox.py [OPTION=VALUE]... -- COMMAND [ARG...]``.

    memlock=BYTES    RLIMIT_MEMLOCK, and no right to exceed it, even for root
    nofile=COUNT     RLIMIT_NOFILE
    fsize=BYTES      RLIMIT_FSIZE
    refuse=ERRNO     memfd_secret(2) fails with this errno, as under gVisor or a seccomp profile
    refuse=CALL:ERRNO  the same for the system call with this number
    ignore=SIGNAL    the signal is ignored
    block=SIGNAL     the signal is held back
    pending=SIGNAL   the same, and one is waiting

A program of its own, because all of this is for one process and what it execs, and cannot be taken back.
"""

import ctypes
import os
import resource
import signal
import struct
import sys

_PR_CAPBSET_DROP = 24  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_CAP_IPC_LOCK = 14  # linux/capability.h
_MEMFD_SECRET = 447

_BPF_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS; the number of the call is the first word of seccomp_data
_BPF_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_BPF_RETURN = 0x06  # BPF_RET | BPF_K
_SECCOMP_ALLOW = 0x7FFF_0000
_SECCOMP_ERRNO = 0x0005_0000

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(*arguments: int) -> None:
    padded = [*arguments, 0, 0, 0, 0][:5]
    if _libc.prctl(*(ctypes.c_ulong(argument) for argument in padded)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _limit_locked_memory(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (size, size))
    if os.geteuid() == 0:
        _prctl(_PR_CAPBSET_DROP, _CAP_IPC_LOCK)  # root gets at exec what the bounding set leaves (capabilities(7))


def _refuse(call: int, number: int) -> None:
    program = struct.pack(
        "=HBBI HBBI HBBI HBBI".replace(" ", ""),
        *(_BPF_LOAD_WORD, 0, 0, 0),
        *(_BPF_JUMP_EQUAL, 0, 1, call),
        *(_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | number),
        *(_BPF_RETURN, 0, 0, _SECCOMP_ALLOW),
    )
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(code)))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))


def main(words: list[str]) -> None:
    split = words.index("--")
    for word in words[:split]:
        option, _, value = word.partition("=")
        if option == "memlock":
            _limit_locked_memory(int(value))
        elif option == "nofile":
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(value), int(value)))
        elif option == "fsize":
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(value), int(value)))
        elif option == "refuse":
            call, colon, number = value.rpartition(":")
            _refuse(int(call) if colon else _MEMFD_SECRET, int(number))
        elif option == "ignore":
            signal.signal(int(value), signal.SIG_IGN)
        elif option in {"block", "pending"}:
            signal.pthread_sigmask(signal.SIG_BLOCK, [int(value)])
            if option == "pending":
                os.kill(os.getpid(), int(value))
        else:
            raise ValueError(word)
    command = words[split + 1 :]
    os.execv(command[0], command)  # noqa: S606 - it is what this program is for


if __name__ == "__main__":
    main(sys.argv[1:])

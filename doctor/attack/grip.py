"""A hold on a running program: stopped by ptrace, made to carry out system calls, let go as it was.

The program notices nothing: it is seized, not attached to, so no stop signal is sent; what it blocks is restored; and
it is let go from the kind of stop in which the kernel repeats a system call that was interrupted (arch/x86/kernel/
signal.c, arch_do_signal_or_restart). It survives the end of this process at any moment but that of a call.
"""

import os
import signal
import time
from typing import Self

from doctor.attack.attack import NotTriedError
from doctor.attack.target import Mapping, read_memory_file
from doctor.machine import status_field
from wrapper import libc
from wrapper.static.processor import MACHINES

_CONT, _DETACH, _SYSCALL, _SETOPTIONS, _SEIZE, _INTERRUPT = 7, 17, 24, 0x4200, 0x4206, 0x4207  # linux/ptrace.h
_O_TRACESYSGOOD = 1
_O_SUSPEND_SECCOMP = 1 << 21
_EVENT_STOP = 128
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_WALL = 0x4000_0000

_PATIENCE_S = 5.0  # how long a program may take to stop; one that waits for a disk or a vfork child does not
_GLANCE_S = 0.001
_MOST_CODE_BYTES = 4 << 20  # searched for a call instruction
_ALL_SIGNALS = b"\xff" * 8
_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Grip:
    """The main thread of a program, stopped while the block lasts."""

    def __init__(self, pid: int, mappings: list[Mapping]) -> None:
        """Take the process and its memory.

        Raises:
            NotTriedError: nothing is known about this machine's registers.
        """
        machine = MACHINES.get(os.uname().machine)
        if machine is None:
            msg = "not written for this machine"
            raise NotTriedError(msg)
        self._pid = pid
        self._mappings = mappings
        self._machine = machine
        self._late: list[int] = []
        self._gadget = 0
        self._changed = False

    def __enter__(self) -> Self:
        """Stop it.

        Raises:
            OSError: it may not be traced.
            NotTriedError: it is traced by somebody else, or does not stop.
        """
        tracer = status_field(self._pid, "TracerPid")
        if tracer not in {"", "0"}:
            msg = f"process {tracer} traces it already"
            raise NotTriedError(msg)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)  # not to be ended in the middle of a call
        try:
            libc.ptrace(_SEIZE, self._pid, 0, _O_TRACESYSGOOD)
            libc.ptrace(_INTERRUPT, self._pid)
            self._await_trap()
            self._registers = libc.read_registers(self._pid, self._machine.registers_bytes)
            self._signals = libc.read_signal_mask(self._pid)
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Put everything back and let it go on."""
        try:
            if self._changed:
                libc.ptrace(_INTERRUPT, self._pid)  # takes effect before its next instruction
                libc.ptrace(_CONT, self._pid)
                self._await_trap()
                libc.write_registers(self._pid, self._registers)
                libc.write_signal_mask(self._pid, self._signals)
            libc.ptrace(_DETACH, self._pid)
            for number in self._late:
                os.kill(self._pid, number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def peek(self, address: int) -> int:
        """Return eight bytes.

        Raises:
            OSError: nothing can be read there.
        """
        return libc.peek_word(self._pid, address)

    def call(self, name: str, *arguments: int) -> int:
        """Have the program carry out a system call and return its result.

        Raises:
            NotTriedError: it failed, or the program may not be made to try.
        """
        if not self._changed:
            self._prepare()
        registers = self._machine.calling(self._registers, self._gadget, name, arguments)
        libc.write_registers(self._pid, registers)
        for _ in ("entry", "exit"):
            libc.ptrace(_SYSCALL, self._pid)
            self._await(_SYSCALL)
        result = self._machine.outcome(libc.read_registers(self._pid, self._machine.registers_bytes))
        if result < 0:
            msg = f"{name} in the program: {os.strerror(-result)}"
            raise NotTriedError(msg)
        return result

    def _prepare(self) -> None:
        self._gadget = self._find_gadget()
        if status_field(self._pid, "Seccomp") not in {"", "0"}:
            try:  # or its filter might end it for a call that it never makes
                libc.ptrace(_SETOPTIONS, self._pid, 0, _O_TRACESYSGOOD | _O_SUSPEND_SECCOMP)
            except OSError:
                msg = "its seccomp filter cannot be suspended, and could end it"
                raise NotTriedError(msg) from None
        libc.write_signal_mask(self._pid, _ALL_SIGNALS)
        self._changed = True

    def _find_gadget(self) -> int:
        code = [mapping for mapping in self._mappings if "x" in mapping.permissions and mapping.name != "[vsyscall]"]
        for mapping in sorted(code, key=lambda mapping: mapping.name != "[vdso]"):
            size = min(mapping.end - mapping.start, _MOST_CODE_BYTES)
            try:
                found = self._machine.find_call(read_memory_file(self._pid, mapping.start, size), mapping.start)
            except OSError:
                continue
            if found is not None:
                return found
        msg = "no system call instruction was found in it"
        raise NotTriedError(msg)

    def _await_trap(self) -> None:
        """Wait for the stop that PTRACE_INTERRUPT brings."""
        status = self._await(_CONT)
        if status >> 16 != _EVENT_STOP or os.WSTOPSIG(status) != signal.SIGTRAP:
            libc.ptrace(_DETACH, self._pid)
            msg = "it is stopped by job control"
            raise NotTriedError(msg)

    def _await(self, request: int) -> int:
        """Wait for a stop that is none of a signal; signals wait until it is let go."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            found, status = os.waitpid(self._pid, _WALL | os.WNOHANG)
            if not found:
                if time.monotonic() > deadline:
                    msg = f"it did not stop within {_PATIENCE_S:g} s"
                    raise NotTriedError(msg)
                time.sleep(_GLANCE_S)
            elif not os.WIFSTOPPED(status):
                raise ProcessLookupError
            elif status >> 16 == _EVENT_STOP or os.WSTOPSIG(status) == _SYSCALL_STOP:
                return status
            else:
                self._late.append(os.WSTOPSIG(status))
                libc.ptrace(request, self._pid)

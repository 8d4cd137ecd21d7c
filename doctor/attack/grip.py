"""A hold on a running program: stopped by ptrace, made to carry out system calls, let go as it was.

The program notices nothing: it is seized, not attached to, so no stop signal is sent; what it blocks is restored; and
it is let go from the kind of stop in which the kernel repeats a system call that was interrupted (arch/x86/kernel/
signal.c, arch_do_signal_or_restart). It survives the end of this process at any moment but that of a call.
"""

import os
import signal
import time
from typing import Self

from doctor.attack.outcome import NotTriedError
from doctor.attack.target import Mapping, read_memory_file
from doctor.machine import status_field
from strongroom.linux import probing, ptrace
from wrapper.static.processor import PROCESSORS

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
        machine = PROCESSORS.get(os.uname().machine)
        if machine is None:
            raise NotTriedError("not written for this machine")
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
            raise NotTriedError(f"process {tracer} traces it already")
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)  # not to be ended in the middle of a call
        try:
            ptrace.request(ptrace.SEIZE, self._pid, 0, ptrace.O_TRACESYSGOOD)
            ptrace.request(ptrace.INTERRUPT, self._pid)
            self._await_trap()
            self._registers = ptrace.read_registers(self._pid, self._machine.registers_bytes)
            self._signals = probing.read_signal_mask(self._pid)
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Put everything back and let it go on."""
        try:
            if self._changed:
                ptrace.request(ptrace.INTERRUPT, self._pid)  # takes effect before its next instruction
                ptrace.request(ptrace.CONT, self._pid)
                self._await_trap()
                ptrace.write_registers(self._pid, self._registers)
                probing.write_signal_mask(self._pid, self._signals)
            ptrace.request(ptrace.DETACH, self._pid)
            for number in self._late:
                os.kill(self._pid, number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def peek(self, address: int) -> int:
        """Return eight bytes.

        Raises:
            OSError: nothing can be read there.
        """
        return probing.peek_word(self._pid, address)

    def call(self, name: str, *arguments: int) -> int:
        """Have the program carry out a system call and return its result.

        Raises:
            NotTriedError: it failed, or the program may not be made to try.
        """
        if not self._changed:
            self._prepare()
        registers = self._machine.calling(self._registers, self._gadget, name, arguments)
        ptrace.write_registers(self._pid, registers)
        for _ in ("entry", "exit"):
            ptrace.request(ptrace.SYSCALL, self._pid)
            self._await(ptrace.SYSCALL)
        result = self._machine.outcome(ptrace.read_registers(self._pid, self._machine.registers_bytes))
        if result < 0:
            raise NotTriedError(f"{name} in the program: {os.strerror(-result)}")
        return result

    def _prepare(self) -> None:
        self._gadget = self._find_gadget()
        if status_field(self._pid, "Seccomp") not in {"", "0"}:
            try:  # or its filter might end it for a call that it never makes
                ptrace.request(ptrace.SETOPTIONS, self._pid, 0, ptrace.O_TRACESYSGOOD | ptrace.O_SUSPEND_SECCOMP)
            except OSError:
                raise NotTriedError("its seccomp filter cannot be suspended, and could end it") from None
        probing.write_signal_mask(self._pid, _ALL_SIGNALS)
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
        raise NotTriedError("no system call instruction was found in it")

    def _await_trap(self) -> None:
        """Wait for the stop that PTRACE_INTERRUPT brings."""
        status = self._await(ptrace.CONT)
        if status >> 16 != ptrace.EVENT_STOP or os.WSTOPSIG(status) != signal.SIGTRAP:
            ptrace.request(ptrace.DETACH, self._pid)
            raise NotTriedError("it is stopped by job control")

    def _await(self, request: int) -> int:
        """Wait for a stop that is none of a signal; signals wait until it is let go."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            found, status = os.waitpid(self._pid, ptrace.WALL | os.WNOHANG)
            if not found:
                if time.monotonic() > deadline:
                    raise NotTriedError(f"it did not stop within {_PATIENCE_S:g} s")
                time.sleep(_GLANCE_S)
            elif not os.WIFSTOPPED(status):
                raise ProcessLookupError
            elif status >> 16 == ptrace.EVENT_STOP or os.WSTOPSIG(status) == ptrace.SYSCALL_STOP:
                return status
            else:
                self._late.append(os.WSTOPSIG(status))
                ptrace.request(request, self._pid)

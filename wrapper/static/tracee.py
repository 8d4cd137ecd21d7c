"""One traced process, seen from its tracer: let it run, stop it, look into it, make it carry out system calls.

The tracee is seized (ptrace(2), PTRACE_SEIZE), so stop signals act on it as on any process. Signals that arrive for it
are passed on.
"""

import os
import signal

from strongroom.linux import ptrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.static.processor import Processor

_STOPPING = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_WORD_BYTES = 8


class GoneError(Exception):
    """The tracee has ended, by itself or by a signal."""


class CallError(Exception):
    """A system call that the tracee was made to carry out failed; the text says which and why."""


class Tracee:
    """A process that this one traces.

    Every method raises GoneError, or ProcessLookupError, when the process has ended, and OSError where the kernel
    refuses.
    """

    __slots__ = ("_pid", "_processor")

    def __init__(self, pid: int, processor: "Processor") -> None:
        """Seize the process without stopping it. It will be killed if this process ends before ``release``.

        Raises:
            OSError: EPERM when that is forbidden.
        """
        self._pid = pid
        self._processor = processor
        # Nothing is read or written; but a seccomp profile that forbids these calls shows now and not after exec.
        ptrace.read_memory(pid, 0, 0)
        ptrace.write_memory(pid, 0, b"")
        ptrace.request(ptrace.SEIZE, pid, 0, ptrace.O_TRACEEXEC | ptrace.O_TRACESYSGOOD | ptrace.O_EXITKILL)

    def wait_for_exec(self) -> None:
        """Let it run until it has exec'd, and on to the end of that call: until then the kernel writes its result."""
        self._wait()
        self._resume(ptrace.SYSCALL)
        self._wait(ptrace.SYSCALL)

    def wait_for_end(self) -> None:
        """Let it run, if it is stopped, until it has ended."""
        try:
            while True:
                self._resume(ptrace.CONT)
                self._wait()
        except GoneError:
            return
        except ProcessLookupError:
            os.waitpid(self._pid, ptrace.WALL)

    def release(self, registers: bytes) -> None:
        """Let it go on alone with these registers."""
        ptrace.write_registers(self._pid, registers)
        ptrace.request(ptrace.DETACH, self._pid)

    def registers(self) -> bytes:
        """Return its registers."""
        return ptrace.read_registers(self._pid, self._processor.registers_bytes)

    def read(self, address: int, size: int) -> bytes:
        """Return what it holds at an address; less than ``size`` when its memory ends before."""
        return ptrace.read_memory(self._pid, address, size)

    def write(self, address: int, data: bytes) -> None:
        """Write into its writable memory."""
        done = 0
        while done < len(data):
            done += ptrace.write_memory(self._pid, address + done, data[done:])

    def write_code(self, address: int, code: bytes) -> None:
        """Write into its code, which for itself is read-only; up to seven bytes behind it become zero."""
        for offset in range(0, len(code), _WORD_BYTES):
            word = int.from_bytes(code[offset : offset + _WORD_BYTES], "little")
            ptrace.request(ptrace.POKEDATA, self._pid, address + offset, word)

    def call(self, gadget: int, name: str, *arguments: int) -> int:
        """Make it carry out a system call and return the result. Its registers are those of the call afterwards.

        Args:
            gadget: address of a call instruction.
            name: of the call, as in ``Processor.calls``.
            arguments: numbers.

        Raises:
            CallError: the call failed.
        """
        self.prepare_call(gadget, name, *arguments)
        for _ in ("entry", "exit"):
            self._resume(ptrace.SYSCALL)
            self._wait(ptrace.SYSCALL)
        result = self._processor.outcome(self.registers())
        if result < 0:
            raise CallError(f"{name} in the application: {os.strerror(-result)}")
        return result

    def prepare_call(self, gadget: int, name: str, *arguments: int) -> None:
        """Set its registers so that it carries out a system call as soon as it runs."""
        ptrace.write_registers(self._pid, self._processor.calling(self.registers(), gadget, name, arguments))

    def _resume(self, request: int, deliver: int = 0) -> None:
        ptrace.request(request, self._pid, 0, deliver)

    def _wait(self, request: int = ptrace.CONT) -> None:
        """Wait for a stop that is none of a signal; after such ones, pass on the signal and resume with ``request``."""
        while True:
            _, status = os.waitpid(self._pid, ptrace.WALL)
            if not os.WIFSTOPPED(status):
                raise GoneError
            number, event = os.WSTOPSIG(status), status >> 16
            if event == ptrace.EVENT_EXEC or number == ptrace.SYSCALL_STOP:
                return
            if event == ptrace.EVENT_STOP:
                # Stopped by job control it stays so until SIGCONT, which makes another stop of this kind.
                self._resume(ptrace.LISTEN if number in _STOPPING else request)
            else:
                self._resume(request, number)

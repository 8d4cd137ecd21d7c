"""Secrets for static programs, which load no library: a short-lived child traces the launch and repoints ``envp``.

The application is to be this very process, so the tracer is a child. It attaches before there is any secret, sleeps
until this process has exec'd, has the program map the secret memory, points the placeholders on its stack there, and
ends (``wrapper.static.tracer``). A few instructions placed in the program wait for that end before they go to its entry
point, so that the program never meets a child it has not started (``processor.Processor.stub_code``).

The two speak over a pair of sockets. Until it is traced this process is dumpable, and what a dumpable process has open
another one of its user can open again in ``/proc/PID/fd``, whatever Yama says: a pipe, to answer in the tracer's place,
or a file, to change later what the tracer is told. A socket it cannot.

Fail closed: if the tracer ends early, the kernel kills the program (PTRACE_O_EXITKILL); if a step fails, the tracer has
the program exit with ``exit_status.REGION`` before its first instruction.
"""

import os
import signal
import socket

from preload import MACHINES
from strongroom import linux
from strongroom.launch.region import read_offsets
from strongroom.terminal import say
from wrapper.memory import SecretMemory
from wrapper.program import ProtectionError
from wrapper.signals import ending_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

    from wrapper.settings import WrapperSettings

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


class Tracer:
    """The tracing child, as the process that it traces sees it."""

    __slots__ = ("_child", "_line")

    def __init__(self, child: int, line: socket.socket) -> None:
        """Take the child, and our end of the line to it."""
        self._child = child
        self._line = line

    def allow(self) -> None:
        """Let it trace this process, and tell it so."""
        linux.allow_tracer(self._child)
        try:
            self._line.send(b".")
        except ConnectionError:
            return  # it has ended, as its answer will show

    def wait_attached(self) -> None:
        """Wait until it traces this process.

        Raises:
            ProtectionError: it cannot; the message says why.
        """
        try:
            answer = self._line.recv(16)
        except ConnectionError:  # it ended without having heard us
            answer = b""
        if answer != b"0":
            _reap(self._child)
            raise _refusal(int(answer or 0))

    def instruct(self, memory: SecretMemory, settings: "WrapperSettings") -> set[int]:
        """Say what to put in place after exec; the next exec of this process then takes the secrets along.

        The program gets a copy that only it has, because programs write into their environment. Where children get
        nothing, the memory itself is that copy.

        Args:
            memory: holds the region.
            settings: of this launch.

        Returns:
            The signals that must be blocked at exec. They are let in when the application begins.

        Raises:
            IntegrityError: the memory does not hold a region.
            ProtectionError: there is not enough memory for the copy.
        """
        own = memory if settings.children == "deny" else _copy(memory, settings.require)
        assert own.mapping is not None  # noqa: S101 - it was allocated
        offsets = read_offsets(own.mapping)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        held = set(ending_signals()) - mask
        # A blocked SIGCHLD stays pending. If it is so already, then for a child that is not ours.
        consume = signal.SIGCHLD in mask - signal.sigpending()
        lines = [f"{own.seal()} {len(own.mapping)} {own.rung} {_kernel_set(held)} {_kernel_set(mask)} {consume:d}"]
        lines[0] += f" {settings.dumpable:d}"
        lines += [f"{name} {offset}" for name, offset in offsets.items()]
        self._send("\n".join(lines).encode("ascii"))
        return held

    def _send(self, orders: bytes) -> None:
        """Have the tracer find its orders after exec. They come as a file: a socket holds less than they can be.

        Raises:
            ProtectionError: there is no memory or no descriptor for them, or the tracer has ended.
        """
        try:
            with open(os.memfd_create("strongroom-orders"), "wb") as file:
                file.write(orders)
                file.flush()
                socket.send_fds(self._line, [b"."], [file.fileno()])
        except OSError as error:
            msg = f"the start of a static program cannot be prepared: {error.strerror}"
            raise ProtectionError(msg, hint="raise the limits on open files and memory") from None


def _kernel_set(signals: "Iterable[int]") -> int:
    return sum(1 << number - 1 for number in signals)


def _copy(memory: SecretMemory, require: str) -> SecretMemory:
    assert memory.mapping is not None  # noqa: S101 - the region was received into it
    copy = SecretMemory(require)
    mapping = copy.allocate(len(memory.mapping))
    memoryview(mapping)[:] = memoryview(memory.mapping)  # no bytes object in between
    return copy


def start_tracer() -> Tracer:
    """Have a new child trace this process.

    To be called, and waited for, while this process is dumpable and holds no secret: nobody else could attach to it
    later, and neither could the child.

    Raises:
        ProtectionError: there can be no such child here.
    """
    machine = os.uname().machine
    if machine not in MACHINES:
        raise ProtectionError(f"static programs are not supported on {machine}", hint="use a dynamically linked build")
    try:
        line, end = socket.socketpair()
    except OSError as error:
        msg = f"no sockets for the start of a static program: {error.strerror}"
        hint = "raise the limit on open files, or allow socketpair(2) in the seccomp profile"
        raise ProtectionError(msg, hint=hint) from None
    # The child lets no signal in: one that is meant for the whole group must not end it before its work is done.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        target = os.getpid()
        child = os.fork()
        if child == 0:
            line.close()
            _trace(target, end)
    except OSError as error:
        msg = f"no process for the start of a static program: {error.strerror}"
        raise ProtectionError(msg, hint="raise the limit on processes by one") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    end.close()
    tracer = Tracer(child, line)
    tracer.allow()
    return tracer


def probe() -> None:
    """Try whether static programs can be started here, and undo it.

    Raises:
        ProtectionError: they cannot.
    """
    read, write = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        msg = f"no process for the start of a static program: {error.strerror}"
        raise ProtectionError(msg, hint="raise the limit on processes by one") from None
    if child == 0:
        try:
            start_tracer().wait_attached()
        except ProtectionError as error:
            os.write(write, error.message.encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as pipe:
        message = pipe.read()
    _reap(child)
    if message:
        raise ProtectionError(message)


def _reap(child: int) -> None:
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        return  # SIGCHLD is ignored, and the kernel has reaped it


def _refusal(number: int) -> ProtectionError:
    """Say why the tracer could not attach."""
    if not number:
        return ProtectionError("the tracer of the static program ended at once", hint="look for an out-of-memory kill")
    cause = "a seccomp profile or a security module forbids it"
    advice = "allow ptrace, process_vm_readv and process_vm_writev there, or use a dynamically linked build"
    scope = next(iter(_lines(_YAMA)), "").strip()
    traced_by = next((line.split()[1] for line in _lines("/proc/self/status") if line.startswith("TracerPid:")), "0")
    if traced_by != "0":
        cause, advice = f"process {traced_by} traces this one already", "start it without a debugger or strace"
    elif scope in {"2", "3"}:
        cause, advice = f"{_YAMA} is {scope}", "set it to 1 or 0, or use a dynamically linked build"
    return ProtectionError(
        f"a program that loads no library needs ptrace, which cannot be had: {os.strerror(number)}: {cause}",
        hint=advice,
    )


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []


def _trace(target: int, line: socket.socket) -> "NoReturn":
    """Be the tracer. Runs in the child, with all signals blocked."""
    try:
        linux.set_not_dumpable()  # anyone who controls the tracer controls the traced
        from wrapper.static.tracer import trace

        if line.recv(1):  # the target has allowed us; else it has ended
            trace(target, line)
    except Exception as error:  # noqa: BLE001 - whatever it is: one line, and the end
        say(f"error: starting a static program: the tracer failed: {error!r}")
    finally:
        os._exit(1)  # if the target is still traced, the kernel kills it now

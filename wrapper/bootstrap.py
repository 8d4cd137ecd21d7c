"""Secrets for static programs, which load no library: a short-lived child traces the launch and repoints ``envp``.

The application is to be this very process, so the tracer is a child. It attaches before there is any secret, sleeps
until this process has exec'd, has the program map the secret memory, points the placeholders on its stack there, and
ends. A few instructions placed in the program wait for that end before they go to its entry point, so that the program
never meets a child it has not started (``machine.Machine.farewell``).

Fail closed: if the tracer ends early, the kernel kills the program (PTRACE_O_EXITKILL); if a step fails, the tracer has
the program exit with ``exit_status.REGION`` before its first instruction.
"""

import os
import signal

from strongroom.region import read_offsets
from wrapper import libc
from wrapper.exit_status import REGION, SIGNALLED, ProtectionError
from wrapper.initial_stack import (
    AT_EXECFN,
    AT_PAGESZ,
    AT_PHDR,
    AT_SYSINFO_EHDR,
    ELF_HEADER_BYTES,
    IncompleteError,
    InitialStack,
    StackError,
    executable_spans,
    parse_stack,
    repoint,
)
from wrapper.machine import MACHINES, Departure, Machine
from wrapper.memory import SecretMemory
from wrapper.settings import REQUIRE_ANY, REQUIRE_MEMFD_SECRET
from wrapper.tracee import CallError, GoneError, Tracee

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from wrapper.settings import WrapperSettings

_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4  # mman.h
_MAP_SHARED, _MAP_PRIVATE, _MAP_ANONYMOUS = 1, 2, 0x20
_MADV_DONTDUMP = 16
_PR_SET_DUMPABLE = 4

_FIRST_READ_BYTES = 1 << 14  # of the stack: enough for nearly all
_MAX_STACK_BYTES = 8 << 20  # execve allows 6 MiB (execve(2), limits on size of arguments)
_HEADERS_BYTES = 1 << 12  # of an ELF image: its header and program headers
_SEARCH_BYTES = 1 << 16  # of code at a time
_SEARCHES = 16

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


class Tracer:
    """The tracing child, as the process that it traces sees it."""

    __slots__ = ("_orders",)

    def __init__(self, orders: int) -> None:
        """Take the descriptor of the file that the tracer will read after exec."""
        self._orders = orders

    def instruct(self, memory: SecretMemory, settings: "WrapperSettings") -> None:
        """Say what to put in place after exec; the next exec of this process then takes the secrets along.

        The program gets a copy that only it has, because programs write into their environment. Where children get
        nothing, the memory itself is that copy.

        Args:
            memory: holds the region.
            settings: of this launch.

        Raises:
            IntegrityError: the memory does not hold a region.
            ProtectionError: there is not enough memory for the copy.
        """
        own = memory if settings.children == "deny" else _copy(memory, settings.require)
        assert own.mapping is not None  # noqa: S101 - it was allocated
        offsets = read_offsets(own.mapping)
        # A blocked SIGCHLD stays pending. If it is so already, then for a child that is not ours.
        consume = signal.SIGCHLD in signal.pthread_sigmask(signal.SIG_BLOCK, ()) - signal.sigpending()
        lines = [f"{own.seal()} {len(own.mapping)} {own.rung} {consume:d}"]
        lines += [f"{name} {offset}" for name, offset in offsets.items()]
        os.pwrite(self._orders, "\n".join(lines).encode("ascii"), 0)


def _copy(memory: SecretMemory, require: str) -> SecretMemory:
    assert memory.mapping is not None  # noqa: S101 - the region was received into it
    copy = SecretMemory(require)
    mapping = copy.allocate(len(memory.mapping))
    memoryview(mapping)[:] = memoryview(memory.mapping)  # no bytes object in between
    return copy


class _Orders:
    """What the traced process wrote down before its exec.

    Attributes:
        descriptor: number of the secret memory in that process.
        size: of the memory, in bytes.
        rung: its kind.
        consume: whether to take the SIGCHLD of the tracer's end from the pending signals.
        offsets: where the string of each secret stands in the memory.
    """

    __slots__ = ("consume", "descriptor", "offsets", "rung", "size")

    def __init__(self, text: bytes) -> None:
        first, *lines = text.split(b"\n")
        descriptor, size, rung, consume = first.decode("ascii").split(" ")
        self.descriptor = int(descriptor)
        self.size = int(size)
        self.rung = rung
        self.consume = consume == "1"
        pairs = (line.split(b" ") for line in lines)
        self.offsets = {name: int(offset) for name, offset in pairs}


def start_tracer() -> Tracer:
    """Have a new child trace this process.

    To be called while this process is dumpable and holds no secret: nobody else could attach to it later, and neither
    could the child.

    Raises:
        ProtectionError: tracing is not possible here.
    """
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        msg = f"static programs are not supported on {os.uname().machine}"
        raise ProtectionError(msg, hint="use a dynamically linked build")
    orders = os.memfd_create("strongroom-orders")
    go_read, go_write = os.pipe()
    answer_read, answer_write = os.pipe()
    # The child lets no signal in: one that is meant for the whole group must not end it before its work is done.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        target = os.getpid()
        child = os.fork()
        if child == 0:
            os.close(go_write)
            _trace(target, machine, orders, go_read, answer_write)
    except OSError as error:
        msg = f"no process for the start of a static program: {error.strerror}"
        raise ProtectionError(msg, hint="raise the limit on processes by one") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(go_read)
    os.close(answer_write)
    libc.allow_tracer(child)
    os.close(go_write)
    answer = os.read(answer_read, 16)
    os.close(answer_read)
    if answer != b"0":
        _reap(child)
        raise _refusal(int(answer or 0))
    return Tracer(orders)


def _reap(child: int) -> None:
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        return  # SIGCHLD is ignored, and the kernel has reaped it


def probe() -> None:
    """Try whether static programs can be started here, and undo it.

    Raises:
        ProtectionError: they cannot.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            start_tracer()
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


def _refusal(number: int) -> ProtectionError:
    """Say why the tracer could not attach."""
    if not number:
        return ProtectionError("the tracer of the static program ended at once", hint="look for an out-of-memory kill")
    advice = "allow ptrace, process_vm_readv and process_vm_writev in the seccomp profile, or use a dynamic build"
    cause = "a seccomp profile or a security module forbids it"
    scope = _first_line(_YAMA)
    traced_by = next((line.split()[1] for line in _lines("/proc/self/status") if line.startswith("TracerPid:")), "0")
    if traced_by != "0":
        cause, advice = f"process {traced_by} traces this one already", "start it without a debugger or strace"
    elif scope in {"2", "3"}:
        cause, advice = f"{_YAMA} is {scope}", "set it to 1 or 0, or use a dynamically linked build"
    return ProtectionError(
        f"a static program needs ptrace, which cannot be had: {os.strerror(number)}: {cause}", hint=advice
    )


def _first_line(path: str) -> str:
    return next(iter(_lines(path)), "").strip()


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []


def _trace(target: int, machine: Machine, orders: int, go: int, answer: int) -> "NoReturn":
    """Be the tracer: attach, answer with ``0`` or an errno, do the work, end. Runs in the child."""
    try:
        libc.set_not_dumpable()  # whoever controls the tracer controls the traced
        os.read(go, 1)  # the target has allowed us when it closes its end
        attendant = _Attendant(target, machine)
        try:
            tracee = Tracee(target, machine, attendant.on_signal)
        except OSError as error:
            os.write(answer, str(error.errno).encode())
            os._exit(0)
        os.write(answer, b"0")
        os.close(answer)
        attendant.attend(tracee, orders)
    except Exception as error:  # noqa: BLE001 - whatever it is, one line and the end
        _say(f"the tracer failed: {error!r}")
    finally:
        os._exit(1)  # if the target is still traced, the kernel kills it now


def _say(text: str) -> None:
    os.write(2, f"strongroom: error: starting a static program: {text}\n".encode())


class _EndError(Exception):
    """The program must end with this status, before its first instruction."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Attendant:
    """The tracer's work on one launch."""

    __slots__ = ("_executed", "_fatal", "_gadget", "_machine", "_pid", "_waiting")

    def __init__(self, pid: int, machine: Machine) -> None:
        self._pid = pid
        self._machine = machine
        self._executed = False
        self._gadget: int | None = None  # address of a call instruction in the program
        self._waiting = 0  # a signal that came too late for the wrapper to end by it
        ignored = signal.SIG_IGN
        self._fatal = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not ignored]

    def on_signal(self, number: int) -> None:
        """Keep SIGTERM and SIGINT from being lost on PID 1, whose default is to ignore them (signal(7)).

        The wrapper ends by them. What it lets pass, and what arrives while the application has not begun, ends the
        application as it would have ended the wrapper.
        """
        if self._pid == 1 and number in self._fatal:
            self._waiting = number
            if self._executed:
                raise _EndError(SIGNALLED + number)

    def attend(self, tracee: Tracee, orders: int) -> "NoReturn":
        """Carry the process through its exec."""
        try:
            tracee.wait_for_exec()
            self._executed = True
            self._deliver(tracee, orders)
        except GoneError:
            os._exit(0)
        except ProcessLookupError:
            os.waitpid(self._pid, 0)  # killed while it stood still
            os._exit(0)
        os._exit(0)

    def _deliver(self, tracee: Tracee, orders: int) -> None:
        registers = tracee.registers()
        if self._waiting:
            self._end(tracee, registers, _EndError(SIGNALLED + self._waiting))
            return
        try:
            self._put_in_place(tracee, registers, _Orders(os.pread(orders, os.fstat(orders).st_size, 0)))
        except _EndError as end:
            self._end(tracee, registers, end)
        except (CallError, StackError) as error:
            self._end(tracee, registers, _EndError(REGION, str(error)))
        except ProcessLookupError:
            raise
        except OSError as error:
            self._end(tracee, registers, _EndError(REGION, error.strerror or "unknown error"))

    def _put_in_place(self, tracee: Tracee, registers: bytes, orders: _Orders) -> None:
        machine = self._machine
        stack_pointer = machine.stack_pointer(registers)
        entry = machine.program_counter(registers)
        stack, data = _read_stack(tracee, stack_pointer)
        vdso = stack.value(AT_SYSINFO_EHDR)
        gadget = _search(tracee, vdso, vdso, machine.find_call)
        if gadget is None:
            msg = "the vDSO holds no system call instruction"
            raise StackError(msg)
        self._gadget = gadget

        base = _map_secrets(tracee, gadget, orders)
        addresses = {name: base + offset for name, offset in orders.offsets.items()}
        entries, found = repoint(stack, data, stack_pointer, addresses)
        missing = addresses.keys() - found
        if missing:
            msg = f"{min(missing).decode('ascii')}: no placeholder in the environment"
            raise StackError(msg)
        tracee.write(stack.envp, b"".join(entry.to_bytes(8, "little") for entry in entries))

        page_bytes = stack.value(AT_PAGESZ)
        page = tracee.call(gadget, "mmap", 0, page_bytes, _PROT_READ | _PROT_EXEC, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
        head = stack.value(AT_PHDR) - ELF_HEADER_BYTES  # where linkers put them
        departure = Departure(
            child=os.getpid(),
            page=page,
            page_bytes=page_bytes,
            entry=entry,
            gadget=_search(tracee, head, entry, machine.find_call_and_return),
            consume=orders.consume,
        )
        tracee.write_code(page, machine.farewell(departure))
        tracee.call(gadget, "prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)  # last: from now on only root reads or writes it
        tracee.release(machine.at(registers, page))

    def _end(self, tracee: Tracee, registers: bytes, end: _EndError) -> None:
        """Have the program exit; by a call written over its first instruction, if no other has been found."""
        if end.message:
            _say(end.message)
        self._executed = False  # signals may do what they like now
        gadget = self._gadget
        if gadget is None:
            gadget = self._machine.program_counter(registers)
            tracee.write_code(gadget, self._machine.call_instruction)
        tracee.prepare_call(gadget, "exit_group", end.status)
        tracee.wait_for_end()


def _read_stack(tracee: Tracee, stack_pointer: int) -> tuple[InitialStack, bytes]:
    """Return the arrays on the stack, and its bytes with all strings of the environment."""
    size = _FIRST_READ_BYTES
    while True:
        data = tracee.read(stack_pointer, size)
        try:
            stack = parse_stack(data, stack_pointer)
            break
        except IncompleteError:
            if size >= _MAX_STACK_BYTES:
                raise
            size *= 4
    # The name of the program is the last string; those of the environment end before it (fs/exec.c).
    wanted = stack.value(AT_EXECFN) - stack_pointer
    if len(data) < wanted <= _MAX_STACK_BYTES:
        data = tracee.read(stack_pointer, wanted)
    return stack, data


def _search(tracee: Tracee, head: int, start: int, find: "Callable[[bytes, int], int | None]") -> int | None:
    """Look for an instruction in the code of an ELF image, from ``start`` on; None if it is not there.

    Args:
        tracee: in whose memory the image is.
        head: address of the image.
        start: an address in the image.
        find: looks for it in bytes that stand at an address.
    """
    try:
        spans = list(executable_spans(tracee.read(head, _HEADERS_BYTES), head))
    except (StackError, OSError):
        return None
    for begin, end in spans:
        position = max(begin, start)
        for _ in range(_SEARCHES):
            if position >= end:
                break
            code = tracee.read(position, min(_SEARCH_BYTES, end - position))
            found = find(code, position)
            if found is not None:
                return found
            position += len(code)
    return None


def _map_secrets(tracee: Tracee, gadget: int, orders: _Orders) -> int:
    """Have the program map the secret memory and close its descriptor; return the address."""
    protection = _PROT_READ | _PROT_WRITE
    base = tracee.call(gadget, "mmap", 0, orders.size, protection, _MAP_SHARED, orders.descriptor, 0)
    if orders.rung != REQUIRE_MEMFD_SECRET:  # which is locked and kept out of core dumps by its kind
        try:
            tracee.call(gadget, "mlock", base, orders.size)
        except CallError:
            if orders.rung != REQUIRE_ANY:
                raise
        tracee.call(gadget, "madvise", base, orders.size, _MADV_DONTDUMP)
    tracee.call(gadget, "close", orders.descriptor)
    return base

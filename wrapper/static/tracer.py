"""The tracer of a static program at work: secret memory into the program, pointers onto its stack, and away.

Runs in the child that ``wrapper.static.start`` forks, and is imported there only.
"""

import os
import socket

from strongroom.elf import HEADER_BYTES
from strongroom.names import PADDING
from strongroom.terminal import say
from wrapper.exit_status import REGION
from wrapper.settings import REQUIRE_ANY, REQUIRE_MEMFD_SECRET
from wrapper.static.processor import PROCESSORS, HeldSignals
from wrapper.static.stack import (
    AT_BASE,
    AT_EXECFN,
    AT_PAGESZ,
    AT_PHDR,
    AT_SYSINFO_EHDR,
    IncompleteError,
    InitialStack,
    StackError,
    executable_spans,
    parse_stack,
    repoint,
    value_address,
)
from wrapper.static.tracee import CallError, GoneError, Tracee

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4  # mman.h
_MAP_SHARED, _MAP_PRIVATE, _MAP_ANONYMOUS = 1, 2, 0x20
_MADV_DONTDUMP = 16
_PR_SET_DUMPABLE = 4

_FIRST_READ_BYTES = 1 << 14  # of the stack: enough for nearly all
_MAX_STACK_BYTES = 8 << 20  # execve allows 6 MiB (execve(2), limits on size of arguments)
_HEADERS_BYTES = 1 << 12  # of an ELF image: its header and program headers
_SEARCH_BYTES = 1 << 16  # of code at a time
_SEARCHES = 16


class _Orders:
    """What the traced process wrote down before its exec.

    Attributes:
        descriptor: number of the secret memory in that process.
        size: of the memory, in bytes.
        rung: its kind.
        dumpable: whether the program stays open to its own user.
        signals: which are blocked until the application begins.
        offsets: where the string of each secret is in the memory.
    """

    __slots__ = ("descriptor", "dumpable", "offsets", "rung", "signals", "size")

    def __init__(self, text: bytes) -> None:
        first, *lines = text.split(b"\n")
        descriptor, size, rung, fatal, mask, consume, dumpable = first.decode("ascii").split(" ")
        self.descriptor = int(descriptor)
        self.size = int(size)
        self.rung = rung
        self.signals = HeldSignals(fatal=int(fatal), mask=int(mask), consume=consume == "1")
        self.dumpable = dumpable == "1"
        pairs = (line.split(b" ") for line in lines)
        self.offsets = {name: int(offset) for name, offset in pairs}


def trace(target: int, line: socket.socket) -> "NoReturn":
    """Carry a process through its exec, and end.

    Args:
        target: process number.
        line: to it. It hears ``0`` when it is traced, or the errno of the refusal, and has sent the descriptor of its
            orders when it execs.

    Raises:
        OSError: the kernel refuses something that it has always allowed.
    """
    tracing = _Tracing(line)
    try:
        tracee = Tracee(target, tracing.processor)
    except OSError as error:
        line.send(str(error.errno).encode())
        os._exit(0)
    line.send(b"0")
    try:
        tracing.trace(tracee)
    except GoneError:
        os._exit(0)
    except ProcessLookupError:  # killed while it stood still
        os.waitpid(target, 0)
    os._exit(0)


class _Tracing:
    """The work on one launch."""

    __slots__ = ("_gadget", "_line", "processor")

    def __init__(self, line: socket.socket) -> None:
        self.processor = PROCESSORS[os.uname().machine]
        self._line = line
        self._gadget: int | None = None  # address of a call instruction in the program

    def trace(self, tracee: Tracee) -> None:
        """Carry the process through its exec; it goes on alone, or has ended."""
        tracee.wait_for_exec()
        registers = tracee.registers()
        try:
            self._put_in_place(tracee, registers, _Orders(self._received()))
        except (CallError, StackError) as error:
            self._end(tracee, registers, str(error))
        except ProcessLookupError:
            raise
        except OSError as error:
            self._end(tracee, registers, error.strerror or "unknown error")

    def _received(self) -> bytes:
        """Return the orders, which were sent before the exec."""
        _, received, _, _ = socket.recv_fds(self._line, 1, 1)
        if not received:  # so the kernel says that this process may open no more
            raise CallError("the limit on open files leaves no room for the orders of its tracer")
        (orders,) = received
        return os.pread(orders, os.fstat(orders).st_size, 0)

    def _put_in_place(self, tracee: Tracee, registers: bytes, orders: _Orders) -> None:
        processor = self.processor
        stack_pointer = processor.stack_pointer(registers)
        entry = processor.program_counter(registers)
        stack, data = _read_stack(tracee, stack_pointer)
        vdso = stack.value(AT_SYSINFO_EHDR)
        gadget = _search(tracee, vdso, vdso, processor.find_call)
        if gadget is None:
            raise StackError("the vDSO holds no system call instruction")
        self._gadget = gadget

        base = _map_secrets(tracee, gadget, orders)
        addresses = {name: base + offset for name, offset in orders.offsets.items()}
        entries, found = repoint(stack, data, stack_pointer, addresses)
        missing = addresses.keys() - found
        if missing:
            raise StackError(f"{min(missing).decode('ascii')}: no placeholder in the environment")
        tracee.write(stack.envp, b"".join(entry.to_bytes(8, "little") for entry in entries))
        padding = value_address(stack, data, stack_pointer, PADDING.encode("ascii"))
        if padding is not None:
            tracee.write(padding, b"\0")

        page_bytes = stack.value(AT_PAGESZ)
        page = tracee.call(gadget, "mmap", 0, page_bytes, _PROT_READ | _PROT_EXEC, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
        # The program begins in its loader, if it has one; in a static program linkers put the table behind the header.
        head = stack.auxiliary.get(AT_BASE) or stack.value(AT_PHDR) - HEADER_BYTES
        code = processor.stub_code(
            orders.signals,
            child=os.getpid(),
            page=page,
            page_bytes=page_bytes,
            entry=entry,
            gadget=_search(tracee, head, entry, processor.find_call_and_return),
        )
        tracee.write_code(page, code)
        if not orders.dumpable:  # last: from now on only root reads or writes it
            tracee.call(gadget, "prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
        tracee.release(processor.at(registers, page))

    def _end(self, tracee: Tracee, registers: bytes, message: str) -> None:
        """Have the program exit; by a call written over its first instruction, if no other has been found."""
        say(f"error: starting a static program: {message}")
        gadget = self._gadget
        if gadget is None:
            gadget = self.processor.program_counter(registers)
            tracee.write_code(gadget, self.processor.call_instruction)
        tracee.prepare_call(gadget, "exit_group", REGION)
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

"""What the bootstrap of static programs must know of a processor: registers, call numbers, a few bytes of code. Pure.

Registers are handled as the kernel gives them for ``NT_PRSTATUS`` (ptrace(2), PTRACE_GETREGSET).
"""

from struct import Struct, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_U64 = 0xFFFF_FFFF_FFFF_FFFF
_MAX_ERRNO = 4095  # results from -4095 to -1 are errors (linux/err.h)
_EINTR = 4
_WALL = 0x4000_0000  # wait(2): children of any kind
_SIGCHLD_SET = 1 << (17 - 1)  # as the kernel's sigset_t; 17 on both
_SIGSET_BYTES = 8
_SIG_SETMASK = 2
_SIGNALLED = 128  # plus the number of the signal: an exit status, as of a shell

# Numbers of system calls.
_CALLS = {  # x86-64, aarch64
    "mmap": (9, 222),
    "close": (3, 57),
    "mlock": (149, 228),
    "madvise": (28, 233),
    "prctl": (157, 167),
    "exit_group": (231, 94),
    "memfd_create": (319, 279),
    "write": (1, 64),
}


class HeldSignals:
    """Signals that stay blocked until the program begins. Sets are numbers with bit n-1 for signal n, as in the kernel.

    Attributes:
        fatal: those that end the program, with 128+n, when they have arrived by then: on PID 1 they would be lost.
        mask: what the program itself shall find blocked.
        consume: whether to drop the SIGCHLD of the tracer's end. For a program that begins with SIGCHLD blocked;
            otherwise the kernel drops it, because nobody handles it yet.
    """

    __slots__ = ("consume", "fatal", "mask")

    def __init__(self, *, fatal: int, mask: int, consume: bool) -> None:
        self.fatal = fatal
        self.mask = mask
        self.consume = consume


class Processor:
    """One processor architecture, by the table that it is.

    Attributes:
        calls: numbers of system calls by name.
        call_instruction: the bytes of the instruction that enters the kernel.
        return_instruction: those of the one that returns from a function.
        alignment: where instructions may begin.
    """

    __slots__ = ()

    calls: "Mapping[str, int]"
    call_instruction: bytes
    return_instruction: bytes
    alignment: int

    _layout: Struct  # the register set: 64 bits each; below, the place of each that matters
    _arguments: tuple[int, ...]
    _number: int
    _result: int
    _sp: int
    _pc: int
    _restart: int | None

    @property
    def registers_bytes(self) -> int:
        """Size of the register set."""
        return self._layout.size

    def stack_pointer(self, registers: bytes) -> int:
        """Return the stack pointer."""
        value: int = self._layout.unpack(registers)[self._sp]
        return value

    def program_counter(self, registers: bytes) -> int:
        """Return the address of the next instruction."""
        value: int = self._layout.unpack(registers)[self._pc]
        return value

    def at(self, registers: bytes, address: int) -> bytes:
        """Return the registers with another next instruction."""
        values = list(self._layout.unpack(registers))
        values[self._pc] = address
        if self._restart is not None:
            values[self._restart] = _U64  # no interrupted call is to be repeated
        return self._layout.pack(*values)

    def calling(self, registers: bytes, address: int, name: str, arguments: tuple[int, ...]) -> bytes:
        """Return the registers that make the call instruction at ``address`` carry out a system call."""
        values = list(self._layout.unpack(self.at(registers, address)))
        values[self._number] = self.calls[name]
        for place, argument in zip(self._arguments, arguments, strict=False):
            values[place] = argument & _U64
        return self._layout.pack(*values)

    def outcome(self, registers: bytes) -> int:
        """Return the result of a system call, errors as negative errno values."""
        value: int = self._layout.unpack(registers)[self._result]
        return value - (1 << 64) if value > _U64 - _MAX_ERRNO else value

    def find_call(self, code: bytes, address: int) -> int | None:
        """Return where in ``code``, which stands at ``address``, there is a call instruction."""
        return self._find(self.call_instruction, code, address)

    def find_call_and_return(self, code: bytes, address: int) -> int | None:
        """Return where in ``code`` a call instruction is followed by a return at once."""
        return self._find(self.call_instruction + self.return_instruction, code, address)

    def _find(self, pattern: bytes, code: bytes, address: int) -> int | None:
        found = code.find(pattern)
        while found >= 0 and (address + found) % self.alignment:
            found = code.find(pattern, found + 1)
        return None if found < 0 else address + found

    def stub_code(  # noqa: PLR0913 - what the code needs to know
        self, signals: HeldSignals, *, child: int, page: int, page_bytes: int, entry: int, gadget: int | None
    ) -> bytes:
        """Return code that waits for the tracer to end, looks at signals, removes itself and goes to the entry point.

        It runs with the registers that the kernel gave the program, all zero but for stack and program counter, and
        keeps those with a meaning at the entry point: the stack pointer, and the one with the function to call at
        exit, which must be zero (rdx in the x86-64 psABI, 3.4.1; x0 in glibc's start code for aarch64).

        Args:
            signals: what is done about those that were held back.
            child: process number of the tracer, a child of the program.
            page: where the code that waits for it will stand; a mapping of its own.
            page_bytes: its size.
            entry: the entry point of the program.
            gadget: a call instruction followed by a return, outside of the page; without one the page stays.
        """
        raise NotImplementedError


class _X8664(Processor):
    """x86-64: struct user_regs_struct (sys/user.h)."""

    __slots__ = ()

    calls = {name: numbers[0] for name, numbers in _CALLS.items()}  # noqa: RUF012 - read only, as the base says
    call_instruction = b"\x0f\x05"  # syscall
    return_instruction = b"\xc3"  # ret
    alignment = 1

    _layout = Struct("<27Q")
    _arguments = (14, 13, 12, 7, 9, 8)
    _number, _result, _sp, _pc, _restart = 10, 10, 19, 16, 15

    def stub_code(  # noqa: PLR0913 - what the code needs to know
        self, signals: HeldSignals, *, child: int, page: int, page_bytes: int, entry: int, gadget: int | None
    ) -> bytes:
        """See Processor."""
        wait = b"".join(
            (
                b"\xb8" + pack("<I", 61),  # mov $61,%eax: wait4
                b"\xbf" + pack("<I", child),  # mov $child,%edi
                b"\x31\xf6",  # xor %esi,%esi
                b"\xba" + pack("<I", _WALL),  # mov $__WALL,%edx
                b"\x4d\x31\xd2",  # xor %r10,%r10
                b"\x0f\x05",  # syscall
                b"\x48\x83\xf8" + pack("<b", -_EINTR),  # cmp $-EINTR,%rax
            )
        )
        again = b"\x74" + pack("<b", -(len(wait) + 2))  # je to the beginning
        consume = self._take(_SIGCHLD_SET) if signals.consume else b""
        exit_on_signal = b"".join(
            (
                b"\x8d\xb8" + pack("<I", _SIGNALLED),  # lea 128(%rax),%edi
                b"\xb8" + pack("<I", self.calls["exit_group"]),  # mov $231,%eax
                b"\x0f\x05",  # syscall
            )
        )
        unblock = (
            b"\x48\xb8" + pack("<Q", signals.mask) + b"\x50",  # movabs $mask,%rax; push %rax
            b"\x48\x89\xe6",  # mov %rsp,%rsi
            b"\xbf" + pack("<I", _SIG_SETMASK),  # mov $SIG_SETMASK,%edi
            b"\x31\xd2",  # xor %edx,%edx
            b"\x41\xba" + pack("<I", _SIGSET_BYTES),  # mov $8,%r10d
            b"\xb8" + pack("<I", 14),  # mov $14,%eax: rt_sigprocmask
            b"\x0f\x05",  # syscall
            b"\x58",  # pop %rax
        )
        look = (
            self._take(signals.fatal),
            b"\x85\xc0",  # test %eax,%eax
            b"\x7e" + pack("<b", len(exit_on_signal)) + exit_on_signal,  # jle past it
            *unblock,
        )
        clear = (
            b"\x48\xb8" + pack("<Q", entry),  # movabs $entry,%rax
            b"\x50",  # push %rax, for a return to go there
            b"\x31\xd2",  # xor %edx,%edx
            b"\x4d\x31\xd2",  # xor %r10,%r10
        )
        leave = (
            b"\x31\xc0",  # xor %eax,%eax
            b"\x31\xff",  # xor %edi,%edi
            b"\x31\xf6",  # xor %esi,%esi
            b"\xc3",  # ret
        )
        if gadget is not None:
            leave = (
                b"\x48\xbf" + pack("<Q", page),  # movabs $page,%rdi
                b"\xbe" + pack("<I", page_bytes),  # mov $page_bytes,%esi
                b"\xb8" + pack("<I", 11),  # mov $11,%eax: munmap, whose result is 0
                b"\x48\xb9" + pack("<Q", gadget) + b"\xff\xe1",  # movabs $gadget,%rcx; jmp *%rcx
            )
        return b"".join((wait, again, consume, *look, *clear, *leave))

    @staticmethod
    def _take(signals: int) -> bytes:
        """Return code that takes one pending signal of a set and leaves its number, or an error, in eax."""
        return b"".join(
            (
                b"\x6a\x00\x6a\x00",  # push $0, twice: a timeout of nothing
                b"\x48\x89\xe2",  # mov %rsp,%rdx
                b"\x48\xb8" + pack("<Q", signals) + b"\x50",  # movabs $signals,%rax; push %rax
                b"\x48\x89\xe7",  # mov %rsp,%rdi
                b"\x31\xf6",  # xor %esi,%esi
                b"\x41\xba" + pack("<I", _SIGSET_BYTES),  # mov $8,%r10d
                b"\xb8" + pack("<I", 128),  # mov $128,%eax: rt_sigtimedwait
                b"\x0f\x05",  # syscall
                b"\x48\x83\xc4\x18",  # add $24,%rsp
            )
        )


class _Aarch64(Processor):
    """aarch64: struct user_pt_regs (asm/ptrace.h)."""

    __slots__ = ()

    calls = {name: numbers[1] for name, numbers in _CALLS.items()}  # noqa: RUF012
    call_instruction = pack("<I", 0xD400_0001)  # svc #0
    return_instruction = pack("<I", 0xD65F_03C0)  # ret
    alignment = 4

    _layout = Struct("<34Q")
    _arguments = (0, 1, 2, 3, 4, 5)
    _number, _result, _sp, _pc, _restart = 8, 0, 31, 32, None

    def stub_code(  # noqa: PLR0913 - what the code needs to know
        self, signals: HeldSignals, *, child: int, page: int, page_bytes: int, entry: int, gadget: int | None
    ) -> bytes:
        """See Processor."""
        wait = [
            *_load(0, child),
            *_load(1, 0),
            *_load(2, _WALL),
            *_load(3, 0),
            *_load(8, 260),  # wait4
            0xD400_0001,  # svc #0
            0xB100_001F | _EINTR << 10,  # cmn x0, #EINTR
        ]
        wait.append(0x5400_0000 | (-len(wait) & 0x7FFFF) << 5)  # b.eq to the beginning
        consume = self._take(_SIGCHLD_SET) if signals.consume else []
        exit_on_signal = [
            0x9100_0000 | _SIGNALLED << 10,  # add x0, x0, #128
            *_load(8, self.calls["exit_group"]),
            0xD400_0001,  # svc #0
        ]
        look = [
            *self._take(signals.fatal),
            0xF100_001F,  # cmp x0, #0
            0x5400_000D | (len(exit_on_signal) + 1) << 5,  # b.le past it
            *exit_on_signal,
            *_load(1, signals.mask),
            0xA9BF_7FE1,  # stp x1, xzr, [sp, #-16]!
            *_load(0, _SIG_SETMASK),
            0x9100_03E1,  # mov x1, sp
            *_load(2, 0),
            *_load(3, _SIGSET_BYTES),
            *_load(8, 135),  # rt_sigprocmask
            0xD400_0001,  # svc #0
            0x9100_43FF,  # add sp, sp, #16
        ]
        clear = [*_load(2, 0), *_load(3, 0), *_load(30, entry)]
        # Jumps are returns, because on processors with BTI only a return may lead to any instruction.
        if gadget is None:
            leave = [*_load(0, 0), *_load(1, 0), *_load(8, 0), 0xD65F_03C0]  # ret
        else:
            leave = [
                *_load(0, page),
                *_load(1, page_bytes),
                *_load(8, 215),  # munmap
                *_load(16, gadget),
                0xD65F_0200,  # ret x16
            ]
        words = wait + consume + look + clear + leave
        return pack(f"<{len(words)}I", *words)

    @staticmethod
    def _take(signals: int) -> list[int]:
        """Return code that takes one pending signal of a set and leaves its number, or an error, in x0."""
        return [
            0xA9BF_7FFF,  # stp xzr, xzr, [sp, #-16]!: a timeout of nothing
            0x9100_03E2,  # mov x2, sp
            *_load(1, signals),
            0xA9BF_7FE1,  # stp x1, xzr, [sp, #-16]!
            0x9100_03E0,  # mov x0, sp
            *_load(1, 0),
            *_load(3, _SIGSET_BYTES),
            *_load(8, 137),  # rt_sigtimedwait
            0xD400_0001,  # svc #0
            0x9100_83FF,  # add sp, sp, #32
        ]


def _load(register: int, value: int) -> list[int]:
    """Return the aarch64 instructions that load a number: movz for the lowest 16 bits, movk for others that count."""
    words = [0xD280_0000 | (value & 0xFFFF) << 5 | register]
    for quarter in (1, 2, 3):
        bits = value >> 16 * quarter & 0xFFFF
        if bits:
            words.append(0xF280_0000 | quarter << 21 | bits << 5 | register)
    return words


PROCESSORS: "Mapping[str, Processor]" = {"x86_64": _X8664(), "aarch64": _Aarch64()}

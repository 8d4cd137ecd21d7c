"""The stack that the kernel builds for a new program, and where its code may lie. Pure: bytes in, numbers out.

From the stack pointer upwards stand argc, argv[] and NULL, envp[] and NULL, the auxiliary vector, and then the strings
that these point to (x86-64 psABI, 3.4.1; fs/binfmt_elf.c, create_elf_tables).
"""

from struct import error as StructError  # noqa: N812 - it is an exception
from struct import unpack_from

from strongroom.elf import MAGIC, PF_X, PT_LOAD, ElfError, segments_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POINTER_BYTES = 8

# Kinds of entries, see getauxval(3).
AT_NULL = 0
AT_PHDR = 3
AT_PAGESZ = 6
AT_BASE = 7
AT_EXECFN = 31
AT_SYSINFO_EHDR = 33


class StackError(Exception):
    """The stack or an ELF header is not what the kernel makes; the text says what is wrong."""


class IncompleteError(StackError):
    """More bytes are needed."""


class InitialStack:
    """What stands at the beginning of the stack.

    Attributes:
        envp: address of the array.
        entries: the pointers in it.
        auxiliary: the auxiliary vector.
    """

    __slots__ = ("auxiliary", "entries", "envp")

    def __init__(self, envp: int, entries: tuple[int, ...], auxiliary: "Mapping[int, int]") -> None:
        self.envp = envp
        self.entries = entries
        self.auxiliary = auxiliary

    def value(self, kind: int) -> int:
        """Return a value of the auxiliary vector.

        Raises:
            StackError: the kernel did not give it.
        """
        try:
            return self.auxiliary[kind]
        except KeyError:
            raise StackError(f"the auxiliary vector has no entry {kind}") from None


def parse_stack(data: bytes, address: int) -> InitialStack:
    """Read the arrays at the beginning of a stack.

    Args:
        data: the bytes from the stack pointer on; what follows the auxiliary vector does not matter.
        address: the stack pointer.

    Raises:
        IncompleteError: ``data`` ends before the auxiliary vector does.
    """
    try:
        (argument_count,) = unpack_from("<Q", data)
        first = (argument_count + 2) * POINTER_BYTES  # behind argc, the arguments and their NULL
        end = _null_from(data, first)
        entries = unpack_from(f"<{(end - first) // POINTER_BYTES}Q", data, first)
        auxiliary: dict[int, int] = {}
        position = end + POINTER_BYTES
        while True:
            kind, value = unpack_from("<QQ", data, position)
            if kind == AT_NULL:
                return InitialStack(address + first, entries, auxiliary)
            auxiliary[kind] = value
            position += 2 * POINTER_BYTES
    except StructError:
        raise IncompleteError(f"the first {len(data)} bytes of the stack do not hold its arrays") from None


def _null_from(data: bytes, start: int) -> int:
    null = bytes(POINTER_BYTES)
    found = data.find(null, start)
    while found >= 0 and (found - start) % POINTER_BYTES:
        # The zeros began inside a pointer: look again from the next one.
        found = data.find(null, found + POINTER_BYTES - (found - start) % POINTER_BYTES)
    if found < 0:
        raise IncompleteError(f"the first {len(data)} bytes of the stack do not hold the environment")
    return found


def repoint(
    stack: InitialStack, data: bytes, address: int, secrets: "Mapping[bytes, int]"
) -> tuple[list[int], set[bytes]]:
    """Return the entries of ``envp`` with those of placeholders replaced, and the names that were found.

    A placeholder is the string ``NAME=``, with nothing behind, of a name in ``secrets``. All others stay.

    Args:
        stack: what ``parse_stack`` returned.
        data: the bytes of the stack from ``address`` on, with the strings of the environment.
        address: the stack pointer.
        secrets: the address of the string ``NAME=VALUE`` by name.

    Raises:
        StackError: an entry does not lie in ``data``.
    """
    entries: list[int] = []
    found: set[bytes] = set()
    for entry in stack.entries:
        start = entry - address
        end = data.find(0, start) if start >= 0 else -1
        if end < 0:
            raise StackError("a string of the environment does not lie on the stack")
        name = data[start : end - 1] if end > start and data[end - 1] == ord("=") else b""
        if name in secrets:
            found.add(name)
            entries.append(secrets[name])
        else:
            entries.append(entry)
    return entries, found


def value_address(stack: InitialStack, data: bytes, address: int, name: bytes) -> int | None:
    """Return where the value of a variable begins; None if it is not in the environment.

    Args:
        stack: what ``parse_stack`` returned.
        data: the bytes of the stack from ``address`` on, with the strings of the environment.
        address: the stack pointer.
        name: of the variable.
    """
    prefix = name + b"="
    for entry in stack.entries:
        if entry >= address and data.startswith(prefix, entry - address):
            return entry + len(prefix)
    return None


def executable_spans(head: bytes, address: int) -> "Iterator[tuple[int, int]]":
    """Yield begin and end of the parts of an ELF image in memory that hold code.

    Args:
        head: the image from its beginning, with all program headers.
        address: where the image begins.

    Raises:
        StackError: this is not such an image.
    """
    if not head.startswith(MAGIC):
        raise StackError("no ELF header where there should be one")
    try:
        loaded = [entry for entry in segments_of(head, lambda at, size: head[at : at + size]) if entry[0] == PT_LOAD]
    except ElfError:
        raise StackError("the program headers do not follow the ELF header") from None
    bases = [linked_at for _, _, offset, linked_at, _ in loaded if offset == 0]
    for _, flags, _, linked_at, file_bytes in loaded:
        if bases and flags & PF_X:
            start = address - bases[0] + linked_at
            yield start, start + file_bytes

"""Reading and changing the stack that the kernel builds, and looking for code: bytes in, numbers out."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.static.stack import (
    AT_EXECFN,
    AT_PAGESZ,
    IncompleteError,
    StackError,
    executable_spans,
    parse_stack,
    repoint,
    value_address,
)

BASE = 0x7FFC_1234_5670
POINTERS = st.lists(st.sampled_from([b"A=1", b"SECRET=", b"OTHER=", b"SECRET=x", b"=", b"", b"NO", b"SECRETS="]))


def build(arguments: list[bytes], environment: list[bytes]) -> bytes:
    """Build a stack as the kernel does (fs/binfmt_elf.c, create_elf_tables)."""
    count = 1 + len(arguments) + 1 + len(environment) + 1 + 2 * 3
    strings = b""
    pointers = []
    for text in [*arguments, *environment]:
        pointers.append(BASE + 8 * count + len(strings))
        strings += text + b"\0"
    name = BASE + 8 * count + len(strings)
    split = len(arguments)
    words = [split, *pointers[:split], 0, *pointers[split:], 0, AT_PAGESZ, 4096, AT_EXECFN, name, 0, 0]
    return struct.pack(f"<{len(words)}Q", *words) + strings + b"/bin/app\0"


@given(arguments=st.lists(st.sampled_from([b"", b"x", b"long argument"])), environment=POINTERS)
def test_what_the_kernel_builds_is_read_back(arguments: list[bytes], environment: list[bytes]) -> None:
    data = build(arguments, environment)

    stack = parse_stack(data, BASE)

    assert [data[entry - BASE :].split(b"\0")[0] for entry in stack.entries] == environment
    assert stack.envp == BASE + 8 * (len(arguments) + 2)
    assert stack.value(AT_PAGESZ) == 4096


@given(environment=POINTERS)
def test_exactly_the_placeholders_are_repointed(environment: list[bytes]) -> None:
    data = build([b"app"], environment)
    stack = parse_stack(data, BASE)

    entries, found = repoint(stack, data, BASE, {b"SECRET": 1, b"MISSING": 2})

    expected = [1 if text == b"SECRET=" else old for text, old in zip(environment, stack.entries, strict=True)]
    assert entries == expected
    assert found == ({b"SECRET"} if b"SECRET=" in environment else set())


def test_every_cut_before_the_end_of_the_auxiliary_vector_asks_for_more() -> None:
    data = build([b"app"], [b"A=1", b"SECRET="])
    end = 8 * (1 + 2 + 3 + 6)

    for length in range(end):
        with pytest.raises(IncompleteError):
            parse_stack(data[:length], BASE)
    parse_stack(data[:end], BASE)


def test_a_pointer_that_ends_in_zeros_is_not_the_end() -> None:
    pointers = [0x0000_7F00_0000_0000, 0x0000_0000_0000_0001, 0x0100_0000_0000_0000]
    data = struct.pack("<9Q", 0, 0, *pointers, 0, AT_PAGESZ, 4096, 0) + bytes(8)

    assert list(parse_stack(data, BASE).entries) == pointers


@pytest.mark.parametrize("pointer", [BASE - 1, BASE + 1_000_000])
def test_a_string_outside_of_the_stack_is_refused_not_skipped(pointer: int) -> None:
    data = struct.pack("<6Q", 0, 0, pointer, 0, 0, 0)

    with pytest.raises(StackError):
        repoint(parse_stack(data, BASE), data, BASE, {b"SECRET": 1})


def test_the_code_of_an_elf_image_is_where_its_headers_say() -> None:
    head = struct.pack("<4s12xHHIQQQIHHHHHH", b"\x7fELF", 2, 62, 1, 0x40_1100, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 4, 0, 0x40_0000, 0, 0x500, 0x500, 0x1000)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0x1000, 0x40_1000, 0, 0x2345, 0x2345, 0x1000)

    # The image was linked for 0x400000 and stands elsewhere.
    assert list(executable_spans(head, 0x7000_0000)) == [(0x7000_1000, 0x7000_3345)]


@pytest.mark.parametrize("head", [b"", b"\x7fELF", b"#!/bin/sh\n" * 20, b"\x7fELF" + b"\xff" * 200])
def test_what_is_not_an_elf_image_is_refused(head: bytes) -> None:
    with pytest.raises(StackError):
        list(executable_spans(head, 0))


def test_the_code_of_the_vdso_is_found() -> None:
    line = next(line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith("[vdso]"))
    start, end = (int(part, 16) for part in line.split()[0].split("-"))
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        memory.seek(start)
        image = memory.read(4096)

    spans = list(executable_spans(image, start))

    assert spans
    assert all(start <= begin < stop <= end for begin, stop in spans)


@given(environment=POINTERS)
def test_value_of_a_variable_is_found_where_it_begins(environment: list[bytes]) -> None:
    data = build([b"app"], environment)

    address = value_address(parse_stack(data, BASE), data, BASE, b"SECRET")

    values = [text.removeprefix(b"SECRET=") for text in environment if text.startswith(b"SECRET=")]
    found = None if address is None else data[address - BASE :].split(b"\0")[0]
    assert found == (values[0] if values else None)

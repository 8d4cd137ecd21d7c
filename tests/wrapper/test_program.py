import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.launch.loaders import build_without_libraries
from tests.support.tree import ROOT
from tests.wrapper.scripts import write
from wrapper.program import DYNAMIC, FOREIGN, STATIC, CannotExecError, find_program, interpreter_of
from wrapper.program import linkage_of as linkage_by

MACHINE = os.uname().machine
ELF_MACHINE = {"x86_64": 62, "aarch64": 183}


def linkage_of(content: bytes, machine: str) -> str:
    return linkage_by(lambda offset, size: content[offset : offset + size], machine)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("programs")
    source = folder / "main.c"
    source.write_text("int main(void) { return 0; }\n")

    def compile_with(*command: str) -> Path:
        program = folder / "-".join(command)
        if not program.exists():
            subprocess.run([*command, "-o", program, source], check=True, timeout=60)
        return program

    return compile_with


@pytest.mark.parametrize(
    ("command", "linkage"),
    [
        (("gcc",), DYNAMIC),
        (("gcc", "-no-pie"), DYNAMIC),
        (("gcc", "-static"), STATIC),
        (("gcc", "-static-pie"), STATIC),
        (("musl-gcc",), DYNAMIC),
        (("musl-gcc", "-static"), STATIC),
    ],
    ids=["gcc", "no-pie", "static", "static-pie", "musl", "musl static"],
)
def test_the_linkage_of_a_compiled_program(build: Callable[..., Path], command: tuple[str, ...], linkage: str) -> None:
    program = build(*command)

    found = find_program([str(program), "arg"], {})

    assert (found.linkage, found.path, found.binary) == (linkage, str(program), str(program))
    assert found.argv == [str(program), "arg"]


def test_a_program_is_static_whose_loader_loads_no_libraries(tmp_path: Path) -> None:
    assert find_program([str(build_without_libraries(tmp_path))], {}).linkage == STATIC


def elf(
    *, machine: int = ELF_MACHINE[MACHINE], bits: int = 2, order: int = 1, interp: bool = True, at: int = 64
) -> bytes:
    header = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, at, 0, 0, 64, 56, 2, 0, 0, 0)
    table = struct.pack("<I52x", 1) + struct.pack("<I52x", 3 if interp else 1)
    return header.ljust(at, b"\0") + table


def test_the_crafted_header_is_one() -> None:
    assert linkage_of(elf(), MACHINE) == DYNAMIC
    assert linkage_of(elf(interp=False), MACHINE) == STATIC


@pytest.mark.parametrize(
    "head",
    [elf(machine=3), elf(machine=40), elf(machine=243), elf(bits=1), elf(order=2), elf(bits=0), elf(at=8192)[:8192]],
    ids=["386", "arm", "riscv", "32 bits", "big endian", "no class", "table behind the end"],
)
def test_a_program_of_another_machine_is_foreign(head: bytes) -> None:
    assert linkage_of(head, MACHINE) == FOREIGN


def test_a_machine_that_we_have_no_library_for_has_foreign_programs_only() -> None:
    assert linkage_of(elf(), "riscv64") == FOREIGN


def test_the_other_machine_s_programs_are_native_there() -> None:
    for machine, number in ELF_MACHINE.items():
        assert linkage_of(elf(machine=number), machine) == DYNAMIC


@given(st.integers(0, 200))
def test_a_truncated_header_is_foreign_or_static_but_never_dynamic_by_chance(length: int) -> None:
    whole = elf()

    assert linkage_of(whole[:length], MACHINE) == (DYNAMIC if length >= len(whole) else FOREIGN)


@given(
    prefix=st.integers(0, 64),
    rest=st.binary(max_size=200),
    table=st.integers(0, 2**64 - 1),
    entry_bytes=st.integers(0, 2**16 - 1),
    entries=st.integers(0, 2**16 - 1),
)
@example(prefix=64, rest=b"", table=2**64 - 1, entry_bytes=65_535, entries=65_535)
@example(prefix=64, rest=b"", table=2**63, entry_bytes=0, entries=1)
def test_any_header_has_a_linkage(prefix: int, rest: bytes, table: int, entry_bytes: int, entries: int) -> None:
    head = bytearray(elf())
    struct.pack_into("<Q", head, 32, table)
    struct.pack_into("<HH", head, 54, entry_bytes, entries)

    for candidate in (rest, b"\x7fELF" + rest, bytes(head), bytes(head[:prefix]) + rest):
        assert linkage_of(candidate, MACHINE) in {DYNAMIC, STATIC, FOREIGN}


def with_table(original: bytes, *, at: int, kinds: list[int], entry_bytes: int = 56) -> bytes:
    """Return an ELF file with another program header table, at another place."""
    content = bytearray(original.ljust(at, b"\0"))
    table = b"".join(struct.pack("<I4xQ40x", kind, 64) for kind in kinds)
    content[at : at + len(table)] = table
    struct.pack_into("<Q", content, 32, at)
    struct.pack_into("<HH", content, 54, entry_bytes, len(kinds))
    return bytes(content)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(64, 1 << 20),
    kinds=st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 7, 0x6474E551, 0x6474E553]), min_size=1, max_size=1170),
)
@example(at=64, kinds=[1] * 1169 + [3])
@example(at=1 << 20, kinds=[3])
def test_readelf_finds_the_same_wherever_the_table_lies(
    build: Callable[..., Path], tmp_path: Path, at: int, kinds: list[int]
) -> None:
    file = write(tmp_path / "program", with_table(build("gcc").read_bytes(), at=at, kinds=kinds))
    listed = subprocess.run(["readelf", "-lW", file], capture_output=True, text=True, check=False, timeout=30).stdout
    rows = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and "0x" in line]

    assert find_program([str(file)], {}).linkage == (DYNAMIC if "INTERP" in rows else STATIC)


@pytest.mark.parametrize("place", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_loader_named_where_no_file_has_bytes_is_refused_as_the_kernel_does(tmp_path: Path, place: int) -> None:
    content = bytearray(with_table(elf(), at=64, kinds=[3]))
    struct.pack_into("<QQQQ", content, 64 + 8, place, 0, 0, 20)
    file = write(tmp_path / "program", bytes(content))

    with pytest.raises(OSError, match="Invalid argument"):
        subprocess.run([file], check=False)
    with pytest.raises(CannotExecError, match="Invalid argument"):
        find_program([str(file)], {})


@pytest.mark.parametrize(
    ("kinds", "entry_bytes"), [([], 56), ([3] * 1171, 56), ([3], 64), ([3], 0)], ids=["none", "many", "wide", "thin"]
)
def test_a_table_that_the_kernel_would_not_take_is_not_looked_at(
    build: Callable[..., Path], tmp_path: Path, kinds: list[int], entry_bytes: int
) -> None:
    content = with_table(build("gcc").read_bytes(), at=4096, kinds=kinds, entry_bytes=entry_bytes)
    file = write(tmp_path / "program", content)

    assert find_program([str(file)], {}).linkage == FOREIGN
    with pytest.raises(OSError, match="Exec format error"):
        subprocess.run([file], check=False)


@pytest.mark.parametrize(
    ("head", "interpreter"),
    [
        (b"#!/bin/sh\n", "/bin/sh"),
        (b"#!/bin/sh", "/bin/sh"),
        (b"#! \t/bin/sh -e\n", "/bin/sh"),
        (b"#!/usr/bin/env python3\nx", "/usr/bin/env"),
        (b"#!/bin/sh\t-e  \n", "/bin/sh"),
        (b"#!/bin/sh\r\n", "/bin/sh\r"),
        (b"#!/bin/sh\x0b-e\n", "/bin/sh\x0b-e"),
        (b"#!/bin/\xff\n", "/bin/\udcff"),
        (b"#!/bin/sh\0-e\n", "/bin/sh"),
        (b"#!sh\n", "sh"),
        (b"#!\n/bin/sh", None),
        (b"#!  \t \n", None),
        (b"#!", None),
        (b"# /bin/sh\n", None),
        (b" #!/bin/sh\n", None),
        (b"", None),
    ],
)
def test_the_interpreter_of_a_script(head: bytes, interpreter: str | None) -> None:
    assert interpreter_of(head) == interpreter


@given(st.binary(max_size=300).map(lambda rest: b"#!" + rest))
def test_any_first_line_has_an_interpreter_or_none(head: bytes) -> None:
    interpreter = interpreter_of(head)

    assert interpreter is None or (interpreter and not set(interpreter) & set("\n \t\0"))


def by_kernel(path: Path) -> int:
    """Execute a file as execve(2) does; returns 0, or the errno."""
    try:
        return subprocess.run([path], stdout=subprocess.DEVNULL, check=False, timeout=60).returncode
    except OSError as error:
        return error.errno or -1


@pytest.mark.parametrize("depth", range(1, 8))
def test_scripts_that_interpret_scripts_are_followed_as_far_as_the_kernel_does(tmp_path: Path, depth: int) -> None:
    interpreter = "/bin/true"
    for level in range(depth):
        script = write(tmp_path / f"level{level}", f"#!{interpreter}\n".encode())
        interpreter = str(script)

    if by_kernel(script) == 0:
        found = find_program([str(script)], {})
        assert (found.path, found.binary, found.linkage) == (str(script), "/bin/true", DYNAMIC)
    else:
        with pytest.raises(CannotExecError):
            find_program([str(script)], {})


@pytest.mark.parametrize(
    "line", [b"#!/missing\n", b"#!/bin/sh\r\n", b"#!/etc/passwd\n", b"#!/usr\n", b"#!/bin/sh/x\n", b"#!missing\n"]
)
def test_a_script_whose_interpreter_cannot_run_is_refused_as_the_kernel_does(tmp_path: Path, line: bytes) -> None:
    script = write(tmp_path / "script", line)

    assert by_kernel(script) != 0
    with pytest.raises(CannotExecError):
        find_program([str(script)], {})


def test_a_pipe_as_interpreter_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o755)
    script = write(tmp_path / "script", f"#!{tmp_path}/pipe\n".encode())

    with pytest.raises(CannotExecError, match="cannot be executed"):
        find_program([str(script)], {})


def test_a_static_interpreter_makes_its_scripts_static(tmp_path: Path, build: Callable[..., Path]) -> None:
    static = build("gcc", "-static")
    script = write(tmp_path / "script", f"#!{static}\n".encode())

    found = find_program([str(script)], {})

    assert (found.path, found.binary, found.linkage) == (str(script), str(static), STATIC)


AS_ANOTHER_USER = """
import os, sys
from strongroom.errors import StrongroomError
from wrapper.program import find_program

if os.getuid() == 0:
    os.setresuid(65_534, 65_534, 65_534)
try:
    find_program(sys.argv[1:], {})
except StrongroomError as error:
    print(error.message)
"""


@pytest.mark.parametrize("unreadable", ["program", "loader"])
def test_a_program_that_cannot_be_read_is_refused_and_the_file_named(unreadable: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = build_without_libraries(folder)
        (folder / unreadable).chmod(0o111)
        command = [sys.executable, "-c", AS_ANOTHER_USER, str(program)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.startswith(f"{folder / unreadable}: cannot be read"), done.stderr


OPENED = """
import sys
from wrapper.program import find_program

sys.addaudithook(lambda event, args: print(args[0]) if event == "open" else None)
find_program(sys.argv[1:], {})
"""


@pytest.mark.parametrize("first_line", [b"#!", b""], ids=["script", "script without a first line"])
def test_each_file_is_read_once_however_many_questions_it_answers(tmp_path: Path, first_line: bytes) -> None:
    dash = os.path.realpath("/bin/sh")
    script = write(tmp_path / "script", first_line + dash.encode() + b"\n" if first_line else b"echo\n")

    command = [sys.executable, "-c", OPENED, str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)

    opened = [os.path.realpath(line.removeprefix("b'").removesuffix("'")) for line in done.stdout.splitlines()]
    assert opened[:2] == [str(script), dash]
    assert len(opened) == len(set(opened)) == 3  # and the loader of the shell


def test_a_script_without_a_first_line_is_given_to_the_shell_as_execvp_does(tmp_path: Path) -> None:
    script = write(tmp_path / "script", b"echo $0 $1\n")

    found = find_program([str(script), "one"], {})

    assert (found.path, found.argv) == ("/bin/sh", ["/bin/sh", str(script), "one"])
    assert subprocess.run(found.argv, capture_output=True, check=True).stdout == f"{script} one\n".encode()


def test_an_empty_file_is_given_to_the_shell(tmp_path: Path) -> None:
    script = write(tmp_path / "script", b"")

    assert find_program([str(script)], {}).argv == ["/bin/sh", str(script)]


def test_an_invisible_character_in_the_name_of_an_interpreter_is_shown(tmp_path: Path) -> None:
    script = write(tmp_path / "script", b"#!/bin/sh\r\necho\r\n")

    with pytest.raises(CannotExecError) as caught:
        find_program([str(script)], {})

    assert r"its interpreter '/bin/sh\r' cannot be executed" in caught.value.message
    assert "carriage return" in caught.value.hint

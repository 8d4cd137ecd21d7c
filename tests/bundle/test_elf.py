"""The ELF reader, on files that a compiler makes here, on every truncation, and on damage."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import elf
from strongroom.elf import ElfError

EM_X86_64 = 62


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that needs two libraries, one with a name of its own, by a search path."""
    folder = tmp_path_factory.mktemp("elf")
    (folder / "one.c").write_text("int one(void) { return 1; }\n")
    (folder / "main.c").write_text("int one(void);\nint main(void) { return one() - 1; }\n")
    compiler = ["gcc", "-g", "-O1", "-fPIC"]
    subprocess.run(
        [*compiler, "-shared", "-Wl,-soname,libone.so.1", folder / "one.c", "-o", folder / "libone.so.1"], check=True
    )
    for tag, flag in (("runpath", "--enable-new-dtags"), ("rpath", "--disable-new-dtags")):
        subprocess.run(
            [*compiler, f"-Wl,{flag},-rpath,{folder}", folder / "main.c", folder / "libone.so.1", "-o", folder / tag],
            check=True,
        )
    return folder


@pytest.mark.parametrize("name", ["runpath", "rpath"])
def test_a_program(built: Path, name: str) -> None:
    headers = elf.read((built / name).read_bytes())
    assert headers.machine == EM_X86_64
    assert headers.interpreter == "/lib64/ld-linux-x86-64.so.2"
    assert headers.soname == ""
    assert headers.needed == ("libone.so.1", "libc.so.6")
    assert headers.search_paths == (str(built),)


def test_a_library(built: Path) -> None:
    headers = elf.read((built / "libone.so.1").read_bytes())
    assert (headers.soname, headers.interpreter, headers.search_paths) == ("libone.so.1", "", ())


def test_a_static_program_needs_nothing(built: Path) -> None:
    (built / "static.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["musl-gcc", "-static", built / "static.c", "-o", built / "static"], check=True)
    headers = elf.read((built / "static").read_bytes())
    assert (headers.interpreter, headers.needed) == ("", ())


@pytest.mark.parametrize("name", ["runpath", "rpath"])
def test_a_relocatable_copy_finds_libraries_only_where_it_is_told_to(built: Path, tmp_path: Path, name: str) -> None:
    original = (built / name).read_bytes()
    copy = elf.relocatable(original)
    program = tmp_path / "program"
    program.write_bytes(copy)
    program.chmod(0o755)
    assert elf.read(copy).search_paths == ()
    assert elf.read(copy).needed == ("libone.so.1", "libc.so.6")
    alone = subprocess.run([program], capture_output=True, text=True, check=False)
    assert "libone.so.1" in alone.stderr
    assert alone.returncode == 127
    subprocess.run([program], env={"LD_LIBRARY_PATH": str(built)}, check=True)


def test_a_relocatable_copy_has_no_symbols_for_debuggers(built: Path) -> None:
    original = (built / "libone.so.1").read_bytes()
    assert b"GNU C" in original, "the compiler's name, as debuggers see it"
    copy = elf.relocatable(original)
    assert b"GNU C" not in copy
    assert len(copy) < len(original)


def test_a_copy_of_a_copy_is_the_same(built: Path) -> None:
    copy = elf.relocatable((built / "rpath").read_bytes())
    assert elf.relocatable(copy) == copy


def test_every_truncation_is_refused(built: Path) -> None:
    copy = elf.relocatable((built / "libone.so.1").read_bytes())
    for size in range(0, len(copy), 7):
        with pytest.raises(ElfError):
            elf.relocatable(copy[:size])


@pytest.mark.parametrize(
    "data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + b"\0" * 60, b"\x7fELF\x02\x02" + b"\0" * 60]
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ElfError):
        elf.read(data)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_read_but_never_another_error(built: Path, data: st.DataObject) -> None:
    damaged = bytearray((built / "runpath").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, 1023))] = data.draw(st.integers(0, 255))
    try:
        elf.relocatable(bytes(damaged))
    except ElfError:
        return

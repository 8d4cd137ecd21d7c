"""The library as a file: what it exports, what it asks for, for whom it can be built."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import preload
from tests.preload import secretmem
from tests.preload.launch import SECRETS, WITHOUT_PRIVILEGES, image_of
from tests.support.process.privileges import is_root
from tests.support.tree import ROOT

pytestmark = pytest.mark.early

EXPORTS = {
    "getenv",
    "secure_getenv",
    "execve",
    "execv",
    "execvp",
    "execvpe",
    "execl",
    "execlp",
    "execle",
    "fexecve",
    "execveat",
    "posix_spawn",
    "posix_spawnp",
    "pidfd_spawn",
    "pidfd_spawnp",
    "posix_spawn_file_actions_addclosefrom_np",
    "system",
    "popen",
    "pclose",
    "wordexp",
}
IMPORTS = {("WEAK", "environ"), ("WEAK", "dl_iterate_phdr"), ("WEAK", "getauxval")}
GUARD = {"AArch64": {("WEAK", "__stack_chk_guard")}}  # elsewhere the guard is not a symbol


def readelf(*arguments: str) -> str:
    """Return what readelf prints."""
    command = ["readelf", "-W", *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def build(folder: Path, *variables: str) -> str:
    """Build a variant of the library into ``folder``; return its path."""
    command = ["make", "-s", "-C", str(ROOT / "preload"), "library", f"OUT={folder}", *variables]
    subprocess.run(command, check=True)
    return str(folder / "libstrongroom.so")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The variant of a make variable, each built once."""
    return functools.cache(lambda variable: build(tmp_path_factory.mktemp("variant"), variable))


@pytest.fixture(params=["CC=gcc", "CC=clang", "ARCH=aarch64"])
def variant(request: pytest.FixtureRequest, built: Callable[[str], str]) -> str:
    """The library as each compiler builds it, and for the other machine."""
    return built(request.param)


def test_exports_and_imports(variant: str) -> None:
    defined: set[str] = set()
    undefined: set[tuple[str, str]] = set()
    for line in readelf("--dyn-syms", variant).splitlines():
        fields = line.split()
        if len(fields) < 8 or not fields[0].rstrip(":").isdigit() or fields[4] == "LOCAL":
            continue
        if fields[6] == "UND":
            undefined.add((fields[4], fields[7]))
        else:
            defined.add(fields[7])
    assert defined == EXPORTS
    machine = next(line for line in readelf("-h", variant).splitlines() if "Machine:" in line).split()[-1]
    assert undefined == IMPORTS | GUARD.get(machine, set())


def test_stack_protector_is_in_the_library(variant: str) -> None:
    names = {line.split()[-1]: line.split() for line in readelf("-s", variant).splitlines() if "__stack_chk_" in line}
    assert names["__stack_chk_fail"][4] == "LOCAL"  # our own: the program's libc need not have one


def test_needs_no_other_library(variant: str) -> None:
    assert "NEEDED" not in readelf("-d", variant)


def test_hardening(variant: str) -> None:
    dynamic = readelf("-d", variant)
    assert "BIND_NOW" in dynamic
    assert "TEXTREL" not in dynamic
    headers = readelf("-l", variant)
    assert "GNU_RELRO" in headers
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack
    assert not any("LOAD" in line and "RWE" in line for line in headers.splitlines())


def test_carries_no_path_of_the_machine_it_was_built_on(variant: str) -> None:
    assert str(ROOT).encode() not in Path(variant).read_bytes()


def test_compiler_that_is_missing_is_named(tmp_path: Path) -> None:
    command = ["make", "-s", "-C", str(ROOT / "preload"), "library", f"OUT={tmp_path}", "CC=no-such-compiler"]
    result = subprocess.run(command, capture_output=True, check=False, text=True)
    assert result.returncode != 0
    assert "strongroom: error: no C compiler: no-such-compiler" in result.stderr


@pytest.mark.parametrize("program", ["hit", "overwritten", "unset", "environ_walk", "main_envp"])
def test_aarch64_under_emulation(tmp_path: Path, built: Callable[[str], str], program: str) -> None:
    library = built("ARCH=aarch64")
    compiler = "aarch64-linux-gnu-gcc"
    binary = tmp_path / program
    source = ROOT / "tests" / "native" / f"{program}.c"
    subprocess.run([compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O1", str(source), "-o", str(binary)], check=True)
    # The emulator passes no memfd_secret, so the region comes in an ordinary memfd.
    descriptor = secretmem.sealed_descriptor(image_of(SECRETS))
    guest = {**dict.fromkeys(SECRETS, ""), "PLAIN": "plain", "LD_PRELOAD": library}
    command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-E", f"STRONGROOM_REGION=any:{descriptor}"]
    for name, value in guest.items():
        command += ["-E", f"{name}={value}"]
    try:
        result = subprocess.run(
            [*command, str(binary)],
            env={"PATH": os.defpath},
            pass_fds=(descriptor,),
            capture_output=True,
            check=False,
            timeout=200,
        )
    finally:
        os.close(descriptor)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"ok\n", b"")


class TestLibraryPath:
    """``preload.library_path()``."""

    def test_is_absolute_and_there(self, library: str) -> None:
        assert Path(library).is_absolute()
        assert Path(library).is_file()

    def test_unsupported_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine = os.uname_result(("Linux", "host", "6.1", "1", "s390x"))
        monkeypatch.setattr(os, "uname", lambda: machine)
        with pytest.raises(preload.LibraryError, match="no library for s390x"):
            preload.library_path()

    def test_not_built(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(preload, "__file__", str(tmp_path / "__init__.py"))
        with pytest.raises(preload.LibraryError, match="not built; run make"):
            preload.library_path()

    def test_not_readable(self, library: str) -> None:
        # The dynamic loader would warn, and start the application with empty secrets.
        with tempfile.TemporaryDirectory() as home:
            target = Path(home, "preload", "lib", os.uname().machine)
            target.mkdir(parents=True)
            Path(home).chmod(0o755)
            shutil.copy(preload.__file__, Path(home, "preload"))
            Path(shutil.copy(library, target)).chmod(0)
            words = [*(WITHOUT_PRIVILEGES if is_root() else ()), sys.executable, "-c"]
            script = "import preload; preload.library_path()"
            result = subprocess.run(
                [*words, script], cwd=home, capture_output=True, text=True, check=False, timeout=200
            )
        last = result.stderr.splitlines()[-1]
        assert last == f"preload.LibraryError: preload: {target}/libstrongroom.so: may not be read; check its mode"

    @pytest.mark.parametrize("name", ["with space", "with:colon", "with\nnewline"])
    def test_path_that_ld_preload_cannot_carry(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: str, name: str
    ) -> None:
        folder = tmp_path / name
        target = folder / "lib" / os.uname().machine
        target.mkdir(parents=True)
        shutil.copy(library, target)
        monkeypatch.setattr(preload, "__file__", str(folder / "__init__.py"))
        with pytest.raises(preload.LibraryError, match="LD_PRELOAD cannot carry"):
            preload.library_path()

    def test_imports_nothing_but_os(self) -> None:
        code = "import sys, os; before = set(sys.modules); import preload; print(set(sys.modules) - before)"
        command = ["python3", "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"]
        result = subprocess.run(command, capture_output=True, check=True, text=True)
        assert result.stdout == "{'preload'}\n"

"""What is in a bundle: the same each time, small, readable, complete, and what its manifest says."""

import ast
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bundle import elf
from strongroom.elf import MAGIC
from tests.bundle.conftest import Made, make_bundle
from tests.support.tree import ROOT

MAX_BYTES = 40_000_000


def files_of(directory: Path) -> dict[str, Path]:
    return {str(path.relative_to(directory)): path for path in directory.rglob("*") if not path.is_dir()}


def test_its_init_is_as_small_as_is_promised(directory: Path) -> None:
    (init,) = directory.rglob("strongroom-init")
    assert init.stat().st_size < 32_000, "built without musl"


def test_its_size_is_printed_and_small(made: Made) -> None:
    total = sum(path.stat().st_size for path in files_of(made.directory).values())
    first, *parts = made.output.splitlines()
    assert first == f"{made.directory}: {total} bytes ({total / 1e6:.1f} MB) in {len(files_of(made.directory))} files"
    *parts, interpreter = parts
    assert sum(int(line.split()[0]) for line in parts) == total
    assert interpreter.startswith("bin/python3: /")
    assert total < MAX_BYTES


def test_the_manifest_has_every_file(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    expected = {
        name: {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
            "mode": f"{path.stat().st_mode & 0o7777:04o}",
        }
        for name, path in files_of(directory).items()
        if name != "manifest.json"
    }
    assert manifest["files"] == expected
    assert manifest["machine"] == os.uname().machine
    assert manifest["python"].startswith("{}.{}.".format(*sys.version_info))


def test_made_again_elsewhere_with_other_settings_it_is_the_same(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "4711")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    before = os.umask(0o077)
    try:
        result = make_bundle(tmp_path / "an other place")
    finally:
        os.umask(before)
    assert result.returncode == 0, result.stderr
    assert_same(directory, tmp_path / "an other place")


def assert_same(left: Path, right: Path) -> None:
    assert files_of(left).keys() == files_of(right).keys()
    for name in files_of(left):
        assert (left / name).read_bytes() == (right / name).read_bytes(), name
    for path in [left, *left.rglob("*")]:
        other = right / path.relative_to(left)
        assert (path.stat().st_mode, path.stat().st_mtime_ns) == (other.stat().st_mode, other.stat().st_mtime_ns)


def test_a_bundle_copies_itself(directory: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [directory / "strongroom", "bundle", tmp_path / "copy"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{tmp_path}/copy: ")
    assert_same(directory, tmp_path / "copy")


def test_a_bundle_that_was_changed_does_not_copy_itself(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path / "changed")
    library = next((tmp_path / "changed/lib").glob("libssl.so*"))
    library.write_bytes(library.read_bytes() + b"x")
    result = subprocess.run(
        [tmp_path / "changed/strongroom", "bundle", tmp_path / "copy"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 118
    assert f"{library}: has changed" in result.stderr
    assert not (tmp_path / "copy").exists()


def test_whoever_the_application_runs_as_can_read_all_of_it(directory: Path) -> None:
    for path in [directory, *directory.rglob("*")]:
        wanted = 0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644
        assert path.stat().st_mode & 0o7777 == wanted, path
        assert not path.is_symlink(), path


def test_every_library_that_is_needed_is_there(directory: Path) -> None:
    headers = {name: elf.read(path.read_bytes()) for name, path in files_of(directory).items() if is_elf(path)}
    there = {found.soname for found in headers.values()}
    for name, found in headers.items():
        assert set(found.needed) <= there, name
        assert found.search_paths == (), name


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def test_no_source_is_needed_and_every_module_of_the_wrapper_is_there(directory: Path) -> None:
    modules = {path.stem for path in directory.glob("lib/python3.*/wrapper/*.pyc")}
    assert modules == {path.stem for path in (ROOT / "wrapper").glob("*.py")} - {"__main__"}
    assert not [name for name in files_of(directory) if name.endswith(".py")]


def test_every_import_of_the_wrapper_succeeds_in_the_bundle(directory: Path) -> None:
    """Also those on the way to an error: each module and all that it may import is imported."""
    modules = [
        f"wrapper.{path.stem}" for path in (ROOT / "wrapper").glob("*.py") if path.stem not in {"__init__", "__main__"}
    ]
    lazy = {
        match[1]
        for path in (ROOT / "wrapper").glob("*.py")
        for match in re.finditer(r"^ {4,}(?:from|import) ([\w.]+)(?: import .*)?$", path.read_text(), re.MULTILINE)
    }
    names = sorted({*modules, *lazy, "encodings.idna", "traceback"} - {"collections.abc", "typing"})
    assert "tomllib" in names
    assert "difflib" in names
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)\n"
    run_bundled(directory, code)


def run_bundled(directory: Path, code: str) -> str:
    result = subprocess.run(
        [
            directory / "lib/ld.so", "--inhibit-cache", "--library-path", directory / "lib",
            directory / "bin/python3", "-I", "-S", "-B", "-c", code,
        ],
        capture_output=True, text=True, check=False, env={},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


# What functions of the standard library import when they are called, and no verb calls: for other systems, programs
# (`python -m base64`), archives, and what is tried and done without.
_NEVER_IMPORTED = {
    "_md5", "_sha1", "_sha256", "_sha3",  # hashlib without OpenSSL
    "_winapi", "argparse", "doctest", "encodings.mbcs", "getopt", "grp", "importlib.readers", "nt", "statistics",
    "tarfile", "tracemalloc", "zipfile",
}  # fmt: skip


def test_what_the_standard_library_imports_late_is_there_too(directory: Path) -> None:
    """As ssl.cert_time_to_seconds does with calendar."""
    there = {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
        for folder in directory.glob("lib/python3.*")
        for path in folder.rglob("*.pyc")
    }
    natives = {path.name.partition(".")[0] for path in directory.glob("lib/python3.*/lib-dynload/*")}
    code = "import sys; print(*sys.builtin_module_names)"
    built_in = run_bundled(directory, code).split()
    late = {
        (name, wanted)
        for name in there
        if name.partition(".")[0] in sys.stdlib_module_names
        for wanted in _late_imports(name)
        if wanted not in there and wanted not in natives and wanted not in built_in
    }
    assert {wanted for _, wanted in late} <= _NEVER_IMPORTED, sorted(late)


def _late_imports(name: str) -> set[str]:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    origin = getattr(spec.loader_state, "filename", None) or spec.origin
    source = Path(str(origin)).read_text()
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return {wanted for function in functions for node in ast.walk(function) for wanted in _imported(node)}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def test_nothing_of_a_launch_names_the_machine_it_was_made_on(directory: Path) -> None:
    for name, path in files_of(directory).items():
        if name.endswith((".pyc", ".json")):
            assert str(ROOT).encode() not in path.read_bytes(), name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name one directory"),
        (["a", "b"], "name one directory"),
        (["--no-such"], "--no-such: unknown option"),
        (["/proc/no/such"], "/proc/no/such: No such file or directory"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "cli", "bundle", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert result.returncode == 111
    assert result.stderr.startswith(f"strongroom: error: {words}")


def test_force_by_a_variable(directory: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [directory / "strongroom", "bundle", tmp_path / "copy"]
    for _ in range(2):
        result = subprocess.run(
            command, env={"STRONGROOM_BUNDLE_FORCE": "1"}, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr


def test_help(directory: Path) -> None:
    ways: list[list[str]] = [[str(directory / "strongroom")], [sys.executable, "-m", "cli"]]
    texts = [
        subprocess.run([*way, "bundle", "--help"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for way in ways
    ]
    assert texts[0] == texts[1]
    assert texts[0].startswith("usage: strongroom bundle [--force] DIR")

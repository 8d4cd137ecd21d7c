"""The C reader of the region format against the vectors, in a hosted build with sanitizers."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.vectors.region import make

VECTORS = Path(make.__file__).parent
GOOD = sorted(VECTORS.glob("good-*.bin"))
BAD = sorted(VECTORS.glob("bad-*.bin"))
MUTATED_BYTES_MAX = 5000  # time grows with the square of the size


def output(*command: str | Path) -> str:
    """Return what the reader prints; a finding of a sanitizer fails here."""
    result = subprocess.run(command, capture_output=True, check=True, text=True, timeout=280)
    assert result.stderr == ""
    return result.stdout


def test_files_are_what_the_generator_writes() -> None:
    present = {path.name: path.read_bytes() for pattern in ("good-*", "bad-*") for path in VECTORS.glob(pattern)}
    assert present == make.files()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_image_is_read(region_check: Path, path: Path) -> None:
    assert output(region_check, path) == "ok\n"
    entries = dict(line.split("\t") for line in output(region_check, "-d", path).splitlines())
    assert entries == json.loads(path.with_suffix(".json").read_text())["entries"]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_image_is_refused_by_the_rule_it_breaks(region_check: Path, path: Path) -> None:
    assert output(region_check, path).startswith(f"rule {path.stem.split('-')[1]}: ")


def test_every_rule_has_a_vector() -> None:
    assert {path.stem.split("-")[1] for path in BAD} == set("12345678")


@pytest.mark.parametrize(
    "path", [path for path in GOOD if path.stat().st_size < MUTATED_BYTES_MAX], ids=lambda path: path.stem
)
def test_every_truncation_and_every_changed_byte_is_refused(region_check: Path, path: Path) -> None:
    *accepted, tried = output(region_check, "-m", path).splitlines()
    assert accepted == []
    assert int(tried) >= path.stat().st_size + 255 * 48


def test_valgrind_finds_nothing_in_a_build_without_sanitizers(tmp_path: Path) -> None:
    root = VECTORS.parents[2]
    program = tmp_path / "region-check"
    sources = [root / "tests/native/region_check.c", root / "preload/src/shared/region.c"]
    subprocess.run(["cc", "-g", f"-I{root}/preload/src/shared", *sources, "-o", program], check=True)
    command: list[str | Path] = ["valgrind", "-q", "--error-exitcode=99", program, *GOOD, *BAD]
    assert output(*command).count("\n") == len(GOOD) + len(BAD)


def fuzzer(target: str, parts: str, folder: Path) -> Path:
    """Build the fuzz target with these files of the library."""
    root = VECTORS.parents[2]
    sources = [root / f"tests/native/{target}.c", *(root / f"preload/src/{name}.c" for name in parts.split())]
    folders = [f"-I{root}/preload/src/{name}" for name in ("library", "shared")]
    options = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra"]
    command: list[str | Path] = ["clang", *options, "-D_GNU_SOURCE", "-Werror", *folders, *sources]
    subprocess.run([*command, "-o", folder / target], check=True)
    return folder / target


def fuzz(program: Path, *options: str | Path) -> None:
    """Run a fuzz target for a while with a fixed seed. For a long run: the same program with -max_total_time=600."""
    result = subprocess.run(
        [program, "-seed=1", *options], capture_output=True, check=False, text=True, timeout=280, cwd=program.parent
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert f"Done {str(options[0]).partition('=')[2]} runs" in result.stderr


def test_fuzzing_finds_nothing(tmp_path: Path) -> None:
    program = fuzzer("region_fuzz", "shared/region library/region_write", tmp_path)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for path in (*GOOD, *BAD):
        for repair in (b"\0", b"\1"):
            (corpus / f"{path.stem}-{repair[0]}").write_bytes(repair + path.read_bytes())
    fuzz(program, "-runs=300000", "-max_len=4096", corpus)


def test_fuzzing_the_environments_of_children_finds_nothing(tmp_path: Path) -> None:
    parts = "library/compose shared/preload_list shared/region library/region_write shared/environment shared/fail"
    fuzz(fuzzer("compose_fuzz", parts, tmp_path), "-runs=60000", "-max_len=512")

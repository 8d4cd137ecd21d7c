"""Where a bundle may be written to, and that it is written whole or not at all."""

import os
import subprocess
from pathlib import Path

import pytest

from cli.bundle.manifest import MANIFEST, File
from cli.bundle.write import write
from strongroom.errors import ConfigError

FILES = {
    "strongroom": File(b"program", is_program=True),
    MANIFEST: File(b"{}"),
    "lib/python3/a.pyc": File(b"code"),
}


def no_check(_: Path) -> None:
    pass


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if not path.is_dir()}


EXPECTED = {path: file.data for path, file in FILES.items()}


def test_a_new_directory_and_those_above_it(tmp_path: Path) -> None:
    write(FILES, tmp_path / "a/b/c", force=False, check=no_check)
    assert contents(tmp_path) == {f"a/b/c/{path}": data for path, data in EXPECTED.items()}, "and nothing else"


def test_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(FILES, tmp_path / "empty", force=False, check=no_check)
    assert contents(tmp_path / "empty") == EXPECTED


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write(FILES, tmp_path / "new", force=False, check=no_check)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in [tmp_path / "new", *(tmp_path / "new").rglob("*")]}
    programs = {"new", "lib", "python3", "strongroom"}
    assert modes == {name: 0o755 if name in programs else 0o644 for name in modes}
    assert len(modes) == 6


def test_times_are_always_the_same(tmp_path: Path) -> None:
    write(FILES, tmp_path / "new", force=False, check=no_check)
    assert len({path.stat().st_mtime_ns for path in [tmp_path / "new", *(tmp_path / "new").rglob("*")]}) == 1


def test_a_directory_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("keep")
    for force in (False, True):
        with pytest.raises(ConfigError, match="is not empty"):
            write(FILES, tmp_path / "full", force=force, check=no_check)
    assert contents(tmp_path) == {"full/mine": b"keep"}


def test_an_earlier_bundle_is_replaced_only_by_force(tmp_path: Path) -> None:
    write({**FILES, "lib/old": File(b"old")}, tmp_path / "bundle", force=False, check=no_check)
    with pytest.raises(ConfigError, match="holds a bundle already"):
        write(FILES, tmp_path / "bundle", force=False, check=no_check)
    write(FILES, tmp_path / "bundle", force=True, check=no_check)
    assert contents(tmp_path) == {f"bundle/{path}": data for path, data in EXPECTED.items()}


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep")
    with pytest.raises(ConfigError, match="not a directory"):
        write(FILES, tmp_path / "file", force=True, check=no_check)
    with pytest.raises(ConfigError):
        write(FILES, tmp_path / "file/below", force=False, check=no_check)
    assert contents(tmp_path) == {"file": b"keep"}


def test_a_bundle_that_fails_its_check_leaves_what_was_there(tmp_path: Path) -> None:
    write({**FILES, "lib/old": File(b"old")}, tmp_path / "bundle", force=False, check=no_check)
    before = contents(tmp_path)

    def refuse(directory: Path) -> None:
        assert contents(directory) == EXPECTED, "it is checked when it is whole"
        msg = "no"
        raise ConfigError(msg)

    with pytest.raises(ConfigError, match="no"):
        write(FILES, tmp_path / "bundle", force=True, check=refuse)
    with pytest.raises(ConfigError, match="no"):
        write(FILES, tmp_path / "new", force=False, check=refuse)
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_volume_is_filled_without_replacing_it(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from tests.bundle.test_write import FILES, no_check, write
from cli.bundle.manifest import File
volume = Path(sys.argv[1])
write({**FILES, "lib/old": File(b"old")}, volume, force=False, check=no_check)
write(FILES, volume, force=True, check=no_check)
print(sorted(str(path.relative_to(volume)) for path in volume.rglob("*")))
"""
    root = Path(__file__).resolve().parents[2]
    (tmp_path / "volume").mkdir()
    mounted = 'mount -t tmpfs none "$1" && exec "$2" -c "$3" "$1"'
    python = root / ".venv/bin/python"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", tmp_path / "volume", python, script],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "['lib', 'lib/python3', 'lib/python3/a.pyc', 'manifest.json', 'strongroom']\n", (
        result.stderr
    )

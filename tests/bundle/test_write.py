"""Where a bundle may be written to, and that it is written whole or not at all."""

import os
import subprocess
from pathlib import Path

import pytest

from bundle.manifest import MANIFEST, File
from bundle.write import write
from strongroom.errors import ConfigError
from tests.support.process.privileges import is_root
from tests.support.tree import ROOT

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
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        write(FILES, tmp_path / "bundle", force=True, check=refuse)
    with pytest.raises(ConfigError, match="no"):
        write(FILES, tmp_path / "new", force=False, check=refuse)
    assert contents(tmp_path) == before


def in_a_volume(tmp_path: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code with ``volume`` as the path of a directory on which a volume is mounted."""
    root = ROOT
    (tmp_path / "volume").mkdir()
    mounted = 'mount -t tmpfs none "$1" && exec "$2" -c "$3" "$1"'
    begin = """
import os, sys
from pathlib import Path
from tests.bundle.test_write import FILES, ConfigError, no_check, write
from bundle.manifest import File
volume = Path(sys.argv[1])
"""
    end = "\nprint(sorted(str(path.relative_to(volume)) for path in volume.rglob('*')))\n"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", tmp_path / "volume", root / ".venv/bin/python",
         begin + script + end],
        cwd=root, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


WHOLE = "['lib', 'lib/python3', 'lib/python3/a.pyc', 'manifest.json', 'strongroom']\n"


@pytest.mark.skipif(not is_root(), reason="mounting needs root")
def test_a_volume_is_filled_without_replacing_it(tmp_path: Path) -> None:
    result = in_a_volume(
        tmp_path,
        """
write({**FILES, "lib/old": File(b"old")}, volume, force=False, check=no_check)
write(FILES, volume, force=True, check=no_check)
""",
    )
    assert result.stdout == WHOLE, result.stderr


@pytest.mark.skipif(not is_root(), reason="mounting needs root")
@pytest.mark.parametrize("moved", range(4), ids=lambda moved: f"{moved} names were in place")
@pytest.mark.parametrize("earlier", [False, True], ids=["empty", "replacing"])
def test_a_volume_whose_filling_was_killed_is_filled_by_force(tmp_path: Path, moved: int, *, earlier: bool) -> None:
    """An init container that ran out of memory is started again with the same volume."""
    result = in_a_volume(
        tmp_path,
        f"""
if {earlier}:
    write({{**FILES, "lib/old": File(b"old")}}, volume, force=False, check=no_check)
if os.fork() == 0:
    rename, left = Path.rename, [{moved} + ({earlier} and 3)]
    def dies(self, target):
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        return rename(self, target)
    Path.rename = dies
    write(FILES, volume, force=True, check=no_check)
    os._exit(1)
_, status = os.wait()
assert {moved} == 3 or os.waitstatus_to_exitcode(status) == 9, status
if {moved} < 3:
    try:
        write(FILES, volume, force=False, check=no_check)
    except ConfigError as error:
        assert "interrupted" in error.message or "already" in error.message, error.message
    else:
        raise AssertionError("it was not asked for by --force")
write(FILES, volume, force=True, check=no_check)
""",
    )
    assert result.stdout == WHOLE, result.stderr


@pytest.mark.skipif(not is_root(), reason="mounting needs root")
def test_a_volume_with_something_of_others_beside_is_left_alone(tmp_path: Path) -> None:
    result = in_a_volume(
        tmp_path,
        """
(volume / ".volume-x" / "new").mkdir(parents=True)
(volume / "mine").mkdir()
try:
    write(FILES, volume, force=True, check=no_check)
except ConfigError as error:
    assert "is not empty" in error.message
""",
    )
    assert result.stdout == "['.volume-x', '.volume-x/new', 'mine']\n", result.stderr

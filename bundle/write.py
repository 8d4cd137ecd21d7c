"""Writing a bundle to a directory: all of it or nothing, and the same bytes, modes and times each time."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bundle.manifest import LAUNCHER, MANIFEST, File
from strongroom.errors import ConfigError

# 1980-01-01, the first day that zip archives know. Which files are newer says nothing: Python does not ask here.
_TIME_S = 315_532_800

# What is in the temporary place: the bundle, and what it takes the place of.
_NEW, _OLD = "new", "old"


def write(files: Mapping[str, File], directory: Path, *, force: bool, check: Callable[[Path], None]) -> None:
    """Write a bundle.

    It is written beside the directory and then takes its place, so that no one ever sees half a bundle. A directory on
    which a volume is mounted cannot be replaced: there the files are moved in, the program that starts them last.

    Args:
        files: the files by path.
        directory: where to; it must not exist, be empty or, with ``force``, hold an earlier bundle.
        force: whether to replace an earlier bundle.
        check: called with the directory in which the whole bundle stands before it takes its place.

    Raises:
        ConfigError: the directory is not fit, or cannot be written.
    """
    directory = Path(os.path.abspath(directory))  # noqa: PTH100 - no link is to be resolved here
    is_mounted = os.path.ismount(directory)
    try:
        unfinished = _unfinished(directory) if is_mounted else []
        _require_fit(directory, files, unfinished, force=force)
        beside = directory if is_mounted else directory.parent
        beside.mkdir(parents=True, exist_ok=True)
        with _temporary(beside, f".{directory.name}-") as place:
            whole = place / _NEW
            _write_tree(files, whole)
            check(whole)
            if is_mounted:
                _move_in(whole, directory, place)
                for left in unfinished:
                    shutil.rmtree(left, ignore_errors=True)
            else:
                _take_place(whole, directory, place)
    except OSError as error:
        msg = f"{directory}: {error.strerror} ({error.filename})"
        raise ConfigError(msg, hint="choose a directory that can be written") from None


def _require_fit(directory: Path, files: Mapping[str, File], unfinished: list[Path], *, force: bool) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        msg = f"{directory}: is not a directory"
        raise ConfigError(msg, hint="name a directory that there is not yet, or one that is empty")
    present = {path.name for path in directory.iterdir()} - {"lost+found"} - {path.name for path in unfinished}
    if not present and not unfinished:
        return
    if {LAUNCHER, MANIFEST} <= present:
        if not force:
            raise ConfigError(f"{directory}: holds a bundle already", hint="--force replaces it")
        return
    if unfinished and present <= {Path(path).parts[0] for path in files}:
        if not force:
            msg = f"{directory}: holds a bundle of which the writing was interrupted, or still goes on"
            raise ConfigError(msg, hint="--force replaces it")
        return
    msg = f"{directory}: is not empty, and holds no bundle that could be replaced"
    raise ConfigError(msg, hint="choose another directory")


def _unfinished(directory: Path) -> list[Path]:
    """Return the places in a volume where somebody wrote a bundle and was killed; nothing else is in them."""
    return [
        path
        for path in directory.iterdir()
        if path.name.startswith(f".{directory.name}-")
        and path.is_dir()
        and not path.is_symlink()
        and {inner.name for inner in path.iterdir()} <= {_NEW, _OLD}
    ]


@contextlib.contextmanager
def _temporary(parent: Path, prefix: str) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _write_tree(files: Mapping[str, File], directory: Path) -> None:
    folders = {directory}
    for path in files:
        folders.update(directory / parent for parent in Path(path).parents)
    for folder in sorted(folders):
        folder.mkdir()
        folder.chmod(0o755)  # whatever the umask
    for path, file in sorted(files.items()):
        target = directory / path
        target.write_bytes(file.data)
        target.chmod(file.mode)
        os.utime(target, (_TIME_S, _TIME_S))
    for folder in sorted(folders, reverse=True):
        os.utime(folder, (_TIME_S, _TIME_S))


def _take_place(whole: Path, directory: Path, place: Path) -> None:
    if not directory.exists() or not any(directory.iterdir()):
        whole.rename(directory)  # over an empty directory too (rename(2))
        return
    old = place / _OLD
    directory.rename(old)
    try:
        whole.rename(directory)
    except OSError:
        old.rename(directory)
        raise


def _move_in(whole: Path, directory: Path, place: Path) -> None:
    old = place / _OLD
    old.mkdir()
    names = sorted(path.name for path in whole.iterdir())
    names.sort(key=lambda name: name == LAUNCHER)  # the last to come
    for name in reversed(names):
        if (directory / name).exists():
            (directory / name).rename(old / name)
    for name in names:
        (whole / name).rename(directory / name)

"""Noticing that files have changed, without inotify: some file systems send no events, containers swap links."""

import os

Stamp = tuple[tuple[int, int, int, int] | None, ...]


def stamp_of(*paths: str | os.PathLike[str]) -> Stamp:
    """Return a value that differs when any of the files was replaced, rewritten, removed or created.

    It follows symbolic links, as Kubernetes swaps a link to the directory of all files at once. Take the stamp before
    reading the files: a change in between is then seen at the next look.
    """
    return tuple(_stamp(path) for path in paths)


def _stamp(path: str | os.PathLike[str]) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a path of any kind
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

"""Noticing that files have changed, without inotify: some file systems send no events, containers swap links."""

import os

Stamp = tuple[tuple[int, int, int, int] | None, ...]


def stamp_of(*paths: str | os.PathLike[str]) -> Stamp:
    """Return a value that differs when any of the files was replaced, rewritten, removed or created.

    It follows symbolic links, as Kubernetes swaps a link to the directory of all files at once. Take the stamp before
    reading the files: a change in between is then seen at the next look.
    """
    return tuple(_stamp(path) for path in paths)


class Changes:
    """Notices that files have changed and that anyone who writes them has finished: two looks in a row see the same.

    So a file that is truncated and then written is not read while it is empty or cut.
    """

    def __init__(self, stamp: object) -> None:
        """Begin with files that were read when they had this stamp."""
        self._read = self._seen = stamp

    def are_due(self, stamp: object) -> bool:
        """Return whether files that have this stamp now are to be read again; then they count as read."""
        at_rest, self._seen = stamp == self._seen, stamp
        if stamp == self._read or not at_rest:
            return False
        self._read = stamp
        return True


def _stamp(path: str | os.PathLike[str]) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a path of any kind
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

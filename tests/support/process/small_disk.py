"""A disk of a few pages: a tmpfs in a mount namespace of its own, reached through /proc."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOLD = 'mount -t tmpfs -o size="$2" none "$1" && echo mounted && exec cat'


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """Mount one over a directory, and give the path that every process can reach it by."""
    command = ["unshare", "-rm", "sh", "-c", _HOLD, "sh", str(directory), size]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        try:
            yield Path(f"/proc/{holder.pid}/root{directory}")
        finally:
            holder.stdin.close()
            holder.wait(30)

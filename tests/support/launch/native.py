"""What is built of ``preload/`` in this very tree, for tests that run in several processes."""

import fcntl
import os
import subprocess

from tests.support.tree import ROOT

PRELOAD = ROOT / "preload"


def make_native(*targets: str) -> None:
    """Build targets of ``preload/Makefile`` that are not built yet; one process of the tests at a time."""
    folder = os.open(PRELOAD, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "-C", str(PRELOAD), *targets], check=True)
    finally:
        os.close(folder)

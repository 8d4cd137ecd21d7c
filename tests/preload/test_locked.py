"""Ordinary memory that must be locked (``--require locked``): what is, and where that ends."""

import pytest

from tests.preload.launch import Launcher, is_told
from tests.preload.test_children import PYTHON

ASK = """\
import ctypes, os, resource, sys
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
def locked():
    status = open('/proc/self/status').read()
    return int(status.split('VmLck:')[1].split()[0]) > 0
def in_child(what):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        what()
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def ask():
    print(libc.getenv(b'DB_PASSWORD').decode(), locked())
"""


@pytest.mark.parametrize(("rung", "is_locked"), [("locked", True), ("any", False)])
def test_child_of_fork_locks_its_copy_when_it_asks(launcher: Launcher, rung: str, *, is_locked: bool) -> None:
    # A child inherits the copy, and not the lock (mlock(2)).
    code = ASK + "print(locked()); in_child(lambda: (print(locked()), ask(), in_child(ask)))"
    result = launcher.run([PYTHON, "-c", code], rung=rung)

    assert result.stdout.decode().splitlines() == ["True", "False", f"s3cret {is_locked}", f"s3cret {is_locked}"]
    assert result.stderr == b""


def test_child_that_cannot_lock_it_ends(launcher: Launcher) -> None:
    poor = "os.setresuid(65534, 65534, 65534) if os.geteuid() == 0 else None"
    lower = f"resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0)), {poor}, ask()"
    result = launcher.run([PYTHON, "-c", f"{ASK}sys.exit(in_child(lambda: ({lower})))"], rung="locked")

    is_told(result, "region", "mlock in a child of fork: ")

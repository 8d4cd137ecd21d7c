"""The first step of a worker: it closes itself to others of its user before it imports or holds anything.

An exec opens a process to them, and what a worker runs takes a second to import. So this module imports next to
nothing, and what a worker needs comes by a pipe, once it has asked for that: some of it is secret.
"""

import signal
from multiprocessing.connection import Connection

from strongroom.linux.process import keep_memory_private


def begin(pipe: Connection) -> None:
    """Be a worker; what its process runs.

    Args:
        pipe: by which its parent tells what to call, and with what beside the pipe.
    """
    keep_memory_private()
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's go to the whole group; the parent passes them on
        signal.signal(number, signal.SIG_IGN)
    try:
        pipe.send("closed")
        work, arguments = pipe.recv()
    except (EOFError, OSError):
        return  # the parent is gone
    work(pipe, *arguments)

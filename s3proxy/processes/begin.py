"""The first step of a worker: it closes itself to others of its user before it imports or holds anything.

An exec opens a process to them, and what a worker runs takes a second to import. So this module imports next to
nothing, and what a worker needs comes by a socket, once it has asked for that: some of it is secret. Nothing else tells
it what to do. A pipe, as ``multiprocessing`` has for that, could be opened by others in ``/proc/PID/fd``, whatever Yama
says, and what they write into it would be unpickled.
"""

import signal
import sys

from strongroom.linux.process import keep_memory_private

COMMAND = "import sys; sys.path[:] = sys.argv[2:]; from s3proxy.processes.begin import begin; begin()"
"""What the interpreter of a worker runs. Its arguments: the number of the socket, and where modules are looked for."""


def begin() -> None:
    """Be a worker; what its process runs."""
    keep_memory_private()
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's go to the whole group; the parent passes them on
        signal.signal(number, signal.SIG_IGN)
    from multiprocessing.connection import Connection  # noqa: PLC0415 - importing it takes as long as all before it

    pipe = Connection(int(sys.argv[1]))
    try:
        pipe.send("closed")
        work, arguments = pipe.recv()
    except (EOFError, OSError):
        return  # the parent is gone
    work(pipe, *arguments)

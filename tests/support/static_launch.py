"""The end of a launch without its beginning: no bridge, no certificates, one secret, and the application.

``python -m tests.support.static_launch [--nobody] NAME=VALUE -- COMMAND [ARG...]`` says ``starting`` on stdout and
becomes COMMAND as ``wrapper.main`` would. Starts in half the time of a whole launch, and needs no files that only some
users can read.
"""

import os
import sys
from types import SimpleNamespace
from typing import Any

from strongroom.errors import StrongroomError
from strongroom.region import encode
from wrapper import libc
from wrapper.bootstrap import start_tracer
from wrapper.handoff import become, end_on_signal, harden
from wrapper.main import report
from wrapper.memory import SecretMemory
from wrapper.program import find_program

_PR_SET_DUMPABLE = 4


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(65_534)
    os.setuid(65_534)
    libc._libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # as it is for a process that was started as this user


def launch(secret: str, command: list[str]) -> None:
    end_on_signal()
    tracer = start_tracer()
    program = find_program(command, os.environ)
    tracer.wait_attached()
    libc.set_not_dumpable()
    harden()
    memory = SecretMemory("memfd-secret")
    name, _, value = secret.partition("=")
    image = encode([(name, value.encode())])
    memory.allocate(len(image))[:] = image
    settings: Any = SimpleNamespace(children="deny", require="memfd-secret")
    held = tracer.instruct(memory, settings)
    os.write(1, b"starting\n")
    become(program, {"PATH": os.environ["PATH"], name: ""}, held)


def main(words: list[str]) -> int:
    if words[0] == "--nobody":
        words = words[1:]
        _become_nobody()
    split = words.index("--")
    try:
        launch(words[0], words[split + 1 :])
    except StrongroomError as error:
        return report(error)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The end of a launch without its beginning: no bridge, no certificates, one secret, and the application.

``python -m tests.wrapper.static_launch [--OPTION] NAME=VALUE -- COMMAND [ARG...]`` says ``starting`` on stdout and
becomes COMMAND as ``wrapper.launch`` would. Starts in half the time of a whole launch, and needs no files that only
some users can read.

    --nobody          as uid 65534
    --no-placeholder  the environment lacks the variable
    --no-descriptor   the memory's descriptor is lost at exec
"""

import os
import sys
from types import SimpleNamespace
from typing import Any

import wrapper.static.tracer  # noqa: F401 - nobody may not read Python's own modules, as whom a launch begins can
from strongroom import linux
from strongroom.errors import StrongroomError
from strongroom.launch.region import encode
from wrapper.exec import become, harden
from wrapper.exit_status import report
from wrapper.memory import SecretMemory
from wrapper.program import find_program
from wrapper.signals import Guard
from wrapper.static.start import start_tracer


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(65_534)
    os.setuid(65_534)
    linux.set_dumpable()  # as it is for a process that was started as this user


def launch(option: str, secret: str, command: list[str]) -> None:
    guard = Guard()
    tracer = start_tracer()
    program = find_program(command, os.environ)
    tracer.wait_attached()
    linux.set_not_dumpable()
    settings: Any = SimpleNamespace(children="deny", require="memfd-secret", dumpable=False, new_privileges=False)
    harden(settings)
    memory = SecretMemory("memfd-secret")
    name, _, value = secret.partition("=")
    image = encode([(name, value.encode())])
    memory.allocate(len(image))[:] = image
    held = tracer.instruct(memory, settings)
    if option == "--no-descriptor":
        os.set_inheritable(memory._descriptor, False)
    os.write(1, b"starting\n")
    become(program, {} if option == "--no-placeholder" else {name: ""}, guard, held)


def main(words: list[str]) -> int:
    option = words.pop(0) if words[0].startswith("--") else ""
    if option == "--nobody":
        _become_nobody()
    split = words.index("--")
    try:
        launch(option, words[0], words[split + 1 :])
    except StrongroomError as error:
        return report(error)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

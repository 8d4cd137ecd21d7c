"""Tries things out in a child process, where they may fail, change the process or even end it."""

import json
import os
import signal
from collections.abc import Callable
from typing import NoReturn

_CHUNK_BYTES = 65_536


class KilledError(Exception):
    """The child was ended by a signal.

    Attributes:
        signal: its name, for example SIGSYS, with which seccomp profiles end programs.
    """

    def __init__(self, number: int) -> None:
        """Take the number of the signal."""
        self.signal = signal.Signals(number).name
        super().__init__(f"ended by {self.signal}")


def in_child(function: Callable[[], object]) -> object:
    """Call a function in a child and return what it returned there.

    Args:
        function: its result must be expressible in JSON, and becomes what JSON makes of it.

    Raises:
        OSError: the function raised it.
        KilledError: the child was ended by a signal.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _report(function, write)
    os.close(write)
    try:
        answer = _read_all(read)
    finally:
        os.close(read)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise KilledError(os.WTERMSIG(status))
    document = json.loads(answer)
    if "errno" in document:
        raise OSError(document["errno"], os.strerror(document["errno"]))
    if "error" in document:
        raise RuntimeError(document["error"])
    result: object = document["result"]
    return result


def _report(function: Callable[[], object], write: int) -> NoReturn:
    try:
        try:
            answer: dict[str, object] = {"result": function()}
        except OSError as error:
            answer = {"errno": error.errno or 0}
        except Exception as error:  # noqa: BLE001 - it is raised again by the parent
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(write, json.dumps(answer).encode())
    finally:
        os._exit(0)


def _read_all(descriptor: int) -> bytes:
    answer = b""
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        answer += chunk
    return answer

"""Starts a program, reads what it says it read, and looks at what the rest of the machine can see of it."""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import PeerError

ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Observation:
    """What was seen of one running program.

    Attributes:
        said: the variables it printed.
        launch_ms: from starting it to its last line.
        environ: what ``/proc/PID/environ`` holds, or None when even reading it is refused.
        memory_readable: whether ``/proc/PID/mem`` gives up one byte of its secret memory; None when it has none.
        stderr: what it, or the wrapper before it, printed on stderr.
    """

    said: Mapping[str, str]
    launch_ms: float
    environ: bytes | None
    memory_readable: bool | None
    stderr: str


@contextlib.contextmanager
def running(command: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; then its stdin closes and it must end by itself."""
    with subprocess.Popen(
        command, env=dict(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def observe(command: list[str], environ: Mapping[str, str], names: list[str]) -> Observation:
    """Start a program that prints ``NAME=VALUE`` for each of ``names`` and then waits for the end of its stdin.

    Raises:
        PeerError: it ended, or said nothing in time; the message has what it printed on stderr.
    """
    started = time.perf_counter()
    with running(command, environ) as process:
        said = _read_answers(process, names)
        launch_ms = (time.perf_counter() - started) * 1000
        seen = _read_environ(process.pid)
        readable = _secret_memory_readable(process.pid)
        assert process.stdin is not None  # noqa: S101 - pipes, as made above
        assert process.stderr is not None  # noqa: S101
        process.stdin.close()
        stderr = process.stderr.read().decode(errors="replace")
    return Observation(said, launch_ms, seen, readable, stderr)


def launch_ms(command: list[str], environ: Mapping[str, str], names: list[str]) -> float:
    """Return how long it takes from starting a program to its last line, in ms."""
    started = time.perf_counter()
    with running(command, environ) as process:
        _read_answers(process, names)
        return (time.perf_counter() - started) * 1000


def _read_answers(process: subprocess.Popen[bytes], names: list[str]) -> dict[str, str]:
    assert process.stdout is not None  # noqa: S101 - pipes, as made above
    assert process.stderr is not None  # noqa: S101
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    text = b""
    while text.count(b"\n") < len(names):
        readable, _, _ = select.select([process.stdout], [], [], max(deadline - time.monotonic(), 0))
        chunk = os.read(process.stdout.fileno(), 65_536) if readable else b""
        if not chunk:
            process.kill()
            stderr = process.stderr.read().decode(errors="replace").strip()
            msg = f"{process.args!r} said nothing: {stderr or 'no message'}"
            raise PeerError(msg, hint="the lines of the program, above, say why")
        text += chunk
    pairs = (line.partition("=") for line in text.decode().splitlines())
    return {name: value for name, _, value in pairs if name in names}


def _read_environ(pid: int) -> bytes | None:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:
        return None


def _secret_memory_readable(pid: int) -> bool | None:
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="ascii", errors="replace")
    except PermissionError:
        return False
    addresses = [int(line.partition("-")[0], 16) for line in maps.splitlines() if "secretmem" in line]
    if not addresses:
        return None
    for address in addresses:
        try:
            with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
                memory.seek(address)
                if memory.read(1):
                    return True
        except OSError:
            continue
    return False

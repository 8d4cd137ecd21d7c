"""Counts the calls that the interpreter makes for a request or a launch: what the drift gate can hold on any machine.

Times of shared machines cannot be compared between runs, and calls can: code that does more for each request makes more
of them, in Python or into C. What takes longer within the same calls is seen by the ratios of processor time instead.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.launchers import Launcher
from bench.payload import Payload
from bench.s3_load import Connection, Endpoint, Request
from bench.s3_targets import Target
from bench.shapes import Client
from bench.suite import ROOT, FailedError, Run
from devstack.s3proxy import ProxyProcess, S3Store

CLIENTS: Final[tuple[Client, ...]] = ("boto3", "javascript")
NOISE: Final = 0.1  # versions of the interpreter and of libraries differ by less
START: Final = Path(sys.executable).with_name("strongroom-start")
_COUNTED: Final = str(ROOT / "bench" / "counted.py")
_BATCH: Final = 50
_BATCHES: Final = 3
_TIMEOUT_S: Final = 120
_POLL_S: Final = 0.005


class CountedProxy(ProxyProcess):
    """A proxy of one process whose calls are counted."""

    def __init__(self, directory: Path, store: S3Store, tree: Path = ROOT) -> None:
        """Start it.

        Args:
            directory: for its files.
            store: behind it.
            tree: that holds the packages; ours, or a copy of them.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._counts = directory / "calls.txt"
        self._tree = tree
        super().__init__(directory, store)

    def calls(self) -> int:
        """Return how many it has made since it was started.

        Raises:
            FailedError: it does not tell.
        """
        before = self._lines()
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + _TIMEOUT_S
        while len(lines := self._lines()) == len(before) or not lines[-1].endswith("\n"):
            if time.monotonic() > deadline or not self.running:
                raise FailedError("the proxy does not tell how many calls it has made")
            time.sleep(_POLL_S)
        return int(lines[-1])

    def _lines(self) -> list[str]:
        return self._counts.read_text().splitlines(keepends=True) if self._counts.exists() else []

    def _spawn(
        self,
        command: Sequence[str | Path],
        environ: Mapping[str, str] | None = None,
        *,
        pass_fds: Sequence[int] = (),
        cwd: Path | None = None,
    ) -> None:
        del cwd
        interpreter, *words = command
        counted = [interpreter, _COUNTED, str(self._counts), *words]
        super()._spawn(counted, environ, pass_fds=pass_fds, cwd=self._tree)


def count_requests(run: Run, store: S3Store, *, suite: str, tree: Path = ROOT) -> None:
    """Claim the calls of the proxy for a PUT and for a GET of 1 KiB, as boto3 and as the JavaScript SDK send them."""
    with CountedProxy(run.directory / "counted", store, tree) as proxy, contextlib.closing(Payload(1 << 10)) as payload:
        bucket = f"counted-{secrets.token_hex(4)}"
        target = Target(Endpoint(proxy.url, proxy.access_key, proxy.secret_key), proxy.pid, bucket=bucket)
        with Connection(target.url) as connection:
            connection.fetch(target.requests.make_bucket())
            for client in CLIENTS:
                keys = [f"some of {client}/{number}" for number in range(_BATCH)]
                for way, requests in (
                    ("PUT", [target.put(client, key, payload) for key in keys]),
                    ("GET", [target.get(client, key) for key in keys]),
                ):
                    counts = [_calls(proxy, connection, requests) for _ in range(1 + _BATCHES)]
                    # The least: timers and pieces that a busy machine tears apart are not the request's.
                    run.count(f"{suite}/{client} {way}/1 KiB/calls", min(counts[1:]), "calls", noise=NOISE)


def _calls(proxy: CountedProxy, connection: Connection, requests: Sequence[Request]) -> float:
    """Return how many calls each of these requests takes."""
    before = proxy.calls()
    for request in requests:
        connection.timed(request)
    return (proxy.calls() - before) / len(requests)


def count_launch(launcher: Launcher, directory: Path, *, start: Path = START) -> int:
    """Return the calls of a launch, from the first line of our own to exec.

    Args:
        launcher: of ``strongroom``.
        directory: for the count.
        start: the script that the installed command starts.

    Raises:
        FailedError: the program was not started.
    """
    file, first = directory / "calls.txt", directory / "counted-first.txt"
    command = [sys.executable, "-IS", _COUNTED, str(file), str(start), *launcher.command[1:]]
    counts = []
    for _ in range(_BATCHES):  # the first may have to write bytecode
        file.unlink(missing_ok=True)
        done = subprocess.run(
            command,
            env={**launcher.environ, "BENCH_FIRST": str(first)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode or not file.exists():
            said = os.fsdecode(done.stderr).strip().splitlines()[-1:] or ["nothing said"]
            raise FailedError(f"a launch whose calls are counted ended with {done.returncode}: {said[0]}")
        counts.append(int(file.read_text()))
    return min(counts)

"""One of several processes of a proxy: its process, as the parent sees it, and what runs in it.

A worker is started afresh, so it shares no memory with its parent. It listens on the same port as the others
(SO_REUSEPORT), and ends when its parent does, however that ends.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from s3proxy.app import make_server
from s3proxy.keys.shared_names import SharedNames
from s3proxy.processes.begin import COMMAND
from s3proxy.settings import ProxySettings
from strongroom.errors import ConfigError
from strongroom.service.following import KeptFiles
from strongroom.service.logs import configure_logging
from strongroom.service.server import serve


@dataclass(frozen=True)
class Started:
    """What a worker tells its parent once: where its health port is, or why it cannot start."""

    health_address: str = ""
    complaint: str = ""
    hint: str = ""


Kept = dict[str, bytes]
"""What the files of a worker held of which it has made what is in force; see ``strongroom.service.following``."""


class Worker:
    """A worker as its parent sees it.

    Attributes:
        number: of its place, from 1; a successor has the same.
        health_address: where it tells its state; "" until it listens.
    """

    def __init__(
        self,
        settings: ProxySettings,
        number: int,
        *,
        shared: Path,
        kept: Kept | None = None,
        on_kept: Callable[[Kept], None] = lambda _: None,
    ) -> None:
        """Start it. Needs a running event loop.

        Args:
            settings: of the proxy.
            number: of its place.
            shared: private directory in which workers tell each other which keys they use.
            kept: what is in force in the others.
            on_kept: told what this one has in force, whenever that changes.
        """
        self.number = number
        self.health_address = ""
        self._on_kept = on_kept
        self._pipe, theirs = multiprocessing.Pipe()  # a pair of sockets
        with theirs:
            command = [sys.executable, "-I", "-c", COMMAND, str(theirs.fileno()), *sys.path]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        self._end = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[Started] = self._loop.create_future()
        # A thread, because a worker that is stopped in the middle of a message must not hold its parent up.
        arguments = settings, dict(kept or {}), SharedNames(shared, number)
        threading.Thread(target=self._converse, args=(arguments,), name=f"s3proxy-{number}-pipe", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How it ended, None while it runs; a negative number is a signal."""
        return self._process.poll()

    async def listening(self) -> None:
        """Wait until it listens.

        Raises:
            ConfigError: it cannot start.
        """
        started = await asyncio.shield(self._started)
        if started.complaint:
            raise ConfigError(started.complaint, hint=started.hint)
        self.health_address = started.health_address

    async def ended(self) -> None:
        """Wait for its end."""
        await self._end.wait()

    def terminate(self) -> None:
        """Ask it to finish what it is doing, and to end."""
        self._process.terminate()

    def reload(self) -> None:
        """Ask it to read its files anew and to open its logs again; one that does not listen yet does so anyway."""
        if self.health_address:
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it at once. Its end is not waited for: what hangs in the kernel takes its time."""
        self._process.kill()

    def wait_killed(self, within_s: float) -> None:
        """Wait for its end after ``kill``, for a while."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)

    def _converse(self, arguments: tuple[ProxySettings, Kept, SharedNames]) -> None:
        """Tell the worker what to do when it asks, and hand on what it tells until it has ended."""
        with self._pipe, contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any longer
            try:
                self._pipe.recv()
                self._pipe.send((run_worker, arguments))
                while True:
                    self._loop.call_soon_threadsafe(self._note, self._pipe.recv())
            except Exception:  # noqa: BLE001 - it has ended, or is of another version and ends when the pipe does
                end = Started(complaint=f"process {self.number} ended before it listened", hint="see the log above")
                self._loop.call_soon_threadsafe(self._note, end)
                self._pipe.close()
            self._process.wait()
            self._loop.call_soon_threadsafe(self._end.set)

    def _note(self, told: Started | Kept) -> None:
        if isinstance(told, dict):
            self._on_kept(told)
        elif not self._started.done():
            self._started.set_result(told)


def run_worker(pipe: Connection, settings: ProxySettings, kept: Kept, shared: SharedNames) -> None:
    """Be a worker that has begun."""
    configure_logging("s3proxy", level=settings.server.log_level)

    def tell(told: Started | Kept) -> None:
        with contextlib.suppress(OSError):  # the parent is gone, and this process ends with it
            pipe.send(told)

    try:
        asyncio.run(
            serve(
                lambda: make_server(settings, kept=KeptFiles(kept, changed=tell), shared=shared),
                on_listening=lambda addresses: tell(Started(health_address=addresses["health"][0])),
                ends_with=pipe.fileno(),  # the parent says no more; it can be read from when that is gone
            )
        )
    except ConfigError as error:
        tell(Started(complaint=error.message, hint=error.hint))
        sys.exit(os.EX_CONFIG)

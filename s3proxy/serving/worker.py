"""One of several processes of a proxy: its process, as the parent sees it, and what runs in it.

A worker is started afresh (``spawn``), so it shares no memory with its parent. It listens on the same port as the
others (SO_REUSEPORT), and ends when its parent does, however that ends.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection

from s3proxy.serving.process import run_proxy
from s3proxy.settings import ProxySettings
from strongroom.errors import ConfigError
from strongroom.linux.process import keep_memory_private
from strongroom.logs import configure_logging

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Started:
    """What a worker tells its parent once: where its health port is, or why it cannot start."""

    health_address: str = ""
    complaint: str = ""
    hint: str = ""


class Worker:
    """A worker as its parent sees it.

    Attributes:
        number: of its place, from 1; a successor has the same.
        health_address: where it tells its state; "" until it listens.
    """

    def __init__(self, settings: ProxySettings, number: int) -> None:
        """Start it. Needs a running event loop."""
        self.number = number
        self.health_address = ""
        self._pipe, theirs = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(target=run_worker, args=(settings, theirs), name=f"s3proxy-{number}")
        self._process.start()
        theirs.close()
        self._end = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._process.sentinel, self._note_end)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid or 0

    @property
    def exit_status(self) -> int | None:
        """How it ended, None while it runs; a negative number is a signal."""
        return self._process.exitcode

    async def listening(self) -> None:
        """Wait until it listens.

        Raises:
            ConfigError: it cannot start.
        """
        await _readable(self._pipe.fileno())
        try:
            started: Started = self._pipe.recv()
        except EOFError:
            started = Started(complaint=f"process {self.number} ended before it listened", hint="see the log above")
        finally:
            self._pipe.close()
        if started.complaint:
            raise ConfigError(started.complaint, hint=started.hint)
        self.health_address = started.health_address

    async def ended(self) -> None:
        """Wait for its end."""
        await self._end.wait()

    def terminate(self) -> None:
        """Ask it to finish what it is doing, and to end."""
        if self._process.is_alive():
            self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._note_end()

    def _note_end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._process.join()
        self._end.set()


def run_worker(settings: ProxySettings, pipe: Connection) -> None:
    """Be a worker; what its process runs."""
    keep_memory_private()  # anew, because an exec has taken it back
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent passes it on
    configure_logging("s3proxy", level=settings.log_level.value)
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - a worker is started by one

    def tell(addresses: dict[str, list[str]]) -> None:
        pipe.send(Started(health_address=addresses["health"][0]))
        pipe.close()

    try:
        asyncio.run(run_proxy(settings, on_listening=tell, ends_with=parent.sentinel))
    except ConfigError as error:
        pipe.send(Started(complaint=error.message, hint=error.hint))
        sys.exit(os.EX_CONFIG)


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(fd)

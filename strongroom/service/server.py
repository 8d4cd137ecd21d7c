"""A server: opens its ports, does its work beside the requests, drains and closes, in this order.

A component makes its parts and fronts and hands them to a ``Server``; ``serve`` runs that until a signal. What a signal
means, what readiness says while a server drains, and how a parent process or systemd hears of it is the same for all.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from strongroom.errors import ConfigError
from strongroom.service.front import Front, HttpFront
from strongroom.service.health import Health
from strongroom.service.lifecycle import Notifier, end_at_signals, reloading_at_sighup, repeat, report_loop_error
from strongroom.service.listening import LISTEN, Port, parse_listen, tell_parent
from strongroom.service.logs import LogLevel, log_event
from strongroom.service.settings import REQUIRED, seconds, setting

_log = logging.getLogger(__name__)
Work = Callable[[], Awaitable[None]]
Addresses = dict[str, list[str]]
"""What a server listens on, by the names of its ports."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The settings that every server has."""

    listen: str = setting(REQUIRED, "where to serve", LISTEN, "no HOST is every address; port 0 takes a free one")
    health_listen: str = setting(
        ":8080",
        "where to serve /metrics, /healthz and /readyz, plain HTTP",
        LISTEN,
        "the same port on every service of Strongroom",
    )
    keepalive_timeout_s: float = seconds(15.0, "close a connection without requests after", last=True)
    drain_timeout_s: float = seconds(
        20.0, "at SIGTERM, wait for requests in flight", "below the 30 s of Kubernetes", minimum=0, last=True
    )
    reload_interval_s: float = seconds(1.0, "look for changes of files", "a handful of stat calls", last=True)
    ready_fd: int = setting(
        -1,
        "inherited descriptor that gets the `listening` event as one JSON line and is closed",
        "descriptor",
        "-1 is none",
        minimum=-1,
        last=True,
    )
    log_level: LogLevel = setting(
        LogLevel.INFO, "how much to log to stderr", "debug, info, warning or error", last=True
    )

    def __post_init__(self) -> None:
        """Check the addresses.

        Raises:
            ConfigError: one is malformed.
        """
        for name in ("listen", "health_listen"):
            parse_listen(getattr(self, name), name)


async def _nothing() -> None:
    return


class Server:
    """One server: ``start``, then ``drain`` or ``close``. ``serve`` does both."""

    def __init__(  # noqa: PLR0913 - the parts of a server
        self,
        settings: ServerSettings,
        *,
        fronts: Sequence[Front],
        health: Health,
        before: Work = _nothing,
        care: Sequence[Work] = (),
        reload: Work = _nothing,
        close: Sequence[Work] = (),
        share_port: bool = False,
    ) -> None:
        """Take the parts; nothing is listening yet. Needs a running event loop.

        Args:
            settings: of the server.
            fronts: what it serves.
            health: what it tells of itself, on a port of its own.
            before: done before any port is open.
            care: repeated every ``reload_interval_s``, each by itself, so that none waits for another.
            reload: done at SIGHUP; never fails.
            close: done at the end, one after the other, when no port is open any longer.
            share_port: whether other processes listen on the same port for health.
        """
        self._settings = settings
        self._fronts = tuple(fronts)
        self._health = health
        port = Port(name="health", address=settings.health_listen, setting="health_listen", share_port=share_port)
        self._health_front = HttpFront(port, health.application(), keepalive_timeout=settings.keepalive_timeout_s)
        self._before = before
        self._work = tuple(care)
        self.reload = reload
        self._close = tuple(close)
        self._care: list[asyncio.Task[None]] = []

    async def start(self) -> Addresses:
        """Open the ports and return their addresses.

        Raises:
            ConfigError: an address cannot be listened on.
        """
        settings = self._settings
        await self._before()
        health = await self._health_front.open()
        addresses = {front.name: await front.open() for front in self._fronts} | {"health": health}
        self._care = [asyncio.create_task(repeat(work, interval_s=settings.reload_interval_s)) for work in self._work]
        fields = {name: ",".join(values) for name, values in addresses.items()}
        log_event(_log, logging.INFO, "listening", fields | {"pid": os.getpid()})
        if settings.ready_fd >= 0:
            tell_parent(settings.ready_fd, fields)
        return addresses

    async def drain(self) -> None:
        """Turn unready, accept no more, finish the requests in flight within the drain timeout, close everything."""
        self._health.draining = True
        for front in self._fronts:
            front.stop_accepting()
        await asyncio.gather(*(front.drain(self._settings.drain_timeout_s) for front in self._fronts))
        await self.close()

    async def close(self) -> None:
        """Close everything at once."""
        for task in self._care:
            task.cancel()
        await asyncio.gather(*self._care, return_exceptions=True)
        for front in (*self._fronts, self._health_front):
            await front.close()
        for close in self._close:
            await close()
        log_event(_log, logging.INFO, "stopped")


async def serve(
    make: Callable[[], Server],
    *,
    systemd: Notifier | None = None,
    on_listening: Callable[[Addresses], None] = lambda _: None,
    ends_with: int | None = None,
) -> None:
    """Run a server until SIGTERM or SIGINT, then drain it. SIGHUP reloads it meanwhile.

    Args:
        make: makes the server, in the event loop that it runs in.
        systemd: is told of this process, unless it is one of several.
        on_listening: told the addresses of all ports.
        ends_with: a descriptor; when it can be read from, that asks to end, too.

    Raises:
        ConfigError: a setting or a file that it names is wrong.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(report_loop_error)
    stop = asyncio.Event()
    end_at_signals(stop)
    if ends_with is not None:
        loop.add_reader(ends_with, stop.set)
    server = make()
    with reloading_at_sighup(server.reload, systemd):
        try:
            on_listening(await server.start())
        except ConfigError:
            await server.close()
            raise
        async with systemd.serving() if systemd else contextlib.nullcontext():
            await stop.wait()
    if ends_with is not None:
        loop.remove_reader(ends_with)
    await server.drain()

"""A service from its start to its end: what signals ask for, what systemd is told, what is repeated meanwhile.

SIGTERM and SIGINT end it, SIGHUP has it read its files and open its logs again. systemd is told that it is ready, reads
its files anew, lives, ends (sd_notify(3)), unless nobody has asked for that (``NOTIFY_SOCKET`` is not set). The
variables are taken out of the environment, so that worker processes and other children do not speak for the service.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping

from strongroom.errors import ConfigError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
_TIMEOUT_S = 1.0  # systemd reads at once, or not at all
_MICROSECONDS = 1_000_000


class Notifier:
    """Tells systemd. What cannot be told is logged, and no reason to stop."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take the address and the interval out of an environment."""
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        for_pid = environ.pop("WATCHDOG_PID", "")
        interval_us = environ.pop("WATCHDOG_USEC", "")
        is_watched = interval_us.isascii() and interval_us.isdigit() and for_pid in {"", str(os.getpid())}
        # Half of the time, as sd_watchdog_enabled(3) advises.
        self._interval_s = int(interval_us) / _MICROSECONDS / 2 if is_watched else 0.0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Tell that the service is ready, that it lives for as long as the block lasts, and then that it ends."""
        self._tell("READY=1")
        alive = asyncio.create_task(self._tell_alive())
        try:
            yield
        finally:
            self._tell("STOPPING=1")
            alive.cancel()

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell that files are read anew for as long as the block lasts."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            yield
        finally:
            self._tell("READY=1")

    async def _tell_alive(self) -> None:
        """Tell that the event loop turns, which is what systemd's watchdog is to know."""
        while self._address and self._interval_s:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._interval_s)

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
                one.settimeout(_TIMEOUT_S)
                one.sendto(message.encode(), self._address)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            log_event(_log, logging.WARNING, "systemd_not_told", {"message": message, "reason": reason})


def end_at_signals(stop: asyncio.Event) -> None:
    """Set an event when the service is asked to end. Needs a running event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


@contextlib.contextmanager
def reloading_at_sighup(reload: Callable[[], Awaitable[None]], systemd: Notifier | None) -> Iterator[None]:
    """Have SIGHUP reload a service for as long as the block lasts; afterwards it is ignored, as the service ends.

    Args:
        reload: what it asks for; never fails.
        systemd: is told, unless the process is one of several.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def work() -> None:
        with systemd.reloading() if systemd else contextlib.nullcontext():
            await reload()

    def begin() -> None:
        task = loop.create_task(work())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def repeat(work: Callable[[], Awaitable[None]], *, interval_s: float) -> None:
    """Do something again and again until cancelled; what it raises is logged, and no reason to stop."""
    while True:
        try:
            await work()
        except ConfigError as error:
            log_event(_log, logging.ERROR, "reload_failed", {"reason": error.message, "hint": error.hint})
        except Exception as error:  # noqa: BLE001 - a service must go on looking after itself
            log_event(_log, logging.ERROR, "care_failed", error=error)
        await asyncio.sleep(interval_s)


def report_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log what went wrong in a callback, without the texts that asyncio builds from objects; an exception handler."""
    error = context.get("exception")
    # A caller that aborts its TLS handshake is not an event of ours; there is one for each port scan.
    level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
    log_event(_log, level, "loop_error", error=error if isinstance(error, BaseException) else None)

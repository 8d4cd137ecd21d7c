"""What systemd is told of a service: that it is ready, reads its files anew, lives, ends (sd_notify(3)).

Where nobody has asked for it (``NOTIFY_SOCKET`` is not set) nothing is told. The variables are taken out of the
environment, so that worker processes and other children do not speak for the service.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, MutableMapping

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

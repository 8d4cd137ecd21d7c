"""What signals ask a service for: SIGTERM and SIGINT to end, SIGHUP to read its files and open its logs again."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator

from strongroom.service.notify import Notifier


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

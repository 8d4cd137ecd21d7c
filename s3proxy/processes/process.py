"""A proxy in one process, running until a signal."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable

from s3proxy.app import Proxy
from s3proxy.keys.shared_names import SharedNames
from s3proxy.settings import ProxySettings
from strongroom.errors import ConfigError
from strongroom.service.kept_files import KeptFiles
from strongroom.service.notify import Notifier
from strongroom.service.reloading import reloading_at_sighup
from strongroom.service.upkeep import report_loop_error

_GC_THRESHOLDS = 10_000, 20, 20  # a request makes some hundred objects and hardly a cycle


async def run_proxy(  # noqa: PLR0913 - what a process may be given
    settings: ProxySettings,
    *,
    on_listening: Callable[[dict[str, list[str]]], None] = lambda _: None,
    ends_with: int | None = None,
    kept: KeptFiles | None = None,
    shared: SharedNames | None = None,
    systemd: Notifier | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: of the proxy.
        on_listening: told the addresses of both ports.
        ends_with: a descriptor; when it can be read from, that is a signal to end, too.
        kept: what was in force in the process that this one replaces.
        shared: which bucket keys the other processes of this proxy use.
        systemd: is told of this process, unless it is one of several.

    Raises:
        ConfigError: a setting or a file that it names is wrong.
    """
    _collect_seldom()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(report_loop_error)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if ends_with is not None:
        loop.add_reader(ends_with, stop.set)
    proxy = Proxy(settings, kept=kept, shared=shared)
    with reloading_at_sighup(proxy.reload, systemd):
        try:
            on_listening(await proxy.start())
        except ConfigError:
            await proxy.close()
            raise
        async with systemd.serving() if systemd else contextlib.nullcontext():
            await stop.wait()
    if ends_with is not None:
        loop.remove_reader(ends_with)
    await proxy.drain()


def _collect_seldom() -> None:
    """Have the cycle collector leave alone what was imported, and look at the rest less often: 6 % of a small GET."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)

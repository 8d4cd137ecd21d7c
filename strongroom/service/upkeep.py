"""What a service does beside its requests: work that is repeated for as long as it runs, and mistakes in callbacks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from strongroom.errors import ConfigError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)


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

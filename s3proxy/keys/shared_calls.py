"""One call for all who ask for the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from strongroom.errors import UnavailableError

T = TypeVar("T")


class SharedCalls:
    """The calls that are under way."""

    def __init__(self, wait_s: float) -> None:
        """Take how long somebody waits for one; the work goes on for those who ask later."""
        self._wait_s = wait_s
        self._calls: dict[object, asyncio.Task[Any]] = {}

    async def share(self, name: object, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Do the work once for all who ask for it now; one who goes away does not take it from the others.

        Raises:
            UnavailableError: it takes too long.
            Exception: what the work raises.
        """
        task: asyncio.Task[T] | None = self._calls.get(name)
        if task is None:
            task = asyncio.create_task(work())
            self._calls[name] = task
            task.add_done_callback(lambda done: self._end(name, done))
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(task)
        except TimeoutError:
            if task.done() and not task.cancelled():
                raise
            msg = f"no bucket key within {self._wait_s:g} s"
            raise UnavailableError(msg, hint="KMS or keyring is slow; see their own log") from None

    def _end(self, name: object, done: "asyncio.Task[Any]") -> None:
        del self._calls[name]
        if not done.cancelled():
            done.exception()  # whoever still waits gets it; if nobody does, it is no event

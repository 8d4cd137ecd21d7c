"""One call for all who ask for the same thing at the same time.

A caller that goes away does not take the call with it, because others may be waiting for it. Nothing is kept once it
has ended.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

from strongroom.errors import UnavailableError

T = TypeVar("T")


class SingleFlight:
    """The calls in flight."""

    def __init__(self, wait_s: float, late: tuple[str, str], *, on_shared: Callable[[], None] = lambda: None) -> None:
        """Start without calls.

        Args:
            wait_s: how long a caller waits; the call itself goes on for those who ask later.
            late: message and hint for callers that have waited for this long.
            on_shared: called when a caller joins a call of another one.
        """
        self._wait_s = wait_s
        self._late = late
        self._on_shared = on_shared
        self._calls: dict[Hashable, asyncio.Task[Any]] = {}

    def __contains__(self, name: Hashable) -> bool:
        """Return whether a call of this name is in flight."""
        return name in self._calls

    def __len__(self) -> int:
        """Return the number of calls in flight."""
        return len(self._calls)

    async def share(self, name: Hashable, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Do the work once for all who ask for it now.

        Raises:
            UnavailableError: it takes too long, or ends by a TimeoutError of its own.
            Exception: what the work raises.
        """
        task: asyncio.Task[T] | None = self._calls.get(name)
        if task is None:
            task = asyncio.create_task(work())
            self._calls[name] = task
            task.add_done_callback(lambda done: self._end(name, done))
        else:
            self._on_shared()
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(task)
        except TimeoutError:
            message, hint = self._late
            raise UnavailableError(message, hint=hint) from None

    def _end(self, name: Hashable, done: "asyncio.Task[Any]") -> None:
        del self._calls[name]
        if not done.cancelled():
            done.exception()  # so that asyncio does not complain when every caller has gone

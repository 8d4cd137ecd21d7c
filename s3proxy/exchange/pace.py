"""How slow a client may be: an idle time, a least rate for both directions, and deadlines for what is short.

Only the time that the proxy waits for the client counts: a client that the store holds up is not slow.
"""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from strongroom.service.draining import unsent_bytes

_AT_ONCE_BYTES: Final = 32 << 10  # asyncio has writers wait from 64 KiB on; the rest is for the head


@dataclass(frozen=True, kw_only=True)
class Patience:
    """With clients.

    Attributes:
        idle_s: without a byte.
        least_bytes_s: bytes a second that move in each interval.
        interval_s: that the least rate is taken over.
        short_s: for what is short as a whole: a document, or the fields of a form.
    """

    idle_s: float
    least_bytes_s: int
    interval_s: float
    short_s: float

    @property
    def least_bytes(self) -> float:
        """What moves in an interval at least."""
        return self.least_bytes_s * self.interval_s


class Sending:
    """Whether a client sends fast enough. Pure.

    Attributes:
        moved_bytes: in the present interval of waiting.
    """

    __slots__ = ("_idle_s", "_patience", "_waited_s", "moved_bytes")

    def __init__(self, patience: Patience) -> None:
        """Begin with the body."""
        self._patience = patience
        self._idle_s = 0.0
        self._waited_s = 0.0
        self.moved_bytes = 0

    def next_look_s(self) -> float:
        """Return for how long to wait before ``waited`` is to be told."""
        return max(0.0, min(self._patience.idle_s - self._idle_s, self._patience.interval_s - self._waited_s))

    def waited(self, seconds: float, moved_bytes: int) -> bool:
        """Note a wait and what came of it; return whether to go on."""
        self._idle_s = 0.0 if moved_bytes else self._idle_s + seconds
        self._waited_s += seconds
        self.moved_bytes += moved_bytes
        if self._idle_s >= self._patience.idle_s:
            return False
        if self._waited_s < self._patience.interval_s:
            return True
        fast_enough = self.moved_bytes >= self._patience.least_bytes
        self._waited_s, self.moved_bytes = 0.0, 0
        return fast_enough


class Taking:
    """Cuts a client off that does not take its answer fast enough; a context manager around all of the answer.

    It looks once an interval. A client is slow if it has not even taken what waited for it at the look before. What
    the connection takes at once is not looked after: nobody waits for its client.

    Attributes:
        is_cut: whether it was cut off.
    """

    __slots__ = (
        "_interval_s",
        "_least_bytes",
        "_loop",
        "_request",
        "_size_bytes",
        "_taken",
        "_timer",
        "_untaken",
        "is_cut",
    )

    def __init__(self, request: web.BaseRequest, patience: Patience, size_bytes: int | None = None) -> None:
        """Take whose answer it is, and how long its body is if all of it is there."""
        self._request = request
        self._size_bytes = size_bytes
        self._interval_s = min(patience.interval_s, patience.idle_s)
        self._least_bytes = max(1.0, patience.least_bytes_s * self._interval_s)
        self._loop = asyncio.get_running_loop()
        self._taken = self._untaken = 0
        self._timer: asyncio.TimerHandle | None = None
        self.is_cut = False

    def __enter__(self) -> Self:
        """Begin to look."""
        transport, size = self._request.transport, self._size_bytes
        if size is not None and transport is not None and size + unsent_bytes(transport) <= _AT_ONCE_BYTES:
            return self
        self._timer = self._loop.call_later(self._interval_s, self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        transport = self._request.transport
        if transport is None:
            return
        unsent = unsent_bytes(transport)
        taken = self._request.writer.output_size - unsent
        if self._untaken and taken - self._taken < min(self._untaken, self._least_bytes):
            self.is_cut = True
            transport.abort()
            return
        self._taken, self._untaken = taken, unsent
        self._timer = self._loop.call_later(self._interval_s, self._look)

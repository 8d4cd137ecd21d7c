"""How slow a client may be: an idle time, a least rate for both directions, and deadlines for what is short.

Only the time that the proxy waits for the client counts: a client that the store holds up is not slow.
"""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from strongroom.service.draining import unsent_bytes
from strongroom.service.settings import seconds, setting

_AT_ONCE_BYTES: Final = 32 << 10  # asyncio has writers wait from 64 KiB on; the rest is for the head


@dataclass(frozen=True, kw_only=True)
class Patience:
    """With clients; settings."""

    body_idle_timeout_s: float = seconds(
        60.0, "end a request whose client moves no byte for this long", "as S3 does", minimum=0.1
    )
    body_least_bytes_s: int = setting(
        1024,
        "end a request whose client sends its body, or takes its answer, more slowly than this",
        "bytes a second",
        "each slow transfer holds a connection to the store; only waits for the client count; 0 is no limit",
        minimum=0,
    )
    body_rate_interval_s: float = seconds(15.0, "take the least rate over", "networks pause for seconds", minimum=0.1)
    short_body_timeout_s: float = seconds(
        20.0,
        "wait for a whole document, and for the fields of a form until its file begins",
        "4 MiB at most",
        minimum=0.1,
    )

    @property
    def least_bytes(self) -> float:
        """What moves in an interval at least."""
        return self.body_least_bytes_s * self.body_rate_interval_s


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
        idle_s = self._patience.body_idle_timeout_s - self._idle_s
        return max(0.0, min(idle_s, self._patience.body_rate_interval_s - self._waited_s))

    def waited(self, seconds: float, moved_bytes: int) -> bool:
        """Note a wait and what came of it; return whether to go on."""
        self._idle_s = 0.0 if moved_bytes else self._idle_s + seconds
        self._waited_s += seconds
        self.moved_bytes += moved_bytes
        if self._idle_s >= self._patience.body_idle_timeout_s:
            return False
        if self._waited_s < self._patience.body_rate_interval_s:
            return True
        fast_enough = self.moved_bytes >= self._patience.least_bytes
        self._waited_s, self.moved_bytes = 0.0, 0
        return fast_enough


class Writer(Protocol):
    """What counts the bytes of an answer: aiohttp's writer, for one."""

    output_size: int


class Answered(Protocol):
    """A request that is being answered: aiohttp's, for one."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """Of its connection; None once that has ended."""

    @property
    def writer(self) -> Writer:
        """What counts the bytes that were written."""


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

    def __init__(self, request: Answered, patience: Patience, size_bytes: int | None = None) -> None:
        """Take whose answer it is, and how long its body is if all of it is there."""
        self._request = request
        self._size_bytes = size_bytes
        self._interval_s = min(patience.body_rate_interval_s, patience.body_idle_timeout_s)
        self._least_bytes = max(1.0, patience.body_least_bytes_s * self._interval_s)
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

"""A TCP relay that makes the way to a server as long as a network would.

Each piece arrives half a round trip after it was sent. The kernel's handshake on loopback takes no time, so what a
client sends first is held back by one more round trip, the one that connecting would have taken. It also notes when
pieces pass, which shows the phases of an exchange without touching the program that is measured. Bandwidth, loss and
slow start are not imitated.
"""

import asyncio
import itertools
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from bench.suite import FailedError

_BACKLOG = 1024


@dataclass
class Passage:
    """One connection, in nanoseconds of the monotonic clock.

    Attributes:
        accepted: when it came.
        sent: when each piece of the client passed.
        received: when each piece of the server passed on to the client.
    """

    accepted: int
    sent: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)


class Relay:
    """One relay in a thread of its own. A context manager."""

    def __init__(
        self, host: str, port: int, *, round_trip_s: float = 0.0, listener: socket.socket | None = None
    ) -> None:
        """Take the server behind it, the length of the way there and back, and what to listen on but loopback."""
        self._server = host, port
        self._half_s = round_trip_s / 2
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._ends: set[_End] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.passages: list[Passage] = []

    def __enter__(self) -> Self:
        """Start it."""
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listening = self._loop.run_until_complete(
            self._loop.create_server(self._make_client, sock=self._listener, backlog=_BACKLOG)
        )
        self._ready.set()
        self._loop.run_forever()
        listening.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for end in self._ends:
            end.abort()
        self._loop.run_until_complete(asyncio.sleep(0))  # transports close in the next turn of the loop
        self._loop.close()

    def _make_client(self) -> "_End":
        client = _End(self._connect)
        self._ends.add(client)
        return client

    def _connect(self, client: "_End") -> None:
        passage = Passage(time.monotonic_ns())
        self.passages.append(passage)
        begin = self._loop.time() + 2 * self._half_s
        server = _End(lambda _: None)
        self._ends.add(server)
        client.lead_to(server, self._loop, self._half_s, passage.sent, not_before=begin)
        server.lead_to(client, self._loop, self._half_s, passage.received)
        client.task = self._loop.create_task(self._reach(server, client))

    async def _reach(self, server: "_End", client: "_End") -> None:
        try:
            await self._loop.create_connection(lambda: server, *self._server)
        except OSError:
            client.close()


class _End(asyncio.Protocol):
    """One end of a passage: what comes here goes out at the other end, later."""

    def __init__(self, made: Callable[["_End"], None]) -> None:
        self._made = made
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._on_the_way: deque[bytes] = deque()
        self.task: asyncio.Task[None] | None = None

    def lead_to(
        self, other: "_End", loop: asyncio.AbstractEventLoop, after_s: float, times: list[int], not_before: float = 0.0
    ) -> None:
        self._other, self._loop, self._after_s, self._times = other, loop, after_s, times
        self._not_before = not_before

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream socket
        self._transport = transport
        self._made(self)
        for piece in self._waiting:
            transport.write(piece)

    def data_received(self, data: bytes) -> None:
        due = max(self._loop.time(), self._not_before) + self._after_s
        self._on_the_way.append(data)
        if self._after_s:
            self._loop.call_at(due, self._pass_on)
        else:
            self._pass_on()

    def _pass_on(self) -> None:
        """Pass on what came first: asyncio does not promise that timers of one moment fire in order."""
        data = self._on_the_way.popleft()
        if not data:
            self._other.close()
            return
        self._times.append(time.monotonic_ns())
        self._other.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._waiting.append(data)
        else:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        self.data_received(b"")  # the end travels behind the data
        return True

    def connection_lost(self, _: Exception | None) -> None:
        self.data_received(b"")


PHASES: Final = ("interpreter", "wrapper", "TLS", "fetch", "hand-off and exec")


def split_launch(passage: Passage, begin: int, first: int, start_up: int) -> dict[str, int]:
    """Return the nanoseconds of each phase of a launch.

    The client's second flight ends the handshake (RFC 8446, figure 1) and has the request behind it. What comes after
    the program began, as the end of the TLS connection may, is not part of the answer.

    Args:
        passage: through a relay without delay, in nanoseconds of the monotonic clock.
        begin: when the wrapper was exec'd.
        first: when ``main`` of the program began.
        start_up: the nanoseconds that the interpreter takes, measured by itself.

    Raises:
        FailedError: there was no such exchange before the program began.
    """
    received = [time for time in passage.received if time < first]
    requests = [time for time in passage.sent if received and received[0] <= time < first]
    if not requests or received[-1] <= requests[0]:
        msg = "a launch passed the relay without a handshake, a request and an answer before its program began"
        raise FailedError(msg)
    lengths = (
        start_up,
        passage.accepted - begin - start_up,
        requests[0] - passage.accepted,
        received[-1] - requests[0],
        first - received[-1],
    )
    return dict(zip(PHASES, lengths, strict=True))


def round_trips(passage: Passage, until: int) -> int:
    """Return how often a client waited for a server: to connect, and for an answer to each of its flights.

    Args:
        passage: through a relay with a delay, so that no answer passes in the middle of a flight.
        until: nanoseconds of the monotonic clock; later pieces do not count.
    """
    pieces = [(time, "sent") for time in passage.sent] + [(time, "received") for time in passage.received]
    ways = [way for time, way in sorted(pieces) if time < until]
    return 1 + sum(pair == ("sent", "received") for pair in itertools.pairwise(ways))

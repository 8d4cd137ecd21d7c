"""The connections that a server has accepted: how many there may be, and how long unknown clients may keep theirs.

Anyone who can reach a port can open connections, so those of unknown clients are bounded in number and in time:

- Until its first byte comes a connection is a bare socket. What serves it, TLS above all (some 300 KB), is made then.
- It has a deadline for its first byte and for TLS together, and one for each whole head of a request.
- There are this many places for connections that wait for one of these. A newcomer for whom there is none takes the
  place of the one that has waited longest, among those of the address that has most of them: who opens many
  connections mostly displaces its own. One that has waited for a moment only stays, and newcomers stay in the kernel's
  queue: a rollout comes as a crowd, too.
- One that was refused stays open for its client to read that, and to do better. There are as many places for these, and
  they make room first and at once, again the oldest of the address with most.

A client becomes known by what the service takes for proof (``know``). Its connections are bounded in number only, and
leave room for the places of the unknown.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web

PATIENCE_S = 1.0  # what a crowd needs for TLS that fills all places; a place is displaced no sooner
_IPV6_NETWORK_BITS = 64  # what one host or one network has; RFC 6177 gives no site less


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """What the connections of one port may be.

    Attributes:
        connections: open at once.
        unknown: of these, those that wait for something of an unknown client; and as many that were refused.
        handshake_s: seconds for the first byte of a connection and for TLS.
        head_s: seconds for a whole head of a request of an unknown client, from TLS or the answer before on.
        untaken_bytes: of answers that a client does not take, kept before what serves it has to wait; None is asyncio's
            own, of which TLS has 512 KiB.
    """

    connections: int = 512
    unknown: int = 128
    handshake_s: float = 10.0
    head_s: float = 10.0
    untaken_bytes: int | None = None


class Connection:
    """One connection, as ``Connections`` counts it."""

    __slots__ = ("deadline", "drop", "handler", "is_answered", "is_known", "line", "origin", "since")

    def __init__(self, origin: str) -> None:
        """Take where it comes from."""
        self.origin = origin
        self.drop: Callable[[], object] = lambda: None  # closes it at once
        self.handler: web.RequestHandler | None = None  # aiohttp's
        self.is_answered = False
        self.is_known = False
        self.line: _Line | None = None  # that it stands in
        self.since = 0.0  # its patience counts
        self.deadline: asyncio.TimerHandle | None = None


class _Line:
    """Connections that can be displaced.

    Attributes:
        count: of them.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.count = 0
        self._by_origin: dict[str, dict[Connection, None]] = {}  # the longest wait first

    def add(self, connection: Connection) -> None:
        """Put one at the end."""
        self._by_origin.setdefault(connection.origin, {})[connection] = None
        self.count += 1

    def remove(self, connection: Connection) -> None:
        """Take one out."""
        of_origin = self._by_origin[connection.origin]
        del of_origin[connection]
        if not of_origin:
            del self._by_origin[connection.origin]
        self.count -= 1

    def first(self) -> Connection | None:
        """Return the one that has waited longest, of the address with most."""
        if not self._by_origin:
            return None
        crowd = max(self._by_origin, key=lambda origin: len(self._by_origin[origin]))
        return next(iter(self._by_origin[crowd]))


class Connections:
    """The connections of one port. Needs a running event loop once there are any."""

    def __init__(self, limits: ConnectionLimits, *, count: Callable[[str], None] = lambda _: None) -> None:
        """Begin with none.

        Args:
            limits: of them.
            count: told why a connection was closed: "handshake" or "head" for a deadline that passed, "displaced" for
                one that had to make room.
        """
        self.limits = limits
        self._count = count
        self._open: set[Connection] = set()
        self._known = 0
        self._waiting = _Line()
        self._refused = _Line()
        self._served: dict[web.RequestHandler | None, Connection] = {}  # by what serves it

    @property
    def open(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def unknown(self) -> int:
        """How many of them are of unknown clients."""
        return len(self._open) - self._known

    def has_room(self) -> bool:
        """Return whether a newcomer can be admitted."""
        return not self._is_full() or self._to_displace(PATIENCE_S) is not None

    def admit(self, origin: str) -> Connection:
        """Count a newcomer from an ``origin_of``, whose first byte is waited for from now on."""
        if self._is_full():
            self.make_room(PATIENCE_S)
        connection = Connection(origin)
        self._open.add(connection)
        self._stand(connection, self._waiting, self.limits.handshake_s, "handshake")
        return connection

    def make_room(self, patience_s: float = 0.0) -> None:
        """Close one that was refused, or else the one that has waited longest, if it has waited for this long."""
        self._displace(self._to_displace(patience_s))

    def serve(self, connection: Connection, handler: web.RequestHandler) -> None:
        """Note what is to serve a connection."""
        connection.handler = handler
        self._served[handler] = connection

    def opened(self, connection: Connection, drop: Callable[[], None]) -> None:
        """Note that a connection has begun, and what closes it from now on; its first head is waited for."""
        connection.drop = drop
        if connection.line is self._waiting:  # its first request may have come with the end of TLS
            self._stand(connection, self._waiting, self.limits.head_s, "head")

    def know(self, request: web.BaseRequest) -> bool:
        """Note that anyone who sends a request is known.

        Returns:
            Whether the connection may be kept; if not, the answer should be its last one.
        """
        connection = self._served.get(request.protocol)
        if connection is None or connection.is_known:
            return True
        if self._known >= self.limits.connections - self.limits.unknown:
            return False
        connection.is_known = True
        self._known += 1
        return True

    def is_known(self, handler: web.RequestHandler) -> bool:
        """Return whether the client of a connection is known, by what serves it."""
        connection = self._served.get(handler)
        return connection is not None and connection.is_known

    def refuse(self, request: web.BaseRequest) -> bool:
        """Note that an unknown client is told a refusal, or sends what nobody wants; its connection makes room.

        Returns:
            Whether the client is unknown.
        """
        connection = self._served.get(request.protocol)
        if connection is None or connection.is_known:
            return False
        self._stand(connection, self._refused)
        return True

    @contextlib.contextmanager
    def waiting(self, request: web.BaseRequest) -> Iterator[None]:
        """Have a connection make room like those that wait for a head, while its client is waited for again."""
        connection = self._served.get(request.protocol)
        if connection is None or connection.is_known:
            yield
            return
        self._stand(connection, self._waiting)
        try:
            yield
        finally:
            self._wait_no_longer(connection)

    def leave(self, connection: Connection) -> None:
        """Count a connection no longer, because it has ended; once is enough."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._served.pop(connection.handler, None)
        self._wait_no_longer(connection)
        self._known -= connection.is_known

    def follow(self, server: web.Server) -> None:
        """Have a server tell when a request begins and is answered, and when a connection ends."""
        handle, lost = server.request_handler, server.connection_lost

        async def request_handler(request: web.BaseRequest) -> web.StreamResponse:
            connection = self._served.get(request.protocol)
            if connection is None or connection.is_known:
                return await handle(request)
            self._wait_no_longer(connection)
            if request.transport is not None:  # it is served, even where what opens it has not come to its end
                connection.drop = request.transport.abort
            try:
                return await handle(request)
            finally:
                if not connection.is_known and request.protocol in self._served:
                    self._wait_for_next(connection)

        def connection_lost(handler: web.RequestHandler, exc: BaseException | None = None) -> None:
            lost(handler, exc)
            connection = self._served.get(handler)
            if connection is not None:
                self.leave(connection)

        server.request_handler = request_handler
        server.connection_lost = connection_lost  # type: ignore[method-assign]  # aiohttp has no signal for it

    def _wait_for_next(self, connection: Connection) -> None:
        """Wait for the next head of an unknown client, in the line that it is in if that one was refused."""
        self._stand(connection, connection.line or self._waiting, self.limits.head_s, "head")
        connection.is_answered = True

    def _is_full(self) -> bool:
        return len(self._open) >= self.limits.connections or self._waiting.count >= self.limits.unknown

    def _to_displace(self, patience_s: float) -> Connection | None:
        """Return what makes room; a refused one does not where those that wait have no place left."""
        if self._refused.count and self._waiting.count < self.limits.unknown:
            return self._refused.first()
        longest = self._waiting.first()
        if longest is None or asyncio.get_running_loop().time() - longest.since < patience_s:
            return None
        return longest

    def _stand(self, connection: Connection, line: _Line, limit_s: float = 0.0, reason: str = "") -> None:
        """Put a connection into a line, where it is cut after a time if there is one."""
        self._wait_no_longer(connection)
        loop = asyncio.get_running_loop()
        if not connection.is_answered:  # or it could keep newcomers out by asking again and again
            connection.since = loop.time()
        if limit_s:
            connection.deadline = loop.call_later(limit_s, self._cut, connection, reason)
        connection.line = line
        line.add(connection)
        if self._refused.count > self.limits.unknown:
            self._displace(self._refused.first())

    def _wait_no_longer(self, connection: Connection) -> None:
        if connection.deadline is not None:
            connection.deadline.cancel()
            connection.deadline = None
        if connection.line is not None:
            connection.line.remove(connection)
            connection.line = None

    def _displace(self, connection: Connection | None) -> None:
        if connection is not None:
            self._cut(connection, "displaced")

    def _cut(self, connection: Connection, reason: str) -> None:
        self._wait_no_longer(connection)
        self._count(reason)
        connection.drop()


def origin_of(address: object) -> str:
    """Return what counts as one sender among addresses of sockets: an address of IPv4, a network of IPv6."""
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    if ":" not in host:  # IPv4, as the kernel writes it
        return host
    ip = ipaddress.IPv6Address(host.partition("%")[0])
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _IPV6_NETWORK_BITS), strict=False))

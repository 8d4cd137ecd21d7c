"""A TLS connection to the first of the bridge's addresses that answers, within one deadline (RFC 8305, happy eyeballs).

A name may have many addresses: replicas behind a headless Service, two families. One that swallows packets, or takes
connections and says nothing, must not use up the time of the others. So the next one is begun after a short while,
beside those that are under way, and the first whose handshake is complete is taken. Sockets do not block. What a launch
began early takes part like any other; if all of it fails, it counts for nothing.
"""

import _socket
import select
from _ssl import SSLEOFError, SSLError, SSLWantReadError, SSLWantWriteError, SSLZeroReturnError  # those of ssl
from time import monotonic

from wrapper.fetch.addresses import connecting, in_turn, look_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLContext, SSLSocket
    from typing import Any, NoReturn

    from wrapper.fetch import native_tls
    from wrapper.fetch.addresses import Address, Beginning, Found, Lookup, Socket
    from wrapper.fetch.retry import Notice

    Connection = native_tls.Connection | SSLSocket
    Context = native_tls.Context | SSLContext

# RFC 8305, 8: the recommended delay between connection attempts.
STAGGER_S = 0.25
# One that has accepted is likely to be alive; a handshake costs the bridge ten times as much as a connection, so a busy
# one is not asked for several at once too soon.
PATIENCE_S = 1.0
MAX_ADDRESSES = 32  # of one name; a resolver's answer is not ours


class HandshakeTimeoutError(TimeoutError):
    """Somebody accepted the connection, and nobody completed the handshake in time."""


class Candidate:
    """One address and how far the connection to it has come."""

    __slots__ = ("accepted", "address", "connection", "events")

    def __init__(self, found: "Found", begun: "Socket") -> None:
        """Take an address, and what connects to it."""
        self.address = found[4]
        self.connection: Any = begun
        self.accepted = False
        self.events = select.POLLOUT

    def advance(self, context: "Context", host: bytes) -> bool:
        """Go on as far as that is possible now; return whether the handshake is complete.

        Raises:
            OSError: this address does not lead anywhere; an ssl.SSLError when it leads to somebody else.
        """
        if not self.accepted:
            number = self.connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
            if number:
                from os import strerror

                raise OSError(number, strerror(number))
            self.accepted = True
            self.connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            self.connection = context.wrap_socket(
                self.connection, server_hostname=host, do_handshake_on_connect=False
            )  # fmt: skip
        try:
            self.connection.do_handshake()
        except SSLWantReadError:
            self.events = select.POLLIN
        except SSLWantWriteError:
            self.events = select.POLLOUT
        else:
            return True
        return False


def is_final(error: OSError) -> bool:
    """Return whether an address leads to somebody who is not the bridge, or does not take us for a caller."""
    # Who hangs up is neither. CPython 3.11.2, which is Debian's, has OpenSSL take a missing goodbye for one.
    return isinstance(error, SSLError) and not isinstance(error, (SSLEOFError, SSLZeroReturnError))


class Race:
    """The candidates of one attempt."""

    def __init__(
        self, addresses: "list[Found]", context: "Context", host: bytes, begun: "tuple[Found, Socket] | None" = None
    ) -> None:
        """Take the addresses in the order in which they are to be tried.

        Args:
            addresses: all of them.
            context: with our certificate.
            host: which the certificates must be for.
            begun: one of the addresses, and what connects to it already.
        """
        self._context = context
        self._host = host
        self._waiting = addresses
        self._running: dict[int, Candidate] = {}
        self._failure: OSError = OSError("no address")
        self._next_at = 0.0  # when the next address is begun, on the monotonic clock
        self._poll = select.poll()
        self._winner: Candidate | None = None
        if begun:
            self._waiting.remove(begun[0])
            self._begin(*begun)

    def look(self) -> None:
        """Go on with what is under way, as far as that is possible without waiting."""
        for descriptor, _ in self._poll.poll(0):
            self._winner = self._winner or self._advance(descriptor)

    def run(self, deadline: float, notice: "Notice | None" = None) -> Candidate:
        """Return the candidate that won; the others are closed.

        Args:
            deadline: on the monotonic clock.
            notice: what to say if it lasts.

        Raises:
            OSError: none did; of several reasons one that no waiting mends (``is_final``). A TimeoutError at the
                deadline.
        """
        try:
            while self._winner is None:
                now = monotonic()
                if now >= deadline:
                    self._give_up()
                if self._waiting and (not self._running or now >= self._next_at):
                    self._begin_next()
                    continue
                if not self._running:
                    raise self._failure
                until = min(deadline, self._next_at) if self._waiting else deadline
                if notice:
                    notice.look(now)
                    until = min(until, notice.at)
                for descriptor, _ in self._poll.poll(max(until - now, 0.001) * 1000):
                    self._winner = self._winner or self._advance(descriptor)
        finally:
            for candidate in self._running.values():
                if candidate is not self._winner:
                    candidate.connection.close()
        return self._winner

    def _begin_next(self) -> None:
        found = self._waiting.pop(0)
        try:
            self._begin(found, connecting(found))
        except OSError as error:
            self._note(error)

    def _begin(self, found: "Found", begun: "Socket") -> None:
        candidate = Candidate(found, begun)
        self._next_at = monotonic() + STAGGER_S
        self._running[begun.fileno()] = candidate
        self._poll.register(begun.fileno(), candidate.events)

    def _advance(self, descriptor: int) -> Candidate | None:
        candidate = self._running[descriptor]
        was_accepted = candidate.accepted
        try:
            if candidate.advance(self._context, self._host):
                return candidate
        except OSError as error:  # an ssl.SSLError is one
            self._poll.unregister(descriptor)
            del self._running[descriptor]
            candidate.connection.close()
            self._note(error)
            self._next_at = 0.0  # no use in waiting for it any longer
            return None
        if candidate.accepted and not was_accepted:
            self._next_at = max(self._next_at, monotonic() + PATIENCE_S)
        self._poll.modify(descriptor, candidate.events)
        return None

    def _note(self, error: OSError) -> None:
        if is_final(error) or not is_final(self._failure):
            self._failure = error

    def _give_up(self) -> "NoReturn":
        if is_final(self._failure):
            raise self._failure
        if any(candidate.accepted for candidate in self._running.values()):
            raise HandshakeTimeoutError
        raise TimeoutError


class Dialer:
    """Connects to one host and port, several times if need be; each time addresses that were used least come first."""

    def __init__(
        self,
        host: bytes,
        port: int,
        context: "Context",
        notice: "Notice | None" = None,
        beginning: "Beginning | None" = None,
    ) -> None:
        """Take where to connect to; ``host`` is also the name that the certificate must have.

        Args:
            host: name or address.
            port: of the bridge.
            context: with our certificate.
            notice: what to say if it lasts.
            beginning: the first steps to this host and port, if they were taken.
        """
        self._notice = notice
        self._host = host
        self._port = port
        self._context = context
        self._used: dict[Address, int] = {}
        self._lookup = beginning.lookup if beginning and beginning.is_fresh() else None
        self._early: Race | None = None
        if beginning:
            beginning.go_on()
        if beginning and beginning.begun and self._lookup:
            addresses = in_turn(self._lookup.found)[:MAX_ADDRESSES]
            self._early = Race(addresses, context, host, beginning.begun)
            self._early.look()

    def connect(self, deadline: float) -> "Connection":
        """Return a connection whose handshake is complete.

        Raises:
            OSError: as ``Race.run``, or there is no such name.
        """
        early, self._early = self._early, None
        lookup, self._lookup = self._lookup, None  # of the first attempt: whoever comes again looks anew
        winner = _run_early(early, deadline, self._notice) if early else None
        if winner is None:
            addresses = in_turn(self._look_up(lookup, deadline))
            addresses.sort(key=lambda found: self._used.get(found[4], 0))
            winner = Race(addresses[:MAX_ADDRESSES], self._context, self._host).run(deadline, self._notice)
        self._used[winner.address] = self._used.get(winner.address, 0) + 1
        connection: Connection = winner.connection
        return connection

    def _look_up(self, lookup: "Lookup | None", deadline: float) -> "list[Found]":
        return (
            lookup.wait(deadline, self._notice) if lookup else look_up(self._host, self._port, deadline, self._notice)
        )


def _run_early(early: Race, deadline: float, notice: "Notice | None") -> Candidate | None:
    """Return the winner of what was begun early, or None if another try may have one.

    Raises:
        OSError: as ``Race.run``.
    """
    try:
        return early.run(deadline, notice)
    except OSError as error:
        if is_final(error) or isinstance(error, TimeoutError):
            raise
    return None

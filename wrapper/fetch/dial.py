"""A TLS connection to the first of the bridge's addresses that answers, within one deadline (RFC 8305, happy eyeballs).

A name may have many addresses: replicas behind a headless Service, two families. One that swallows packets, or takes
connections and says nothing, must not use up the time of the others. So the next one is begun after a short while,
beside those that are under way, and the first whose handshake is complete is taken. Sockets do not block; there are no
threads but for the lookup of a name, and where none can be had, that is done without.
"""

import _socket
import select
from _ssl import SSLEOFError, SSLError, SSLWantReadError, SSLWantWriteError  # those of ssl
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLContext, SSLSocket
    from typing import Any, NoReturn

    from wrapper.fetch import native_tls
    from wrapper.fetch.retry import Notice

    Address = tuple[Any, ...]
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


class Socket(_socket.socket):
    """One that OpenSSL's side of a connection can refer to weakly, as it wants."""


class Candidate:
    """One address and how far the connection to it has come."""

    __slots__ = ("accepted", "address", "connection", "events")

    def __init__(self, found: "tuple[Any, ...]") -> None:
        """Begin to connect.

        Raises:
            OSError: it fails at once.
        """
        family, kind, protocol, _, self.address = found
        self.connection: Any = Socket(family, kind, protocol)
        self.accepted = False
        self.events = select.POLLOUT
        try:
            self.connection.settimeout(0)
            self.connection.connect(self.address)
        except BlockingIOError:
            return
        except OSError:
            self.connection.close()
            raise

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
    return isinstance(error, SSLError) and not isinstance(error, SSLEOFError)


class Race:
    """The candidates of one attempt."""

    def __init__(self, addresses: "list[tuple[Any, ...]]", context: "Context", host: bytes) -> None:
        """Take the addresses in the order in which they are to be tried; none is yet."""
        self._context = context
        self._host = host
        self._waiting = addresses
        self._running: dict[int, Candidate] = {}
        self._failure: OSError = OSError("no address")
        self._next_at = 0.0  # when the next address is begun, on the monotonic clock

    def run(self, deadline: float, notice: "Notice | None" = None) -> Candidate:
        """Return the candidate that won; the others are closed.

        Args:
            deadline: on the monotonic clock.
            notice: what to say if it lasts.

        Raises:
            OSError: none did; of several reasons one that no waiting mends (``is_final``). A TimeoutError at the
                deadline.
        """
        winner = None
        poll = select.poll()
        try:
            while winner is None:
                now = monotonic()
                if now >= deadline:
                    self._give_up()
                if self._waiting and (not self._running or now >= self._next_at):
                    self._begin(poll)
                    continue
                if not self._running:
                    raise self._failure
                until = min(deadline, self._next_at) if self._waiting else deadline
                if notice:
                    notice.look(now)
                    until = min(until, notice.at)
                for descriptor, _ in poll.poll(max(until - now, 0.001) * 1000):
                    winner = winner or self._advance(descriptor, poll)
        finally:
            for candidate in self._running.values():
                if candidate is not winner:
                    candidate.connection.close()
        return winner

    def _begin(self, poll: "select.poll") -> None:
        try:
            candidate = Candidate(self._waiting.pop(0))
        except OSError as error:
            self._note(error)
            return
        self._next_at = monotonic() + STAGGER_S
        self._running[candidate.connection.fileno()] = candidate
        poll.register(candidate.connection.fileno(), candidate.events)

    def _advance(self, descriptor: int, poll: "select.poll") -> Candidate | None:
        candidate = self._running[descriptor]
        was_accepted = candidate.accepted
        try:
            if candidate.advance(self._context, self._host):
                return candidate
        except OSError as error:  # an ssl.SSLError is one
            poll.unregister(descriptor)
            del self._running[descriptor]
            candidate.connection.close()
            self._note(error)
            self._next_at = 0.0  # no use in waiting for it any longer
            return None
        if candidate.accepted and not was_accepted:
            self._next_at = max(self._next_at, monotonic() + PATIENCE_S)
        poll.modify(descriptor, candidate.events)
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

    def __init__(self, host: bytes, port: int, context: "Context", notice: "Notice | None" = None) -> None:
        """Take where to connect to; ``host`` is also the name that the certificate must have.

        Args:
            host: name or address.
            port: of the bridge.
            context: with our certificate.
            notice: what to say if it lasts.
        """
        self._notice = notice
        self._host = host
        self._port = port
        self._context = context
        self._used: dict[Address, int] = {}

    def connect(self, deadline: float) -> "Connection":
        """Return a connection whose handshake is complete.

        Raises:
            OSError: as ``Race.run``, or there is no such name.
        """
        addresses = in_turn(look_up(self._host, self._port, deadline, self._notice))
        addresses.sort(key=lambda found: self._used.get(found[4], 0))
        winner = Race(addresses[:MAX_ADDRESSES], self._context, self._host).run(deadline, self._notice)
        self._used[winner.address] = self._used.get(winner.address, 0) + 1
        connection: Connection = winner.connection
        return connection


def in_turn(found: "list[tuple[Any, ...]]") -> "list[tuple[Any, ...]]":
    """Order addresses so that families alternate, beginning with the one that the resolver prefers (RFC 8305, 4)."""
    first = [item for item in found if item[0] == found[0][0]]
    second = [item for item in found if item[0] != found[0][0]]
    paired = [item for pair in zip(first, second, strict=False) for item in pair]
    return paired + first[len(second) :] + second[len(first) :]


def look_up(host: bytes, port: int, deadline: float, notice: "Notice | None" = None) -> "list[tuple[Any, ...]]":
    """Return the addresses of a host, as getaddrinfo(3) does.

    A name is looked up in a thread: getaddrinfo knows no deadline, and signals would have to wait for it, too. An
    address needs neither. Where no thread is to be had (a limit of processes, a seccomp profile without clone3), the
    resolver's own timeouts have to do.

    Raises:
        OSError: there is no such name, or TimeoutError.
    """
    try:
        return _resolve(host, port, _socket.AI_NUMERICHOST)
    except _socket.gaierror:
        pass  # it is a name
    from _thread import allocate_lock, start_new_thread

    found: list[tuple[Any, ...]] = []
    failed: list[OSError] = []
    pending = allocate_lock()
    pending.acquire()

    def run() -> None:
        try:
            found.extend(_resolve(host, port, 0))
        except OSError as error:
            failed.append(error)
        finally:
            pending.release()

    try:
        start_new_thread(run, ())
    except RuntimeError:
        _shorten_the_resolver(deadline - monotonic())
        run()
    if notice and not pending.acquire(timeout=max(min(deadline, notice.at) - monotonic(), 0)):
        notice.look(monotonic())
    elif notice:
        pending.release()
    if not pending.acquire(timeout=max(deadline - monotonic(), 0)):
        raise TimeoutError
    if failed:
        raise failed[0]
    return found


def _resolve(host: bytes, port: int, flags: int) -> "list[tuple[Any, ...]]":
    return list(_socket.getaddrinfo(host, port, type=_socket.SOCK_STREAM, flags=flags))


def _shorten_the_resolver(left_s: float) -> None:
    """Have glibc ask each name server once, for no longer than the launch has time (resolv.conf(5)); musl waits 5 s."""
    from os import putenv  # not environ: the application's environment stays as it is

    putenv("RES_OPTIONS", f"timeout:{max(1, int(left_s / 3))} attempts:1")  # there may be three name servers

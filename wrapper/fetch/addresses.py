"""Where the bridge is: its addresses, and connecting to one of them, which TLS is not needed for yet.

A launch has that begun before it loads OpenSSL and reads its certificates, so that the network works meanwhile. What is
begun promises nothing: ``dial`` decides what comes of it.
"""

import _socket
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wrapper.fetch.retry import Notice

    Address = tuple[Any, ...]
    Found = tuple[Any, ...]  # as getaddrinfo(3) has it: family, kind, protocol, name, address

_FRESH_S = 1.0  # servers hang up on anyone who connects and then says nothing


class Socket(_socket.socket):
    """One that OpenSSL's side of a connection can refer to weakly, as it wants."""


def connecting(found: "Found") -> Socket:
    """Return a socket that does not block, and has begun to connect.

    Raises:
        OSError: it fails at once.
    """
    family, kind, protocol, _, address = found
    connection = Socket(family, kind, protocol)
    try:
        connection.settimeout(0)
        connection.connect(address)
    except BlockingIOError:
        pass
    except OSError:
        connection.close()
        raise
    return connection


class Lookup:
    """The addresses of a host, as getaddrinfo(3) has them.

    A name is looked up in a thread: getaddrinfo knows no deadline, and signals would have to wait for it, too. An
    address needs neither.

    Attributes:
        found: what there is by now.
    """

    __slots__ = ("_failed", "_pending", "found")

    def __init__(self, host: bytes, port: int) -> None:
        """Begin.

        Raises:
            RuntimeError: it is a name, and no thread is to be had (a limit of processes, a seccomp profile without
                clone3).
        """
        from _thread import allocate_lock, start_new_thread

        self.found: list[Found] = []
        self._failed: list[OSError] = []
        self._pending = allocate_lock()
        try:
            self.found = _resolve(host, port, _socket.AI_NUMERICHOST)
        except _socket.gaierror:
            self._pending.acquire()
            start_new_thread(self._run, (host, port))

    def _run(self, host: bytes, port: int) -> None:
        try:
            self.found = _resolve(host, port, 0)
        except OSError as error:
            self._failed.append(error)
        finally:
            self._pending.release()

    def wait(self, deadline: float, notice: "Notice | None") -> "list[Found]":
        """Return the addresses.

        Raises:
            OSError: there is no such name, or TimeoutError.
        """
        until = min(deadline, notice.at) if notice else deadline
        if not self._pending.acquire(timeout=max(until - monotonic(), 0)):
            if notice:
                notice.look(monotonic())
            if not self._pending.acquire(timeout=max(deadline - monotonic(), 0)):
                raise TimeoutError
        if self._failed:
            raise self._failed[0]
        return self.found


def look_up(host: bytes, port: int, deadline: float, notice: "Notice | None" = None) -> "list[Found]":
    """Return the addresses of a host. Where no thread is to be had, the resolver's own timeouts have to do.

    Raises:
        OSError: there is no such name, or TimeoutError.
    """
    try:
        lookup = Lookup(host, port)
    except RuntimeError:
        _shorten_the_resolver(deadline - monotonic())
        return _resolve(host, port, 0)
    return lookup.wait(deadline, notice)


def _resolve(host: bytes, port: int, flags: int) -> "list[Found]":
    return list(_socket.getaddrinfo(host, port, type=_socket.SOCK_STREAM, flags=flags))


def _shorten_the_resolver(left_s: float) -> None:
    """Have glibc ask each name server once, for no longer than the launch has time (resolv.conf(5)); musl waits 5 s."""
    from os import putenv  # not environ: the application's environment stays as it is

    putenv("RES_OPTIONS", f"timeout:{max(1, int(left_s / 3))} attempts:1")  # there may be three name servers


def in_turn(found: "list[Found]") -> "list[Found]":
    """Order addresses so that families alternate, beginning with the one that the resolver prefers (RFC 8305, 4)."""
    first = [item for item in found if item[0] == found[0][0]]
    second = [item for item in found if item[0] != found[0][0]]
    paired = [item for pair in zip(first, second, strict=False) for item in pair]
    return paired + first[len(second) :] + second[len(first) :]


class Beginning:
    """The first steps to a host: its lookup, and to connect to its first address.

    Attributes:
        lookup: None where no thread is to be had for it.
        begun: an address and what connects to it; None until there is one, or when that failed at once.
    """

    __slots__ = ("_at", "begun", "lookup")

    def __init__(self, host: bytes, port: int) -> None:
        """Take the first step."""
        self._at = monotonic()
        self.begun: tuple[Found, Socket] | None = None
        self.lookup: Lookup | None = None
        try:
            self.lookup = Lookup(host, port)
        except RuntimeError:
            return
        self.go_on()

    def go_on(self) -> None:
        """Begin to connect, if it is known by now where to."""
        if self.begun is None and self.lookup and self.lookup.found:
            first = in_turn(self.lookup.found)[0]
            try:
                self.begun = first, connecting(first)
            except OSError:  # it fails again where it can be told
                return

    def is_fresh(self) -> bool:
        """Return whether what was begun can still be used; if not, it is dropped."""
        if monotonic() - self._at < _FRESH_S:
            return True
        if self.begun:
            self.begun[1].close()
        self.begun = self.lookup = None
        return False

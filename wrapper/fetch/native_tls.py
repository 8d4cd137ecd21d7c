"""A launch's client of TLS, by the native part of the ``ssl`` module alone.

Chain, dates, purpose and name of a certificate are checked by OpenSSL, with ``ssl`` as without it. What ``ssl`` adds is
names for numbers, and a socket that can do all that sockets can; its imports take a launch 7 ms. Here are one kind of
context, and a connection that is read, written and closed, and by which nothing is sent or taken unsealed.

``_ssl`` promises nothing to anyone but ``ssl``. So it is used on interpreters only on which tests compared the two
(``wrapper.fetch.context``): every setting of the context, the first words on the wire, and every refusal word for word.
"""

import _ssl

from strongroom.errors import MisuseError
from strongroom.pem_files import load_authorities, load_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Protocol, Self

    class Native(Protocol):
        """What ``_ssl`` makes of a socket, as far as it is used here."""

        do_handshake: Callable[[], None]
        pending: Callable[[], int]
        write: Callable[[memoryview], int]
        read: Callable[..., "bytes | int"]


_TLS_1_3 = 0x0304  # RFC 8446, 4.2.1


class Context(_ssl._SSLContext):  # noqa: SLF001 - what ssl makes its contexts of
    """The context of a client, with the methods of ``ssl.SSLContext`` that a launch needs."""

    _host_flags: int

    def wrap_socket(self, sock: "socket", *, server_hostname: bytes, do_handshake_on_connect: bool) -> "Connection":
        """Return the connection that a socket becomes, before its handshake.

        Args:
            sock: connected, of a class that has weak references; it is the connection's from now on.
            server_hostname: name or address that the certificate must be for, in ASCII.
            do_handshake_on_connect: no.
        """
        # Without a name OpenSSL would compare none.
        if not (server_hostname and self.check_hostname and self.verify_mode == _ssl.CERT_REQUIRED):
            raise MisuseError("nothing would say who is at the other end of this connection")
        if do_handshake_on_connect:
            raise MisuseError("a handshake takes its time, and is for those who wait for it")
        return Connection(sock, self._wrap_socket(sock, False, server_hostname.decode("ascii")))  # type: ignore[attr-defined]


class Connection:
    """A connection, with the methods of ``ssl.SSLSocket`` that a launch needs, and no others.

    Attributes:
        do_handshake, pending, send, settimeout, fileno, close: see ``ssl.SSLSocket``.
    """

    __slots__ = ("_read", "close", "do_handshake", "fileno", "pending", "send", "settimeout")

    def __init__(self, sock: "socket", tls: "Native") -> None:
        """Take a connected socket, and the native part's connection over it."""
        self._read = tls.read
        self.do_handshake = tls.do_handshake
        self.pending = tls.pending
        self.send = tls.write
        self.settimeout = sock.settimeout
        self.fileno = sock.fileno
        self.close = sock.close

    def __enter__(self) -> "Self":
        """Return the connection itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def read(self, size: int) -> bytes:
        """Return what has come, at most ``size`` bytes; none at the end, also at one without TLS's own goodbye."""
        try:
            return self._read(size)  # type: ignore[return-value]
        except _ssl.SSLEOFError:
            return b""

    def recv_into(self, buffer: memoryview) -> int:
        """Fill the beginning of a buffer with what has come, and return its length; 0 as for ``read``."""
        try:
            return self._read(len(buffer), buffer)  # type: ignore[return-value]
        except _ssl.SSLEOFError:
            return 0


def client_context(ca_file: str, cert_file: str, key_file: str) -> Context:
    """Return the context that ``strongroom.tls.client_context`` returns, for a launch.

    Raises:
        ConfigError: a file is missing, unreadable, not what it should be, or key and certificate do not match.
    """
    context = Context(_ssl.PROTOCOL_TLS_CLIENT)  # checks the host name and requires a certificate
    context._host_flags |= _ssl.HOSTFLAG_NEVER_CHECK_SUBJECT  # noqa: SLF001 - hostname_checks_common_name = False
    context.minimum_version = _TLS_1_3
    load_authorities(context, ca_file)
    load_identity(context, cert_file, key_file)
    return context

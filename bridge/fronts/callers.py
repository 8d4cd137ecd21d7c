"""Who is at the other end of each connection, and when a connection ends although its client would go on.

What was verified when a connection began does not hold for good: the certificate ends, authorities are taken away. So a
connection serves no longer than its client's certificate is valid, its authorities are those in use, and it is young.
"""

import ssl
import time
import weakref
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from strongroom.errors import DeniedError, UnavailableError
from strongroom.service.peer import Peer, peer_of
from strongroom.service.tls_reload import ReloadingServerContext

_MAX_CHARS = 200


@dataclass
class _Connection:
    began: float
    peer: Peer | None = None


class Callers:
    """What is known of the callers of one server, by their connections."""

    def __init__(self, tls: ReloadingServerContext, *, greatest_age_s: float) -> None:
        """Take what knows the authorities in use, and the age of which no connection goes on."""
        self._tls = tls
        self._greatest_age_s = greatest_age_s
        self._known: weakref.WeakKeyDictionary[object, _Connection] = weakref.WeakKeyDictionary()  # by transport

    def peer(self, request: web.BaseRequest) -> Peer:
        """Return who sends a request.

        Raises:
            DeniedError: the certificate has ended, or is not that of a workload that its authority may name.
            UnavailableError: the authorities have changed; a new connection is needed.
        """
        connection = _ssl_object(request.transport)
        authorities = self._tls.authorities_of(connection) if connection is not None else None
        if connection is None or authorities is None:
            msg = "the authorities of the callers have changed since this connection began"
            raise UnavailableError(msg, hint="open a new one")
        known = self._of(request.transport)
        if known.peer is None:
            decoded = request.get_extra_info("peercert")  # asyncio's, of this handshake
            known.peer = peer_of(connection, authorities, decoded=decoded)
        if known.peer.expires_at <= time.time():
            msg = f"the certificate of {known.peer.identity} has ended since this connection began"
            raise DeniedError(msg, hint="open a new connection with the workload's newest certificate")
        return known.peer

    def certificate_of(self, request: web.BaseRequest) -> str:
        """Return what a verified certificate without a usable identity says of its holder, cut to a line for a log."""
        connection = _ssl_object(request.transport)
        shown: Any = (connection.getpeercert() if connection is not None else None) or {}
        subject = ", ".join(f"{name}={value}" for part in shown.get("subject", ()) for name, value in part)
        names = ", ".join(f"{kind}:{value}" for kind, value in shown.get("subjectAltName", ()))
        return f"{subject[:_MAX_CHARS]}; {names[:_MAX_CHARS]}; until {shown.get('notAfter', '')}" if shown else ""

    def is_over(self, transport: object) -> bool:
        """Return whether an answer should be the last one of its connection."""
        connection = _ssl_object(transport)
        if connection is None or self._tls.authorities_of(connection) is None:
            return True
        known = self._of(transport)
        old = time.monotonic() - known.began > self._greatest_age_s
        return old or (known.peer is not None and known.peer.expires_at <= time.time())

    def end_those_that_are_over(self, runner: web.BaseRunner) -> None:
        """Close connections that are over: idle ones, and all that are twice as old as may be. Call it now and then."""
        assert runner.server is not None  # noqa: S101 - set up
        for handler in runner.server.connections:
            transport = handler.transport
            if transport is None or not self.is_over(transport):
                continue
            waiter = handler._waiter  # noqa: SLF001 - public names do not tell whether it waits for a request
            if waiter is not None and not waiter.done():
                handler.force_close()
            elif time.monotonic() - self._of(transport).began > 2 * self._greatest_age_s:
                transport.abort()  # a client that does not take its answer

    def _of(self, transport: object) -> _Connection:
        return self._known.setdefault(transport, _Connection(time.monotonic()))


def _ssl_object(transport: object) -> ssl.SSLObject | None:
    get = getattr(transport, "get_extra_info", None)  # None when the client has gone
    found = get("ssl_object") if get else None
    return found if isinstance(found, ssl.SSLObject) else None

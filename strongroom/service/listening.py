"""Opening a port, and telling a parent process which one it became."""

import asyncio
import errno
import json
import logging
import socket
import ssl
import traceback
from dataclasses import dataclass

from aiohttp import web

from strongroom.errors import ConfigError
from strongroom.service.connections import Connection, ConnectionLimits, Connections, origin_of
from strongroom.service.heads import bound_heads
from strongroom.service.logs import log_event
from strongroom.service.tls_alert import PEER_ADDRESS

_log = logging.getLogger(__name__)
LISTEN = "[HOST]:PORT"  # the form of an address
_BACKLOG = 1024  # connections that wait to be accepted: a rollout starts hundreds of pods at once
_HIGHEST_PORT = 65_535
_ACCEPTED_AT_ONCE = 64  # then the loop turns
_PAUSE_S = 1.0
_FULL_PAUSE_S = 0.02  # a place is free soon: all that take one have deadlines


def parse_listen(text: str, name: str) -> tuple[str | None, int]:
    """Split ``[HOST]:PORT`` into a host, None for every address, and a port.

    Args:
        text: the address.
        name: of the setting that it is, for messages.

    Raises:
        ConfigError: it is not of this form.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    is_port = port.isascii() and port.isdigit() and int(port) <= _HIGHEST_PORT
    if not colon or not is_port or (":" in host and not bracketed):
        msg = f"{name}={text}: must be [HOST]:PORT"
        raise ConfigError(msg, hint="write for example :8443, 127.0.0.1:8443 or [::1]:8443")
    return host.strip("[]") or None, int(port)


class Listener:
    """A port that is open: accepts connections and hands them to what serves them."""

    def __init__(
        self,
        server: web.Server,
        sockets: list[socket.socket],
        connections: Connections,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Begin to accept. Needs a running event loop."""
        self.sockets = tuple(sockets)
        self._server = server
        self._connections = connections
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[bool]] = set()
        self._pause: asyncio.TimerHandle | None = None
        connections.follow(server)
        self._resume()

    def close(self) -> None:
        """Accept no more. Connections that have not begun are closed, others go on."""
        if self._pause is not None:
            self._pause.cancel()
        for one in self.sockets:
            if one.fileno() >= 0:
                self._loop.remove_reader(one)
                one.close()
        for task in self._opening:
            task.cancel()

    def _resume(self) -> None:
        self._pause = None
        for one in self.sockets:
            self._loop.add_reader(one, self._accept, one)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._connections.has_room():
                self._hold_on(_FULL_PAUSE_S)
                return
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log_event(_log, logging.ERROR, "cannot_accept", {"reason": error.strerror or type(error).__name__})
                self._connections.make_room()  # there are no descriptors or buffers left
                self._hold_on(_PAUSE_S)
                return
            self._admit(accepted, origin_of(address))

    def _hold_on(self, pause_s: float) -> None:
        """Accept again after a while; until then newcomers wait in the kernel."""
        for one in self.sockets:
            self._loop.remove_reader(one)
        self._pause = self._loop.call_later(pause_s, self._resume)

    def _admit(self, accepted: socket.socket, origin: str) -> None:
        accepted.setblocking(False)
        connection = self._connections.admit(origin)
        task = self._loop.create_task(self._open(accepted, connection))
        connection.drop = task.cancel
        self._opening.add(task)

        def note(task: asyncio.Task[bool]) -> None:
            self._opening.discard(task)
            if task.cancelled() or not task.result():
                accepted.close()
                self._connections.leave(connection)

        task.add_done_callback(note)

    async def _open(self, accepted: socket.socket, connection: Connection) -> bool:
        """Wait for the first byte and for TLS, as long as the connection may; return whether it is served now."""

        def serving() -> web.RequestHandler:
            handler = self._server()
            bound_heads(handler)
            self._connections.serve(connection, handler)
            return handler

        try:
            PEER_ADDRESS.set(str(accepted.getpeername()[0]))
            await _readable(accepted)
            if not accepted.recv(1, socket.MSG_PEEK):
                return False  # a probe of a load balancer
            transport, _ = await self._loop.connect_accepted_socket(serving, accepted, ssl=self._tls)
        except (OSError, asyncio.CancelledError) as error:
            # The frames hold what waited for TLS, which holds the error: a circle around some 300 KB.
            traceback.clear_frames(error.__traceback__)
            log_event(_log, logging.DEBUG, "connection_not_opened", {"reason": type(error).__name__})
            return False
        transport.set_write_buffer_limits(self._connections.limits.untaken_bytes)
        self._connections.opened(connection, transport.abort)
        return True


@dataclass(frozen=True, kw_only=True)
class Port:
    """Where a front listens.

    Attributes:
        name: what it is called in the ``listening`` event.
        address: ``[HOST]:PORT``.
        setting: that holds the address.
        connections: counts and bounds them; by default those of this port, within the default limits.
        tls: of the port, if it has any.
        share_port: whether other processes may listen on it, too (SO_REUSEPORT).
    """

    name: str
    address: str
    setting: str = "listen"
    connections: Connections | None = None
    tls: ssl.SSLContext | None = None
    share_port: bool = False


async def listen(runner: web.BaseRunner, port: Port) -> Listener:
    """Listen for what a runner serves, which is set up.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    host, number = parse_listen(port.address, port.setting)
    assert runner.server is not None  # noqa: S101 - set up
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, place in await asyncio.get_running_loop().getaddrinfo(
            host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                one = socket.create_server(place[:2], family=family, backlog=_BACKLOG, reuse_port=port.share_port)
                sockets.append(one)
            except OSError as error:
                if error.errno != errno.EAFNOSUPPORT or not sockets:  # a kernel without IPv6
                    raise
    except OSError as error:
        for one in sockets:
            one.close()
        msg = f"{port.setting}={port.address}: cannot be listened on ({error.strerror or type(error).__name__})"
        raise ConfigError(msg, hint="end what holds the port, or take another one") from None
    for one in sockets:
        one.setblocking(False)
    return Listener(runner.server, sockets, port.connections or Connections(ConnectionLimits()), port.tls)


async def _readable(waiting: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(waiting, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(waiting)


def addresses_of(server: Listener) -> list[str]:
    """Return what a server listens on, as ``HOST:PORT``."""
    names = [one.getsockname() for one in server.sockets]
    return [f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}" for name in names]


def tell_parent(fd: int, fields: dict[str, str]) -> None:
    """Write the ``listening`` event to a descriptor that was handed down, and close it.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        with open(fd, "w", encoding="ascii") as pipe:
            pipe.write(json.dumps({"event": "listening"} | fields) + "\n")
    except OSError as error:
        msg = f"ready_fd={fd}: cannot be written ({error.strerror})"
        raise ConfigError(msg, hint="hand the write end of a pipe over, or leave ready_fd out") from None

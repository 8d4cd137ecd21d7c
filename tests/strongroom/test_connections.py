"""The connections of unknown clients: how many there may be, and for how long."""

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from strongroom.service import connections as connections_module
from strongroom.service.connections import ConnectionLimits, Connections, origin_of
from strongroom.service.listening import Port as PortSettings
from strongroom.service.listening import listen
from tests.support.tls.certificates import tls_pair

ENOUGH_S = 100.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
REFUSED = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Refused: yes\r\nContent-Length: 5\r\n\r\n"
KNOWN = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Known: yes\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Contexts = tuple[ssl.SSLContext | None, ssl.SSLContext | None]  # of a server and its clients
Run = Callable[["Port"], Awaitable[None]]


class Port:
    """A server that knows anyone who says so, and answers whether it may keep its connection."""

    def __init__(self, limits: ConnectionLimits, client_tls: ssl.SSLContext | None) -> None:
        self.reasons: Counter[str] = Counter()
        self.connections = Connections(limits, count=lambda reason: self.reasons.update([reason]))
        self.runner = web.ServerRunner(web.Server(self._answer, access_log=None), handle_signals=False)
        self.number = 0
        self.untaken_bytes = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self._client_tls = client_tls
        self._streams: list[Stream] = []

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("X-Refused"):
            return await self._refuse(request)
        await self.hold.wait()
        assert request.transport is not None
        self.untaken_bytes = request.transport.get_write_buffer_limits()[1]
        keep = not request.headers.get("X-Known") or self.connections.know(request)
        response = web.Response(text="kept" if keep else "last")
        if not keep:
            response.force_close()
        return response

    async def _refuse(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer, and read on until the client has sent everything, or goes."""
        self.connections.refuse(request)
        response = web.Response(text="none")
        response.force_close()
        await response.prepare(request)
        await response.write_eof()
        with contextlib.suppress(OSError):
            await request.content.read()
        return response

    async def connect(self, *, tls: bool = True) -> Stream:
        stream = await asyncio.open_connection(
            "127.0.0.1", self.number, ssl=self._client_tls if tls else None, server_hostname=self._name(tls=tls)
        )
        self._streams.append(stream)
        return stream

    async def ask(self, stream: Stream, request: bytes = REQUEST) -> str:
        stream[1].write(request)
        head = await stream[0].readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        return (await stream[0].readexactly(4)).decode()

    def _name(self, *, tls: bool) -> str | None:
        return "localhost" if tls and self._client_tls else None

    def close(self) -> None:
        for _, writer in self._streams:
            # In CPython 3.11.2 a TLS transport whose connection was lost has no protocol left to abort.
            with contextlib.suppress(AttributeError):
                writer.transport.abort()


@contextlib.asynccontextmanager
async def opened(limits: ConnectionLimits, tls: Contexts) -> AsyncIterator[Port]:
    port = Port(limits, tls[1])
    await port.runner.setup()
    listener = await listen(
        port.runner, PortSettings(name="http", address="127.0.0.1:0", tls=tls[0], connections=port.connections)
    )
    port.number = listener.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(ENOUGH_S):
            yield port
    finally:
        port.hold.set()
        port.close()
        listener.close()
        await port.runner.cleanup()


@pytest.fixture(params=["plain", "tls"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[ConnectionLimits, Run], None]:
    """Run something against a port with limits."""
    tls: Contexts = tls_pair(tmp_path) if request.param == "tls" else (None, None)

    def run(limits: ConnectionLimits, test: Run) -> None:
        async def main() -> None:
            async with opened(limits, tls) as port:
                await test(port)

        asyncio.run(main())

    return run


Serve = Callable[[ConnectionLimits, Run], None]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(0.01)


async def until_cut(stream: Stream) -> None:
    """Wait until the server has closed a connection."""
    with contextlib.suppress(OSError):
        while await stream[0].read(1000):
            pass


def test_a_connection_that_sends_nothing_is_closed_and_counted_no_more(serve: Serve) -> None:
    async def test(port: Port) -> None:
        silent = await port.connect(tls=False)
        await until(lambda: port.connections.open == 1)
        await until_cut(silent)
        assert port.reasons == {"handshake": 1}
        assert (port.connections.open, port.connections.unknown) == (0, 0)

    serve(ConnectionLimits(handshake_s=0.2), test)


def test_a_head_that_comes_byte_by_byte_has_one_deadline_for_all_of_it(serve: Serve) -> None:
    async def test(port: Port) -> None:
        slow = await port.connect()
        cut = asyncio.create_task(until_cut(slow))
        slow[1].write(REQUEST[:-2])
        while not cut.done():
            slow[1].write(b"X-More: 1\r\n")
            await asyncio.sleep(0.05)
        assert port.reasons == {"head": 1}
        assert not port.connections.open

    serve(ConnectionLimits(head_s=0.3), test)


def test_what_is_not_tls_ends_a_connection_and_its_place(serve: Serve) -> None:
    async def test(port: Port) -> None:
        wrong = await port.connect(tls=False)
        wrong[1].write(b"\0" * 100)
        await until_cut(wrong)
        await until(lambda: not port.connections.open)

    serve(ConnectionLimits(), test)


def test_a_probe_that_connects_and_goes_leaves_nothing(serve: Serve) -> None:
    async def test(port: Port) -> None:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port.number)):
                pass
        assert await port.ask(await port.connect()) == "kept"
        await until(lambda: port.connections.open == 1)

    serve(ConnectionLimits(), test)


def test_an_unknown_client_has_the_same_deadline_for_its_next_head_and_a_known_one_has_none(serve: Serve) -> None:
    async def test(port: Port) -> None:
        unknown, known = await port.connect(), await port.connect()
        assert await port.ask(known, KNOWN) == "kept"
        assert await port.ask(unknown) == "kept"
        await until_cut(unknown)
        assert port.reasons == {"head": 1}
        assert await port.ask(known) == "kept"
        assert (port.connections.open, port.connections.unknown) == (1, 0)

    serve(ConnectionLimits(head_s=2.0), test)


def test_a_request_under_way_is_not_cut(serve: Serve) -> None:
    async def test(port: Port) -> None:
        port.hold.clear()
        stream = await port.connect()
        answer = asyncio.create_task(port.ask(stream))
        silent = await port.connect(tls=False)
        await until_cut(silent)  # its deadline is as long, and began later
        port.hold.set()
        assert await answer == "kept"

    serve(ConnectionLimits(head_s=1.0, handshake_s=2.0), test)


def test_newcomers_are_served_while_many_connections_wait_and_known_ones_keep_theirs(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "PATIENCE_S", 0.1)

    async def test(port: Port) -> None:
        known = await port.connect()
        await port.ask(known, KNOWN)
        silent = [await port.connect(tls=False) for _ in range(60)]
        assert await port.ask(await port.connect()) == "kept"
        assert await port.ask(known) == "kept"
        assert port.connections.open <= 10
        assert port.reasons["displaced"] >= len(silent) - 10
        assert set(port.reasons) == {"displaced"}

    serve(ConnectionLimits(connections=10, unknown=8, handshake_s=ENOUGH_S), test)


def test_refused_clients_that_stay_make_room_at_once(serve: Serve) -> None:
    """Each of them has had its answer by then, and whoever still sends may take its time while there is room."""

    async def test(port: Port) -> None:
        sending = await port.connect()
        assert await port.ask(sending, REFUSED) == "none"
        sending[1].write(b"12345")
        await until_cut(sending)
        assert not port.reasons
        for _ in range(30):
            assert await port.ask(await port.connect(), REFUSED) == "none"
        assert await port.ask(await port.connect(), KNOWN) == "kept"
        assert port.connections.unknown <= 4
        assert port.reasons == {"displaced": 30 - 4}

    serve(ConnectionLimits(connections=10, unknown=4, handshake_s=ENOUGH_S, head_s=ENOUGH_S), test)


def test_refused_clients_make_room_where_known_ones_have_the_rest(serve: Serve) -> None:
    async def test(port: Port) -> None:
        known = [await port.connect() for _ in range(4)]
        for stream in known:
            assert await port.ask(stream, KNOWN) == "kept"
        for _ in range(20):
            assert await port.ask(await port.connect(), REFUSED) == "none"
        assert port.connections.open <= 8
        assert [await port.ask(stream, KNOWN) for stream in known] == ["kept"] * 4

    serve(ConnectionLimits(connections=8, unknown=4, handshake_s=ENOUGH_S, head_s=ENOUGH_S), test)


def test_unknown_clients_that_ask_again_and_again_do_not_keep_newcomers_out(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "PATIENCE_S", 0.2)

    async def test(port: Port) -> None:
        asking = [await port.connect() for _ in range(4)]
        stop = asyncio.Event()

        async def ask_on(stream: Stream) -> None:
            with contextlib.suppress(OSError, EOFError):
                while not stop.is_set():
                    await port.ask(stream)

        tasks = [asyncio.create_task(ask_on(stream)) for stream in asking]
        for _ in range(10):
            assert await port.ask(await port.connect()) == "kept"
        stop.set()
        await asyncio.gather(*tasks)

    serve(ConnectionLimits(connections=8, unknown=2, handshake_s=ENOUGH_S, head_s=ENOUGH_S), test)


def test_a_crowd_that_has_only_begun_is_served_to_the_last_one(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "PATIENCE_S", ENOUGH_S)  # however long a machine takes for a crowd of TLS

    async def test(port: Port) -> None:
        async def one() -> None:
            stream = await port.connect()
            await port.ask(stream, KNOWN)
            stream[1].close()

        await asyncio.gather(*(one() for _ in range(60)))
        assert not port.reasons

    limits = ConnectionLimits(connections=10, unknown=8, handshake_s=ENOUGH_S, head_s=ENOUGH_S)
    serve(limits, test)


def test_known_clients_leave_room_for_the_unknown(serve: Serve) -> None:
    async def test(port: Port) -> None:
        assert [await port.ask(await port.connect(), KNOWN) for _ in range(4)] == ["kept", "kept", "last", "last"]

    serve(ConnectionLimits(connections=4, unknown=2), test)


def test_of_answers_that_are_not_taken_no_more_is_kept_than_the_limit_says(serve: Serve) -> None:
    async def test(port: Port) -> None:
        stream = await port.connect()
        for _ in range(2):  # the first request may be looked at before its connection is
            await port.ask(stream)
        assert port.untaken_bytes == 20_000

    serve(ConnectionLimits(untaken_bytes=20_000), test)


def test_who_has_most_connections_is_displaced_first() -> None:
    async def test() -> None:
        connections = Connections(ConnectionLimits(connections=4, unknown=4))
        gone: list[str] = []
        first = connections.admit("192.0.2.1")
        first.drop = lambda: gone.append("first")
        for number in range(3):
            connections.admit("192.0.2.2").drop = partial(gone.append, f"crowd {number}")
        connections.make_room()
        connections.make_room()
        assert gone == ["crowd 0", "crowd 1"]

    asyncio.run(test())


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        ("", ""),
    ],
)
def test_a_sender_is_an_address_or_a_network_of_ipv6(address: object, origin: str) -> None:
    assert origin_of(address) == origin

"""A relay between a proxy and its store: it shows what passes, and lets requests and answers come to harm on their way.

It frames HTTP/1.1 by lengths and chunks, so that connections stay open between requests as they would without it.
"""

import asyncio
import contextlib
import enum
import struct
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.support.process.waiting import until_settled

QUIET: Final[dict[str, Any]] = {"reload_interval_s": 600}
"""Settings of a proxy that does nothing by itself once it has begun: after ``settle`` no request is one of its own."""
_PIECE: Final = 1 << 16
_MAX_HEAD: Final = 1 << 20
_NO_BODY: Final = {204, 304}
_REFUSAL: Final = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
_REFUSAL_HEAD: Final = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(_REFUSAL)
)
_ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Harm(enum.Enum):
    """What happens to an exchange."""

    RESET_REQUEST = "the connection to the store breaks in the request"
    STALL_REQUEST = "nobody reads the request any longer, until release()"
    REFUSE = "the relay answers 500, and the store sees nothing"
    RESET_ANSWER = "the store has the request; the connection breaks in its answer"
    END_ANSWER = "as before, and the connection ends as if all was well"
    STALL_ANSWER = "as before, and nothing more comes, until release()"


@dataclass(frozen=True)
class Fault:
    """Harm, after this many bytes of the body of the request, or of the answer, head included."""

    harm: Harm | None
    after: int = 0


@dataclass
class Exchange:
    """A request that a proxy has sent, as far as it came.

    Attributes:
        method: of HTTP.
        target: raw path and query.
        headers: names in lower case.
        length: of the body, as announced.
        body: what came of it.
        status: of the store's answer, 0 if it was not asked or did not answer.
        harm: that came to it.
    """

    method: str
    target: str
    headers: dict[str, str]
    length: int
    body: bytearray = field(default_factory=bytearray, repr=False)
    status: int = 0
    harm: Harm | None = None


Plan = Callable[[Exchange], Fault | None]
Rewrite = Callable[[Exchange, bytes], bytes]
Forge = Callable[[Exchange], bytes | None]


class _HarmedError(Exception):
    """The connection of a proxy is to end; with a reset or without."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class StoreRelay:
    """Listens on loopback in a thread of its own. A context manager.

    Attributes:
        exchanges: all that came, in order.
        plan: asked for each request what is to happen to it; may be replaced at any time.
        rewrite: given the head of each answer of the store and returns what the proxy gets. Where that speaks of
            chunks, the body comes in chunks.
        forge: given each request returns the document that the proxy gets instead of the store's answer, or None.
    """

    def __init__(self, store_address: str) -> None:
        """Take the URL of the store, and start."""
        url = urlsplit(store_address)
        self._store = url.hostname or "", url.port or 80
        self.exchanges: list[Exchange] = []
        self.plan: Plan = lambda _: None
        self.rewrite: Rewrite = lambda _, head: head
        self.forge: Forge = lambda _: None
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._released: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="store-relay", daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def __enter__(self) -> Self:
        """Return the running relay."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close all connections and end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    @property
    def address(self) -> str:
        """The URL that a proxy takes for that of its store."""
        return f"http://127.0.0.1:{self._port}"

    def settle(self) -> None:
        """Return when a proxy makes no requests of its own any longer."""
        until_settled(lambda: len(self.exchanges))

    def release(self) -> None:
        """End the connections that are stalled now."""
        self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._released.set()
        self._released = asyncio.Event()

    async def _serve(self) -> None:
        self._loop, self._stop, self._released = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=_MAX_HEAD)
        self._port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset, task = False, asyncio.current_task()
        self._tasks.add(task)  # nothing else holds on to a task that waits for a stream
        try:
            while True:
                await self._exchange(reader, writer)
        except _HarmedError as error:
            reset = error.reset
        except (OSError, EOFError, asyncio.CancelledError):  # anyone who went away, or the relay ends
            reset = True
        finally:
            if reset:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _ABORT)
                writer.transport.abort()
            writer.close()
            self._tasks.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        exchange = _request_of(head)
        fault = self.plan(exchange) or Fault(None)
        exchange.harm = fault.harm
        self.exchanges.append(exchange)
        if fault.harm is Harm.REFUSE:
            exchange.body += await reader.readexactly(exchange.length)
            writer.write(_REFUSAL_HEAD if exchange.method == "HEAD" else _REFUSAL_HEAD + _REFUSAL)
            await writer.drain()
            return
        store_reader, store_writer = await asyncio.open_connection(*self._store, limit=_MAX_HEAD)
        try:
            store_writer.write(head)
            await self._pass_request(exchange, fault, reader, store_writer, store_reader)
            await self._pass_answer(exchange, fault, store_reader, writer)
        finally:
            store_writer.transport.abort()

    async def _pass_request(
        self,
        exchange: Exchange,
        fault: Fault,
        reader: asyncio.StreamReader,
        store: asyncio.StreamWriter,
        answer: asyncio.StreamReader,
    ) -> None:
        cut = fault.harm in {Harm.RESET_REQUEST, Harm.STALL_REQUEST}
        end = min(fault.after, exchange.length) if cut else exchange.length
        while len(exchange.body) < end:
            data = await reader.read(min(end - len(exchange.body), _PIECE))
            if not data:
                raise EOFError
            exchange.body += data
            store.write(data)
            await store.drain()
        if fault.harm is Harm.STALL_REQUEST:
            await self._released.wait()
        if cut and end == exchange.length:
            # It has all of it, and would carry it out whenever it likes: nobody could tell what stands there then.
            with contextlib.suppress(OSError, EOFError):
                await answer.read(1)
        if cut:
            raise _HarmedError(reset=True)

    async def _pass_answer(
        self, exchange: Exchange, fault: Fault, store: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        left = fault.after
        async with contextlib.aclosing(self._answer(exchange, store)) as pieces:
            async for data in pieces:
                writer.write(data if fault.harm is None else data[:left])
                await writer.drain()
                left -= len(data)
                if fault.harm is not None and left <= 0:
                    break
        if fault.harm is Harm.STALL_ANSWER:
            await self._released.wait()
        if fault.harm is not None:
            raise _HarmedError(reset=fault.harm is not Harm.END_ANSWER)

    async def _answer(self, exchange: Exchange, store: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
        """Give the answer of the store: its head, and its body as it is framed."""
        forged = self.forge(exchange)
        if forged is not None:
            exchange.status = 200
            yield b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(forged)
            yield forged
            return
        head = await store.readuntil(b"\r\n\r\n")
        exchange.status = int(head.split(b" ", 2)[1])
        told = self.rewrite(exchange, head)
        yield told
        if exchange.method == "HEAD" or exchange.status in _NO_BODY:
            return
        length = _headers_of(head).get("content-length")
        if length is None:
            async for chunk in _chunks(store):
                yield chunk
            return
        left, in_chunks = int(length), "transfer-encoding" in _headers_of(told)
        while left:
            data = await store.read(min(left, _PIECE))
            if not data:
                raise EOFError
            left -= len(data)
            yield b"%x\r\n%b\r\n" % (len(data), data) if in_chunks else data
        if in_chunks:
            yield b"0\r\n\r\n"


async def _chunks(store: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    size = -1
    while size:
        line = await store.readuntil(b"\r\n")
        size = int(line, 16)
        yield line + await store.readexactly(size + 2)


def _request_of(head: bytes) -> Exchange:
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    headers = _headers_of(head)
    assert "transfer-encoding" not in headers, "the proxy always knows how long a body is"
    return Exchange(method, target, headers, int(headers.get("content-length", "0")))


def _headers_of(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}

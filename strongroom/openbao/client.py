"""The client of OpenBao: one call after another over kept connections, on the event loop, each with a deadline.

It knows HTTP and tokens' place in it, not what the paths mean, and nothing of logins. What an answer holds is counted
as it comes, and read in a thread where it is long; of large ones there is one at a time.
"""

import asyncio
import base64
import contextlib
import errno
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, Self, TypeVar
from urllib.parse import quote, unquote, urlencode, urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from strongroom.errors import ConfigError, PeerError, UnavailableError
from strongroom.openbao.connection import (
    Answer,
    Call,
    Observe,
    OpenBaoUnavailableError,
    Route,
    document_of,
    header_of,
    not_reached,
    not_trusted,
    refuse_status,
    too_large,
    too_late,
    url_path,
)
from strongroom.openbao.pool import Connection, Pool

LARGE_BYTES: Final = 1 << 20  # what each call may hold; it becomes some 20 times as much, at worst, when it is parsed
_MOST_BYTES: Final = 34 << 20  # the largest request that OpenBao takes, max_request_size, has 32 MiB by default
_INLINE_BYTES: Final = 16 << 10  # parsed at once, in less than a millisecond; more is handed to a thread
_BROKEN: Final = (OSError, aiohttp.ClientError, HttpProcessingError)
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")

T = TypeVar("T")


class OpenBao:
    """A client for one server, for one event loop. Call ``tidy`` every second or so, and ``close`` at the end."""

    def __init__(self, route: Route, *, observe: Observe = lambda *_: None) -> None:
        """Take the way to the server; nothing is sent yet.

        Args:
            route: to the server.
            observe: told after each exchange the operation, the outcome and the seconds it took.

        Raises:
            ConfigError: the namespace cannot be sent, or the host's name is none.
        """
        self._route = route
        self._observe = observe
        self._pool = Pool(route)
        self._places = asyncio.Semaphore(route.endpoint.max_connections)
        self._large = asyncio.Lock()  # one large answer at a time, however many calls there are
        url = urlsplit(route.endpoint.address)
        self._base = quote(url.path.strip("/"), safe="/%:@!$&'()*+,;=~") + "/" if url.path.strip("/") else ""
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in _headers(route)).encode()

    def tidy(self) -> None:
        """Close connections that are not of use any more."""
        self._pool.tidy()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    async def exchange(self, call: Call) -> Answer:
        """Make one API call.

        Raises:
            OpenBaoUnavailableError: the server is down, sealed, busy or too slow.
            UnavailableError: other large answers are read.
            PeerError: its certificate is not trusted, or its answer is nonsense.
            UndeliverableError: its answer is larger than any should be.
        """
        begin = time.monotonic()
        outcome = "error"
        turn = _Turn(self._large)
        try:
            async with asyncio.timeout_at(call.deadline), self._places:
                with turn:
                    connection, status, content = await self._send(call)
                    outcome = str(status)
                    try:
                        refuse_status(status)
                        body = await _read(content, turn)
                    except aiohttp.ClientPayloadError as error:
                        raise (connection.lost_by or error) from None
                    finally:
                        self._pool.give_back(connection)
                    return Answer(status, await _compute(len(body), lambda: document_of(body, call, self._route.shown)))
        except _BROKEN as error:
            failure: UnavailableError
            if turn.is_awaited:
                failure = turn.too_late()
            else:
                outcome, failure = _failure(error, self._route.shown, time.monotonic() - begin)
        except asyncio.CancelledError:
            if time.monotonic() >= call.deadline:  # whoever waits has the same deadline, and was as quick
                outcome = "timeout"
            raise
        except UnavailableError:
            raise
        except PeerError:
            outcome = "nonsense"
            raise
        finally:
            self._observe(call.operation, outcome, time.monotonic() - begin)
        raise failure  # here, where no error of the library hangs on it: those quote what was received

    async def _send(self, call: Call) -> tuple[Connection, int, aiohttp.StreamReader]:
        request = self._request(call)
        within_s = self._route.endpoint.read_timeout_s
        for again in (False, True):
            try:
                connection = await (self._pool.connect() if again else self._pool.take())
                return connection, *await connection.request(request, within_s=within_s)
            except _BROKEN as error:
                # A kept connection may have been closed at this moment; what changes nothing is done again, once.
                if again or not call.may_be_repeated or isinstance(error, TimeoutError) or _tls_error(error):
                    raise
        raise AssertionError  # the second round returns or raises

    def _request(self, call: Call) -> bytes:
        query = f"?{urlencode(call.query)}" if call.query else ""
        head = f"{call.method} /{self._base}{url_path(call)}{query} HTTP/1.1\r\n".encode() + self._headers
        if call.token is not None:
            head += b"X-Vault-Token: " + header_of(call.token) + b"\r\n"
        if call.method == "GET":
            return head + b"\r\n"
        body = json.dumps(call.body).encode() if call.body is not None else b""
        return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class _Turn:
    """The turn of a call whose answer may be a large one; it is taken when it turns out to be.

    Attributes:
        is_awaited: whether another call has it now.
    """

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._held = False
        self.is_awaited = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._lock.release()

    async def take(self) -> None:
        self.is_awaited = True
        self._held = await self._lock.acquire()
        self.is_awaited = False

    def too_late(self) -> UnavailableError:
        """Return the error of a call that has waited for its turn until its deadline."""
        msg = "another large secret is read from OpenBao, and there was no turn for this one in time"
        return UnavailableError(msg, hint="keep large files elsewhere, or come back later")


async def _read(content: aiohttp.StreamReader, turn: _Turn) -> bytes:
    """Return the bytes of an answer, counted as they come; takes the turn for a large one."""
    pieces: list[bytes] = []
    size = 0
    while piece := await content.readany():
        if size <= LARGE_BYTES < size + len(piece):
            await turn.take()
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise too_large(_MOST_BYTES)
    return b"".join(pieces)


async def _compute(size: int, work: Callable[[], T]) -> T:
    """Return ``work()`` about this many bytes; a thread that does it has always ended before this does."""
    if size <= _INLINE_BYTES:
        return work()
    done = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(done)
    finally:
        while not done.done():  # what it holds is not to be forgotten while it lasts
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([done])
        done.exception()  # so that asyncio does not complain when its caller has gone


def _headers(route: Route) -> list[tuple[str, str]]:
    """Return the headers of every request.

    Raises:
        ConfigError: the namespace cannot be one, or the host's name.
    """
    url, namespace = urlsplit(route.endpoint.address), route.endpoint.namespace
    if not (namespace.isascii() and namespace.isprintable()):
        msg = f"openbao_namespace={namespace!r}: must be printable ASCII"
        raise ConfigError(msg, hint="write it as `bao namespace list` shows it")
    try:
        name = (url.hostname or "").encode("idna").decode()  # as it is looked up
    except UnicodeError:
        msg = f"openbao_address={route.shown}: {url.hostname} is not the name of a host"
        raise ConfigError(msg, hint="look for an empty part between dots, or one of more than 63 characters") from None
    host = f"[{name}]" if ":" in name else name
    headers = [
        ("Host", f"{host}:{url.port}" if url.port else host),
        ("User-Agent", "strongroom"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),  # what is counted is what is parsed
        ("X-Vault-Request", "true"),
    ]
    if url.username:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers.append(("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}"))
    return [*headers, ("X-Vault-Namespace", namespace)] if namespace else headers


def _failure(error: BaseException, shown: str, waited_s: float) -> tuple[str, OpenBaoUnavailableError]:
    """Return the outcome for the metrics, and the error for the caller."""
    if (tls := _tls_error(error)) is not None:
        return "tls", not_trusted(shown, getattr(tls, "verify_message", "") or tls.strerror or "")
    if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
        return "timeout", too_late(shown, waited_s)
    return "unreachable", not_reached(shown, _because(error))


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    return next((one for one in (error, error.__cause__) if isinstance(one, ssl.SSLError)), None)


def _because(error: BaseException) -> str:
    """Return what the system said; "" if it said nothing."""
    if isinstance(error, socket.gaierror) or not isinstance(error, OSError):
        return getattr(error, "strerror", None) or ""
    number = error.errno or next(map(int, reversed(_ERRNO.findall(str(error)))), 0)
    return os.strerror(number) if number else ""

"""The store behind the proxy: requests in path style, signed with the proxy's own credentials.

What fails is not repeated, since SDKs do that: only what met an idle connection that the store had closed is sent once
more, if it may be. Bodies of answers are as the store sent them, never decompressed. Nothing here knows what is sealed.
"""

import asyncio
import contextlib
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from s3proxy.s3api.canonical import UNSIGNED_PAYLOAD, encode_path, encode_query
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.signer import Signer, StoreCredential
from s3proxy.s3api.signing_keys import SigningKeys
from s3proxy.store.answers import OddAnswerError
from s3proxy.store.capabilities import Capabilities
from s3proxy.store.connection import READ_BYTES, Body, Held, StoreAnswer
from s3proxy.store.connections import StoreConnections, StoreUnreachableError, Timeouts
from s3proxy.store.framing import UPLOAD_HEADERS, Framing, checksum_of, has_checksum, md5_of
from s3proxy.store.places import StoreBusyError
from s3proxy.store.sent import SentRequest
from strongroom.errors import ConfigError, PeerError, UnavailableError
from strongroom.service.following import Followed

_BEGIN_UPLOAD: Final = ("uploads", "")
_OF_CONTENT: Final = frozenset({"partNumber", "uploadId", "x-id"})
WHOLE_ANSWER_S: Final = 120.0  # for a document of some MiB
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Pairs = Iterable[tuple[str, str]]
Observe = Callable[[str, float, str], None]
MakeRoom = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class StoreRequest:
    """One request to the store.

    Attributes:
        method: of HTTP.
        bucket: "" for the list of buckets.
        key: "" for the bucket itself.
        query: decoded pairs.
        headers: to send and to sign; nothing else goes out.
        body: all of it, or its pieces; each of these is valid until the next one is asked for.
        length: of a body in pieces.
        is_trial: whether it finds out what the store does with names: nothing is refused or kept elsewhere then.
        is_empty: whether it writes an object without content: under a key that ends in a slash that is a folder.
        has_checksum: whether it carries a checksum that the store may not know; None for what is known of the store.
        sent: this very request on its way, if it was sent already.
    """

    method: str
    bucket: str = ""
    key: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] | None = None
    body: Body = None
    length: int | None = None
    is_trial: bool = False
    is_empty: bool = False
    has_checksum: bool | None = None
    sent: SentRequest | None = None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a store is, and how it is asked.

    Attributes:
        address: of the store.
        region: to sign for.
        timeouts: of each request.
        connections: at once.
        sign_payload: whether to sign bodies, too: by their hashes, streams piece by piece.
        ca_file: authorities of the store's certificate; None for the system's.
    """

    address: str
    region: str
    timeouts: Timeouts
    connections: int
    sign_payload: bool = False
    ca_file: Path | None = None


class Store:
    """A client of the store, for one event loop.

    Attributes:
        capabilities: what the store can do, as far as it is known.
    """

    def __init__(
        self, endpoint: Endpoint, credentials: Followed[StoreCredential], *, observe: Observe = lambda *_: None
    ) -> None:
        """Make the client; nothing is sent yet. Needs a running event loop.

        Args:
            endpoint: of the store.
            credentials: what requests are signed with.
            observe: told after each request the outcome, the seconds until its answer began, and its id at the store.

        Raises:
            ConfigError: the file of authorities cannot be used.
        """
        self.capabilities = Capabilities()
        url = urlsplit(endpoint.address)
        self._host = url.netloc
        self._endpoint = endpoint
        self._credentials = credentials
        self._signing_keys = SigningKeys()
        self._signer: Signer | None = None
        self._observe = observe
        self._connections = StoreConnections(
            url.hostname or "",
            url.port or _DEFAULT_PORTS[url.scheme],
            tls=_tls(endpoint.ca_file) if url.scheme == "https" else None,
            timeouts=endpoint.timeouts,
            limit=endpoint.connections,
        )

    @property
    def connections_in_use(self) -> tuple[int, int]:
        """How many connections are in use, and how many there may be."""
        return self._connections.places.taken, self._connections.places.count

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    def exchange(self, request: StoreRequest) -> contextlib.AbstractAsyncContextManager[StoreAnswer]:
        """Send a request and give the answer, whatever its status. What is not read of it closes its connection.

        Raises:
            S3Error: the store does not keep such a name.
            UnavailableError: the store cannot be reached, or is too slow, or all connections to it are in use.
            PeerError: its answer is nonsense, or ends early.
        """
        if request.key and not request.is_trial and request.sent is None:
            self.capabilities.require_name(request.key, method=request.method)
        return self.send(request)

    def send_now(self, request: StoreRequest, on_progress: Callable[[], None]) -> SentRequest | None:
        """Send a request whose body is there, if nothing has to be waited for; see ``StoreConnections.send_now``.

        Raises:
            S3Error: the store does not keep such a name.
            UnavailableError: it is not known yet whether it does.
        """
        self.capabilities.require_name(request.key, method=request.method)
        if not self._connections.may_send_now:  # nothing is signed in vain
            return None
        head, body = self._message(request)
        assert isinstance(body, Held | None)  # noqa: S101 - what is there is not framed
        return self._connections.send_now(request.method, head, body, on_progress)

    def note_answer(self, answer: StoreAnswer, seconds: float) -> None:
        """Count an answer that was waited for this long."""
        self._observe(f"{answer.status // 100}xx", seconds, answer.headers.get("x-amz-request-id", ""))

    @contextlib.asynccontextmanager
    async def send(self, request: StoreRequest) -> AsyncIterator[StoreAnswer]:
        """Do what ``exchange`` does with a name that was looked at.

        Raises:
            StrongroomError: as ``exchange``.
        """
        sent = request.sent
        head, body = (sent.head, sent.body) if sent else self._message(request)
        begin = sent.began if sent else time.perf_counter()
        try:
            repeatable = is_repeatable(request)
            async with self._connections.exchange(
                request.method, head, body, repeatable=repeatable, sent=sent
            ) as answer:
                self.note_answer(answer, time.perf_counter() - begin)
                yield answer
        except TimeoutError as error:
            self._observe("timeout", time.perf_counter() - begin, "")
            msg = "the store did not answer in time"
            raise UnavailableError(msg, hint="it is overloaded, stopped, or the network drops packets") from error
        except StoreBusyError:
            self._observe("busy", time.perf_counter() - begin, "")
            raise
        except StoreUnreachableError:
            self._observe("unreachable", time.perf_counter() - begin, "")
            raise
        except aiohttp.ClientError as error:
            self._observe("broken", time.perf_counter() - begin, "")
            raise connection_broke() from error
        except HttpProcessingError as error:
            self._observe("broken", time.perf_counter() - begin, "")
            msg = "the store does not answer in HTTP"
            raise PeerError(
                msg, hint="check that store_address names its S3 port, and https where it wants TLS"
            ) from error

    @property
    def signer(self) -> Signer:
        """What signs by the credentials in force."""
        credential, signer = self._credentials.value, self._signer
        if signer is None or signer.credential is not credential:
            signer = self._signer = Signer(credential, self._endpoint.region, self._signing_keys)
        return signer

    def _message(self, request: StoreRequest) -> tuple[bytes, Body]:
        """Return request line and headers, signed, with the empty line behind them; and the body as it is sent."""
        raw_path = encode_path(request.bucket, request.key) if request.bucket else "/"
        raw_query = encode_query(request.query)
        headers = dict(request.headers or {})
        vouched = self.capabilities.checksums if request.has_checksum is None else request.has_checksum
        if vouched and request.method == "POST" and _BEGIN_UPLOAD in request.query:
            headers |= UPLOAD_HEADERS
        framing, body = None, request.body
        if isinstance(body, Held):
            headers |= _checksum(request, body, headers, is_known=bool(vouched))
        elif body is not None and request.length is not None:
            framing = self._framing(request, request.length, headers, is_known=bool(vouched))
        if framing is not None:
            headers |= framing.headers(headers)
        signer = self.signer
        added = signer.sign(
            request.method,
            host=self._host,
            raw_path=raw_path,
            raw_query=raw_query,
            headers=headers,
            payload_sha256=framing.payload if framing is not None else self._payload_sha256(body),
            now=datetime.now(UTC),
        )
        headers |= added | _length_header(request, framing)
        if body is not None and not isinstance(body, Held):
            signing = signer.of_chunks(added) if self._endpoint.sign_payload else None
            body = _kept(body) if framing is None else framing.frame(body, signing)
        target = f"{raw_path}?{raw_query}" if raw_query else raw_path
        lines = [f"{request.method} {target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head, breaks = "\r\n".join(lines), len(lines) - 1
        if head.count("\r") != breaks or head.count("\n") != breaks or "\0" in head:  # RFC 9110, section 5.5
            raise S3Error("InvalidRequest", "A header holds a line break or a NUL.")
        return (head + "\r\n\r\n").encode("utf-8", "surrogateescape"), body

    def _framing(
        self, request: StoreRequest, length: int, headers: Mapping[str, str], *, is_known: bool
    ) -> Framing | None:
        """Return how a stream is framed, None if it goes out as it is."""
        has_trailer = is_known and is_content(request) and not has_checksum(headers)
        if not has_trailer and not self._endpoint.sign_payload:
            return None
        return Framing(length, has_trailer=has_trailer, is_signed=self._endpoint.sign_payload)

    def _payload_sha256(self, body: Body) -> str:
        if not self._endpoint.sign_payload or not isinstance(body, Held | None):
            return UNSIGNED_PAYLOAD
        return hashlib.sha256(body or b"").hexdigest()


async def _kept(pieces: AsyncIterator[Held]) -> AsyncIterator[Held]:
    """Copy pieces whose buffer is used again: a transport may send them later, from where they are."""
    async for piece in pieces:
        yield bytes(piece)


def is_content(request: StoreRequest) -> bool:
    """Return whether a request carries content of an object, and no document about it."""
    return request.method == "PUT" and bool(request.key) and {name for name, _ in request.query} <= _OF_CONTENT


def _checksum(request: StoreRequest, body: Held, headers: Mapping[str, str], *, is_known: bool) -> dict[str, str]:
    """Return the header that vouches for a body; S3 demands one wherever Object Lock may apply.

    Of a POST a checksum would be taken for that of the object that it completes.
    """
    if request.method != "PUT" or has_checksum(headers):
        return {}
    return checksum_of(body) if is_known and is_content(request) else md5_of(body)


def connection_broke() -> UnavailableError:
    """Return the error for a store whose answer ended early."""
    return UnavailableError("the connection to the store broke", hint="see the log of the store")


def is_repeatable(request: StoreRequest) -> bool:
    """Return whether a request that may have arrived can be sent again (RFC 9110, section 9.2.2).

    A condition of a write may hold the first time only: its own object would then be what stands in its way.
    """
    if request.method in {"GET", "HEAD"}:
        return True
    conditional = any(name.startswith("if-") for name in request.headers or ())
    return request.method in {"PUT", "DELETE"} and isinstance(request.body, Held | None) and not conditional


def _length_header(request: StoreRequest, framing: Framing | None) -> dict[str, str]:
    if framing is not None:
        return {"Content-Length": str(framing.framed_length)}
    if request.length is not None:
        return {"Content-Length": str(request.length)}
    if isinstance(request.body, Held):
        return {"Content-Length": str(len(request.body))}
    return {"Content-Length": "0"} if request.method in {"PUT", "POST"} else {}


class Together:
    """Has documents counted as one, as what is read in them is held until the last of them was read."""

    def __init__(self, make_room: MakeRoom, *, size: int = 0) -> None:
        """Take what is told of how many bytes there are, and how many there are already."""
        self._make_room = make_room
        self._size = size
        self._turn = asyncio.Lock()  # for lists that are read beside each other

    def next(self) -> MakeRoom:
        """Return what is told of how many bytes there are of the next document."""
        known = 0

        async def hold(size: int) -> None:
            nonlocal known
            self._size += size - known
            known = size
            async with self._turn:
                await self._make_room(self._size)

        return hold


async def read_all(
    response: StoreAnswer, limit_bytes: int, *, within_s: float = WHOLE_ANSWER_S, make_room: MakeRoom | None = None
) -> bytes:
    """Return the body of an answer.

    Args:
        response: whose.
        limit_bytes: this long it may be.
        within_s: all of it has to be there.
        make_room: is told of how many bytes there are, before more are read.

    Raises:
        PeerError: it is longer than it may be.
        TimeoutError: it is not there in time, however steadily it comes; ``exchange`` makes an UnavailableError of it.
    """
    pieces, size = [], 0
    async with asyncio.timeout(within_s):
        async for piece in response.content.iter_chunked(READ_BYTES):
            size += len(piece)
            if size > limit_bytes:
                raise OddAnswerError(f"the store answers more than {limit_bytes} bytes where less is expected")
            pieces.append(piece)
            if make_room is not None:
                await make_room(size)
    return b"".join(pieces)


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError:
        msg = f"store_ca_file={ca_file}: cannot be read, or is not a PEM file with certificates"
        raise ConfigError(msg, hint="name the file with the authority of the store's certificate") from None
    context.hostname_checks_common_name = False  # RFC 9525, section 6.3: it is not a name of a host
    return context

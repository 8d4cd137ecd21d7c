"""The store behind the proxy: requests in path style, signed with the proxy's own credentials.

One exchange at a time and no retry: a body that streams cannot be sent twice, and SDKs repeat what failed. Bodies of
answers are as the store sent them, never decompressed. Nothing here knows what is sealed.
"""

import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from s3proxy.front.canonical import UNSIGNED_PAYLOAD, encode_path, encode_query
from s3proxy.front.signer import Signer, StoreCredential
from s3proxy.front.signing_keys import SigningKeys
from strongroom.errors import ConfigError, PeerError, UnavailableError

READ_BYTES: Final = 1 << 18  # what one read of an answer gives at most
_SKIPPED: Final = frozenset({"User-Agent", "Content-Type", "Accept", "Accept-Encoding"})

Pairs = Iterable[tuple[str, str]]
Observe = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds to wait for the store: for a connection, and for the next byte."""

    connect_s: float
    idle_s: float


@dataclass(frozen=True, kw_only=True)
class StoreRequest:
    """One request to the store.

    Attributes:
        method: of HTTP.
        bucket: "" for the list of buckets.
        key: "" for the bucket itself.
        query: decoded pairs.
        headers: to send and to sign; nothing else goes out.
        body: all of it, or its pieces.
        length: of a body in pieces.
    """

    method: str
    bucket: str = ""
    key: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] | None = None
    body: bytes | AsyncIterator[bytes] | None = None
    length: int | None = None


class Store:
    """A client of the store, for one event loop."""

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        address: str,
        credential: Callable[[], StoreCredential],
        *,
        region: str,
        timeouts: Timeouts,
        connections: int,
        ca_file: Path | None = None,
        observe: Observe = lambda *_: None,
    ) -> None:
        """Make the client; nothing is sent yet. Needs a running event loop.

        Args:
            address: of the store.
            credential: returns what to sign the next request with.
            region: to sign for.
            timeouts: of each request.
            connections: at once.
            ca_file: authorities of the store's certificate; None for the system's.
            observe: told after each request the outcome and the seconds until its answer began.

        Raises:
            ConfigError: the file of authorities cannot be used.
        """
        url = urlsplit(address)
        self._base = f"{url.scheme}://{url.netloc}"
        self._host = url.netloc
        self._credential = credential
        self._region = region
        self._signing_keys = SigningKeys()
        self._observe = observe
        tls = _tls(ca_file) if url.scheme == "https" else False
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=timeouts.connect_s, connect=None, sock_read=timeouts.idle_s
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
            read_bufsize=READ_BYTES,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @contextlib.asynccontextmanager
    async def exchange(self, request: StoreRequest) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and give the answer, whatever its status. What is not read of it closes its connection.

        Raises:
            UnavailableError: the store cannot be reached, or is too slow.
            PeerError: its answer is nonsense, or ends early.
        """
        raw_path = encode_path(request.bucket, request.key) if request.bucket else "/"
        raw_query = encode_query(request.query)
        headers = dict(request.headers or {})
        headers |= Signer(self._credential(), region=self._region, keys=self._signing_keys).sign(
            request.method,
            host=self._host,
            raw_path=raw_path,
            raw_query=raw_query,
            headers=headers,
            payload_sha256=UNSIGNED_PAYLOAD,
            now=datetime.now(UTC),
        )
        if request.length is not None:
            headers["Content-Length"] = str(request.length)
        elif request.body is None and request.method in {"PUT", "POST"}:
            headers["Content-Length"] = "0"
        url = URL(self._base + raw_path + ("?" + raw_query if raw_query else ""), encoded=True)
        begin = time.perf_counter()
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=request.body, allow_redirects=False
            ) as response:
                self._observe(f"{response.status // 100}xx", time.perf_counter() - begin)
                try:
                    yield response
                finally:
                    if not response.content.is_eof():
                        response.close()  # an answer that is not wanted is not worth reading
        except (aiohttp.ServerTimeoutError, TimeoutError) as error:
            self._observe("timeout", time.perf_counter() - begin)
            msg = "the store did not answer in time"
            raise UnavailableError(msg, hint="it is overloaded, stopped, or the network drops packets") from error
        except aiohttp.ClientConnectorError as error:
            self._observe("unreachable", time.perf_counter() - begin)
            msg = "the store cannot be reached"
            raise UnavailableError(msg, hint="check that it runs and that store_address is right") from error
        except aiohttp.ClientError as error:
            self._observe("broken", time.perf_counter() - begin)
            msg = "the connection to the store broke"
            raise UnavailableError(msg, hint="see the log of the store") from error


async def read_all(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """Return the body of an answer.

    Raises:
        PeerError: it is longer than it may be.
    """
    pieces, size = [], 0
    async for piece in response.content.iter_chunked(READ_BYTES):
        size += len(piece)
        if size > limit_bytes:
            msg = f"the store answers more than {limit_bytes} bytes where less is expected"
            raise PeerError(msg)
        pieces.append(piece)
    return b"".join(pieces)


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError:
        msg = f"store_ca_file={ca_file}: cannot be read, or is not a PEM file with certificates"
        raise ConfigError(msg, hint="name the file with the authority of the store's certificate") from None

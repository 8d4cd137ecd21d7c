"""The store behind the proxy: requests in path style, signed with the proxy's own credentials.

What fails is not repeated, since SDKs do that: only what met an idle connection that the store had closed is sent once
more, if it may be. Bodies of answers are as the store sent them, never decompressed. Nothing here knows what is sealed.
"""

import contextlib
import hashlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from s3proxy.front.canonical import UNSIGNED_PAYLOAD, encode_path, encode_query
from s3proxy.front.errors import S3Error
from s3proxy.front.signer import Signer, StoreCredential
from s3proxy.front.signing_keys import SigningKeys
from s3proxy.store.connections import READ_BYTES, Body, StoreAnswer, StoreConnections, StoreUnreachableError, Timeouts
from strongroom.errors import ConfigError, PeerError, UnavailableError

_NOT_IN_A_HEADER: Final = re.compile(r"[\r\n\0]")  # RFC 9110, section 5.5
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Pairs = Iterable[tuple[str, str]]
Observe = Callable[[str, float], None]


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
    body: Body = None
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
        sign_payload: bool = False,
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
            sign_payload: whether to sign hashes of bodies; streams are refused then.
            ca_file: authorities of the store's certificate; None for the system's.
            observe: told after each request the outcome and the seconds until its answer began.

        Raises:
            ConfigError: the file of authorities cannot be used.
        """
        url = urlsplit(address)
        self._host = url.netloc
        self._credential = credential
        self._region = region
        self._signing_keys = SigningKeys()
        self._sign_payload = sign_payload
        self._observe = observe
        self._connections = StoreConnections(
            url.hostname or "",
            url.port or _DEFAULT_PORTS[url.scheme],
            tls=_tls(ca_file) if url.scheme == "https" else None,
            timeouts=timeouts,
            limit=connections,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    @contextlib.asynccontextmanager
    async def exchange(self, request: StoreRequest) -> AsyncIterator[StoreAnswer]:
        """Send a request and give the answer, whatever its status. What is not read of it closes its connection.

        Raises:
            UnavailableError: the store cannot be reached, or is too slow.
            PeerError: its answer is nonsense, or ends early.
        """
        head = self._head(request)
        begin = time.perf_counter()
        try:
            repeatable = is_repeatable(request)
            async with self._connections.exchange(request.method, head, request.body, repeatable=repeatable) as answer:
                self._observe(f"{answer.status // 100}xx", time.perf_counter() - begin)
                yield answer
        except TimeoutError as error:
            self._observe("timeout", time.perf_counter() - begin)
            msg = "the store did not answer in time"
            raise UnavailableError(msg, hint="it is overloaded, stopped, or the network drops packets") from error
        except StoreUnreachableError:
            self._observe("unreachable", time.perf_counter() - begin)
            raise
        except aiohttp.ClientError as error:
            self._observe("broken", time.perf_counter() - begin)
            raise connection_broke() from error
        except HttpProcessingError as error:
            self._observe("broken", time.perf_counter() - begin)
            msg = "the store does not answer in HTTP"
            raise PeerError(
                msg, hint="check that store_address names its S3 port, and https where it wants TLS"
            ) from error

    def _head(self, request: StoreRequest) -> bytes:
        """Return request line and headers, signed, with the empty line behind them."""
        raw_path = encode_path(request.bucket, request.key) if request.bucket else "/"
        raw_query = encode_query(request.query)
        headers = dict(request.headers or {})
        signed = Signer(self._credential(), region=self._region, keys=self._signing_keys).sign(
            request.method,
            host=self._host,
            raw_path=raw_path,
            raw_query=raw_query,
            headers=headers,
            payload_sha256=self._payload_sha256(request),
            now=datetime.now(UTC),
        )
        headers |= signed | _length_header(request)
        target = f"{raw_path}?{raw_query}" if raw_query else raw_path
        lines = [f"{request.method} {target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any(_NOT_IN_A_HEADER.search(line) for line in lines):
            code, msg = "InvalidRequest", "A header holds a line break or a NUL."
            raise S3Error(code, msg)
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def _payload_sha256(self, request: StoreRequest) -> str:
        if not self._sign_payload:
            return UNSIGNED_PAYLOAD
        if isinstance(request.body, bytes | None):
            return hashlib.sha256(request.body or b"").hexdigest()
        code = "NotImplemented"
        msg = "The store wants signed bodies, and this one is too large to be hashed before it is sent."
        hint = "send it in smaller parts, raise buffered_body_bytes, or set store_payload to unsigned"
        raise S3Error(code, msg, hint=hint)


def connection_broke() -> UnavailableError:
    """Return the error for a store whose answer ended early."""
    return UnavailableError("the connection to the store broke", hint="see the log of the store")


def is_repeatable(request: StoreRequest) -> bool:
    """Say whether a request that may have arrived can be sent again (RFC 9110, section 9.2.2).

    A condition of a write may hold the first time only: its own object would then be what stands in its way.
    """
    if request.method in {"GET", "HEAD"}:
        return True
    conditional = any(name.startswith("if-") for name in request.headers or ())
    return request.method in {"PUT", "DELETE"} and isinstance(request.body, bytes | None) and not conditional


def _length_header(request: StoreRequest) -> dict[str, str]:
    if request.length is not None:
        return {"Content-Length": str(request.length)}
    if isinstance(request.body, bytes):
        return {"Content-Length": str(len(request.body))}
    return {"Content-Length": "0"} if request.method in {"PUT", "POST"} else {}


async def read_all(response: StoreAnswer, limit_bytes: int) -> bytes:
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

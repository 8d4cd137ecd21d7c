"""Two proxies in front of one store, one with the fast path and one without: both are sent the same requests."""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.request import urlopen

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from devstack.s3proxy import POLICY, ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
from s3proxy.s3api.canonical import UNSIGNED_PAYLOAD, encode_query
from s3proxy.s3api.signer import Signer, StoreCredential
from s3proxy.s3api.sigv4 import ChunkSigning
from s3proxy.store.framing import Framing
from strongroom.secret import Secret
from tests.support.s3.raw import Answer, KeepingClient
from tests.support.s3.relay import Rewrite, StoreRelay

LENGTH: Final = "x-amz-decoded-content-length"
_LEFT: Final = re.compile(r'^strongroom_s3proxy_general_path_total\{reason="(\w+)"\} ([0-9.]+)$', re.MULTILINE)
_OF_ITS_OWN: Final = re.compile(rb"(?im)^(x-amz-request-id|date): [^\r]*")
_REQUEST_ID: Final = re.compile(rb"<RequestId>[^<]*</RequestId>|<AWSAccessKeyId>[^<]*</AWSAccessKeyId>")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A request, before it is signed.

    Attributes:
        method: of HTTP.
        path: raw, as it is sent.
        query: decoded.
        headers: besides those of the signature and the body.
        size: of its body, which is this many ``x``.
        payload: what the signature says of the body: "unsigned", "hashed", or how it is framed: "trailer", "signed",
            "signed-trailer".
        sign: "header", "presigned", "wrong" or "" for not at all.
        harm: flip this byte of the plaintext on its way, if there is one.
        chunk: how much of the body is in each chunk of ``Transfer-Encoding: chunked``; 0 for a Content-Length.
        cuts: where the bytes of the request are cut into pieces that are sent one by one.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    payload: str = "unsigned"
    sign: str = "header"
    harm: int | None = None
    chunk: int = 0
    cuts: tuple[int, ...] = ()

    @property
    def body(self) -> bytes:
        """Its plaintext."""
        return b"x" * self.size


def pieces_of(wish: Wish, proxy: ProxyProcess) -> list[bytes]:
    """Return the bytes of a request to a proxy, signed by its client."""
    signer = Signer(StoreCredential(proxy.access_key, Secret(proxy.secret_key.encode())), region=REGION)
    framing = None
    headers, payload = dict(wish.headers), UNSIGNED_PAYLOAD
    if wish.method == "PUT":
        if wish.payload == "hashed":
            payload = hashlib.sha256(wish.body).hexdigest()
        elif wish.payload != "unsigned":
            framing = Framing(
                len(wish.body), has_trailer=wish.payload.endswith("trailer"), is_signed=wish.payload.startswith("sign")
            )
            headers |= framing.headers(headers) | {name: headers[name] for name in (LENGTH,) if name in headers}
            payload = framing.payload
    raw_query, body = encode_query(wish.query), wish.body
    target = f"{wish.path}?{raw_query}" if raw_query else wish.path
    added: dict[str, str] = {}
    if wish.sign in {"header", "wrong"}:
        added = signer.sign(
            wish.method,
            host=proxy.address,
            raw_path=wish.path,
            raw_query=raw_query,
            headers=headers,
            now=datetime.now(UTC),
            payload_sha256=payload,
        )
    elif wish.sign == "presigned":
        request = AWSRequest(method=wish.method, url=f"{proxy.url}{target}", headers=dict(headers))
        signing: Any = auth.S3SigV4QueryAuth(Credentials(proxy.access_key, proxy.secret_key), "s3", REGION, expires=600)
        signing.add_auth(request)
        target = request.url.removeprefix(proxy.url)
    if wish.sign == "wrong":
        text = added["Authorization"]
        added["Authorization"] = text[:-1] + ("0" if text[-1] != "0" else "1")
    if framing is not None:
        signs = signer.of_chunks(added) if "Authorization" in added and wish.payload.startswith("sign") else None
        body = asyncio.run(_framed(framing, wish.body, signs))
    if wish.harm is not None and wish.size:
        place = wish.harm % wish.size + (body.index(b"\r\n") + 2 if framing is not None else 0)
        body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
    length = {"content-length": str(len(body))} if wish.method == "PUT" else {}
    if wish.chunk:
        length, body = {"transfer-encoding": "chunked"}, _in_chunks(body, wish.chunk)
    lines = [f"{wish.method} {target} HTTP/1.1", f"Host: {proxy.address}"]
    lines += [f"{name}: {value}" for name, value in (headers | length | added).items()]
    raw = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    cuts = sorted({cut % len(raw) for cut in wish.cuts} | {0, len(raw)})
    return [raw[begin:end] for begin, end in pairwise(cuts)]


def _in_chunks(body: bytes, size: int) -> bytes:
    """Return a body in HTTP's chunks (RFC 9112, section 7.1)."""
    pieces = [body[begin : begin + size] for begin in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def _framed(framing: Framing, body: bytes, signing: ChunkSigning | None) -> bytes:
    async def whole() -> AsyncIterator[bytes]:
        yield body

    return b"".join([piece async for piece in framing.frame(whole(), signing)])


class Twins:
    """Both. A context manager.

    Attributes:
        relay: between both and the store.
        fast: the one with the fast path.
        general: the one without it.
    """

    def __init__(
        self,
        directory: Path,
        store: SeaweedServer,
        *,
        policy: str = POLICY,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        """Start them."""
        self._stack = ExitStack()
        self.relay = self._stack.enter_context(StoreRelay(store.address))

        def start(name: str, *, fast_path: bool) -> ProxyProcess:
            own = {
                "store_address": self.relay.address,
                "fast_path": fast_path,
                "access_log": str(directory / f"{name}.jsonl"),
            }
            return self._stack.enter_context(
                ProxyProcess(directory / name, store, policy=policy, settings=own | dict(settings or {}))
            )

        self.fast, self.general = start("fast", fast_path=True), start("general", fast_path=False)
        self.clients = KeepingClient(self.fast), KeepingClient(self.general)

    def __enter__(self) -> Self:
        """Return them."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End them."""
        for client in self.clients:
            client.close()
        self._stack.close()

    def send(self, wish: Wish, lie: Rewrite = lambda _, head: head) -> tuple["Told", "Told"]:
        """Send a request to both, and return what each of them tells while the store lies to them."""
        return self.send_to(self.fast, wish, lie), self.send_to(self.general, wish, lie)

    def send_to(self, proxy: ProxyProcess, wish: Wish, lie: Rewrite = lambda _, head: head) -> "Told":
        """Send a request to one of them."""
        client = self.clients[proxy is self.general]
        client.connect()
        self.relay.rewrite = lie
        try:
            answer = client.exchange(wish.method, pieces_of(wish, proxy))
        finally:
            self.relay.rewrite = lambda _, head: head
        return Told(answer, _OF_ITS_OWN.sub(rb"\1", client.head))

    def left(self) -> Counter[str]:
        """Return how many requests the fast path has left to the general one, by reason."""
        with urlopen(f"http://{self.fast.health_address}/metrics") as answer:
            text = answer.read().decode()
        return Counter({reason: int(float(count)) for reason, count in _LEFT.findall(text)})


@dataclass(frozen=True)
class Told:
    """What a proxy answers, without what is of each answer its own.

    Attributes:
        answer: as it was read.
        head: its head.
    """

    answer: Answer
    head: bytes

    @property
    def view(self) -> tuple[bytes, bytes, bool]:
        """All of it that two proxies should tell alike."""
        return self.head, _REQUEST_ID.sub(b"", self.answer.body), self.answer.complete

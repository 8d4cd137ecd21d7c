"""Requests as the clients of a proxy really send them, for the load generator. Pure, but for reading what was captured.

``bench/src/CLIENT-METHOD.http`` is the head of a request as a server got it over TLS from the real client, with gaps
where requests differ. ``tests/bench/test_shapes.py`` runs the clients and compares every byte, the signature and the
framing of the body included. Over TLS, since that is how they talk to a proxy elsewhere than on the same machine:
without it boto3 signs a digest of the body instead of sending a trailer. The TLS itself is not measured.
"""

import base64
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from bench.payload import Payload
from s3proxy.s3api.canonical import canonical_request, string_to_sign
from s3proxy.s3api.scope import DATE_FORMAT
from s3proxy.s3api.signing_keys import Scope, derive_key, sign
from strongroom.secret import Secret

REGION: Final = "us-east-1"
Client = Literal["boto3", "javascript", "rclone"]
_HEADS: Final = Path(__file__).parent / "src"
_SUMS: Final[Mapping[str, Callable[[Payload], str]]] = {
    "crc32": Payload.crc32,
    "md5": lambda body: base64.b64encode(body.md5()).decode(),
    "sha256": lambda body: body.sha256().hex(),
}


@dataclass(frozen=True, kw_only=True)
class User:
    """Who signs."""

    access_key: str
    secret_key: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a request goes.

    Attributes:
        host: with its port, as the header has it.
        path: of the object, percent-encoded.
    """

    host: str
    path: str


def signed_head(  # noqa: PLR0913 - what a head is made of
    client: Client,
    method: str,
    place: Place,
    user: User,
    *,
    now: datetime,
    invocation: str,
    body: Payload | None = None,
) -> bytes:
    """Return the signed head of a request.

    Args:
        client: that would send it.
        method: GET or PUT.
        place: where it goes.
        user: who signs.
        now: when it is signed.
        invocation: the id that SDKs give a call.
        body: of a PUT.
    """
    return fill(_captured(client, method), place, user, now=now, invocation=invocation, body=body)


def fill(  # noqa: PLR0913 - what a head is made of
    text: str, place: Place, user: User, *, now: datetime, invocation: str, body: Payload | None = None
) -> bytes:
    """Fill the gaps of a captured head, and sign it; see ``signed_head``."""
    time = now.strftime(DATE_FORMAT)
    scope = Scope(time[:8], REGION)
    gaps = {
        "target": place.path,
        "host": place.host,
        "time": time,
        "id": invocation,
        "credential": f"{user.access_key}/{scope}",
        "signature": "{signature}",
    }
    if body is not None:
        gaps |= {"length": str(body.size)} | {gap: make(body) for gap, make in _SUMS.items() if f"{{{gap}}}" in text}
    filled = text.format_map(gaps)
    key = derive_key(Secret(user.secret_key.encode()), scope)
    signature = sign(key, string_to_sign(_canonical(filled), timestamp=time, scope=str(scope)))
    return filled.replace("{signature}", signature).replace("\n", "\r\n").encode() + b"\r\n"


def is_asked_for(client: Client, method: str) -> bool:
    """Return whether the client waits for ``100 Continue`` before it sends the body."""
    return "Expect: 100-continue\n" in _captured(client, method)


def is_framed(client: Client, method: str) -> bool:
    """Return whether the body is sent in chunks of HTTP that hold ``aws-chunked`` content with a trailer."""
    return "Content-Encoding: aws-chunked\n" in _captured(client, method)


@functools.cache
def _captured(client: Client, method: str) -> str:
    return (_HEADS / f"{client}-{method}.http").read_text()


def _canonical(text: str) -> bytes:
    """Return the canonical request of a head whose Authorization says which headers are signed."""
    request, *lines = text.splitlines()
    method, target, _ = request.split(" ")
    path, _, query = target.partition("?")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    return canonical_request(
        method=method,
        path=path,
        query=query,
        headers=[(name, headers[name]) for name in names],
        payload=headers["x-amz-content-sha256"],
    )

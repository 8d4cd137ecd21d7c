"""S3 requests for tests: AWS's example key, requests signed by botocore, bodies framed by a writer of our own."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest import mock

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from s3proxy.s3api.credentials import ANONYMOUS, Credential, Credentials, Grant, Principal, Right
from s3proxy.s3api.head import RequestHead, make_head
from s3proxy.s3api.signing_keys import SigningKeys
from s3proxy.s3api.sigv4 import Verifier
from strongroom.secret import Secret
from tests.support.tree import ROOT

VECTORS = ROOT / "tests" / "vectors" / "sigv4"
AWS = json.loads((VECTORS / "aws.json").read_text())
ACCESS_KEY_ID: str = AWS["access_key_id"]
SECRET_KEY: str = AWS["secret_key"]
NOW = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "s3.example.com"

EVERYTHING = (Grant(("*",), ("",), frozenset(Right)),)
CREDENTIAL = Credential(ACCESS_KEY_ID, Secret(SECRET_KEY.encode()), Principal(ACCESS_KEY_ID, EVERYTHING))
CREDENTIALS = Credentials({ACCESS_KEY_ID: CREDENTIAL}, Principal(ANONYMOUS))


def verifier() -> Verifier:
    return Verifier(CREDENTIALS, keys=SigningKeys())


def aws_request(name: str) -> RequestHead:
    """Return the head of one of AWS's examples."""
    request = AWS["requests"][name]
    return make_head(request["method"], request["target"], [(key, value) for key, value in request["headers"]])


def sign_with_botocore(  # noqa: PLR0913 - the parts of a request
    method: str,
    target: str,
    *,
    headers: Mapping[str, str],
    presign_s: int = 0,
    body: bytes = b"",
    region: str = "us-east-1",
) -> RequestHead:
    """Return a request as botocore signs it, in its headers or, with ``presign_s``, in its query."""
    request = AWSRequest(method=method, url=f"https://{HOST}{target}", headers=dict(headers), data=body)
    signer: Any = auth.S3SigV4QueryAuth if presign_s else auth.S3SigV4Auth
    make = partial(signer, expires=presign_s) if presign_s else signer
    credentials = BotoCredentials(ACCESS_KEY_ID, SECRET_KEY)
    with mock.patch.object(auth, "get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        make(credentials, "s3", region).add_auth(request)
    raw_target = request.url.removeprefix(f"https://{HOST}")
    sent = [(name, value if isinstance(value, str) else value.decode()) for name, value in request.headers.items()]
    return make_head(method, raw_target, [("Host", HOST), *sent])


def crc32_base64(value: int) -> str:
    return base64.b64encode(value.to_bytes(4, "big")).decode()


class ChunkWriter:
    """Frames bodies as aws-chunked, written from AWS's documentation and not from the decoder."""

    def __init__(self, *, signing_key: bytes = b"", seed: str = "", timestamp: str = "", scope: str = "") -> None:
        self._key, self._previous, self._timestamp, self._scope = signing_key, seed, timestamp, scope

    def _sign(self, algorithm: str, rest: str) -> str:
        text = f"{algorithm}\n{self._timestamp}\n{self._scope}\n{self._previous}\n{rest}"
        self._previous = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        return self._previous

    def chunk(self, data: bytes) -> bytes:
        extension = ""
        if self._key:
            digests = f"{hashlib.sha256(b'').hexdigest()}\n{hashlib.sha256(data).hexdigest()}"
            extension = f";chunk-signature={self._sign('AWS4-HMAC-SHA256-PAYLOAD', digests)}"
        return f"{len(data):x}{extension}\r\n".encode() + (data + b"\r\n" if data else b"")

    def trailer(self, fields: Sequence[tuple[str, str]]) -> bytes:
        lines = "".join(f"{name}:{value}\r\n" for name, value in fields)
        if self._key and fields:
            digest = hashlib.sha256(lines.replace("\r\n", "\n").encode()).hexdigest()
            lines += f"x-amz-trailer-signature:{self._sign('AWS4-HMAC-SHA256-TRAILER', digest)}\r\n"
        return f"{lines}\r\n".encode()

    def body(self, chunks: Sequence[bytes], fields: Sequence[tuple[str, str]] = ()) -> bytes:
        return b"".join(self.chunk(data) for data in (*chunks, b"")) + self.trailer(fields)

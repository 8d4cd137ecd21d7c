"""What S3 demands of requests and other stores do not, checked on what a proxy has sent.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html ("The Content-MD5 or x-amz-sdk-checksum-algorithm
header is required for any request to upload an object with a retention period configured using Object Lock"), the same
of UploadPart, PutObjectRetention, PutObjectLegalHold, PutObjectLockConfiguration and DeleteObjects.
"""

import base64
import hashlib
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from s3proxy.s3api.aws_chunked import AwsChunkedDecoder
from s3proxy.s3api.checksums import algorithm_of_header, checksum_text, parse_checksum, running
from strongroom.sealed.digests import Checksum
from tests.support.s3.relay import Exchange

_DOCUMENTS = {"retention", "legal-hold", "object-lock", "delete"}
_BY_STORE = "x-amz-copy-source"


def require_s3_rules(exchanges: Iterable[Exchange]) -> int:
    """Check all requests; return how many carried content or a document that S3 wants a checksum of."""
    return sum(_require_checksum(exchange) for exchange in exchanges if not exchange.harm)


def _require_checksum(exchange: Exchange) -> bool:
    url = urlsplit(exchange.target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    is_object = url.path.count("/") > 1 and not url.path.endswith(f"/{url.path.split('/')[1]}/")
    content = exchange.method == "PUT" and is_object and query.keys() <= {"partNumber", "uploadId"}
    document = exchange.method in {"PUT", "POST"} and bool(query.keys() & _DOCUMENTS)
    if not (content or document) or _BY_STORE in exchange.headers:
        return False
    checksums = [name for name in exchange.headers if algorithm_of_header(name) or name == "x-amz-trailer"]
    given = checksums + ["content-md5"] * ("content-md5" in exchange.headers)
    assert given, f"{exchange.method} {exchange.target}: nothing vouches for the body"
    assert len(checksums) <= 1, f"{exchange.method} {exchange.target}: S3 takes one: {checksums}"
    for name in given:
        _require_right(exchange, name, exchange.headers[name])
    return True


def _require_right(exchange: Exchange, name: str, value: str) -> None:
    body = content_of(exchange)
    if name == "content-md5":
        assert base64.b64decode(value) == hashlib.md5(body, usedforsecurity=False).digest()
    elif name != "x-amz-trailer":  # or else decoding has compared it
        algorithm = algorithm_of_header(name)
        assert algorithm is not None
        total = running(algorithm)
        total.update(memoryview(body))
        assert value == checksum_text(Checksum(algorithm, total.digest()))


def content_of(exchange: Exchange) -> bytes:
    """Return the body of a request without its framing; a checksum behind it is compared."""
    if "x-amz-decoded-content-length" not in exchange.headers:
        return bytes(exchange.body)
    trailer = exchange.headers.get("x-amz-trailer", "")
    raw = bytes(exchange.body)
    if "HMAC" in exchange.headers["x-amz-content-sha256"]:
        raw = _without_signatures(raw)
    length = int(exchange.headers["x-amz-decoded-content-length"])
    decoder = AwsChunkedDecoder(length=length, signing=None, trailer_names=frozenset({trailer} - {""}))
    content = b"".join(map(bytes, decoder.feed(raw)))
    decoder.finish()
    if trailer:
        algorithm = algorithm_of_header(trailer)
        assert algorithm is not None
        total = running(algorithm)
        total.update(memoryview(content))
        claimed = parse_checksum(algorithm, decoder.trailers[trailer])
        assert claimed == Checksum(algorithm, total.digest())
    return content


def content_so_far(exchange: Exchange) -> bytes:
    """Return what came of the content of a request that may have been aborted, without its framing."""
    raw = bytes(exchange.body)
    if "x-amz-decoded-content-length" not in exchange.headers:
        return raw
    content, at = bytearray(), 0
    while line := raw[at:].partition(b"\r\n")[0]:
        size = int(line.partition(b";")[0], 16)
        begin = at + len(line) + 2
        content += raw[begin : begin + size]
        at = begin + size + 2
        if size == 0 or at > len(raw):
            break
    return bytes(content)


def _without_signatures(raw: bytes) -> bytes:
    """Take signatures out; the store has verified them."""
    kept, at = bytearray(), 0
    while True:
        line, _, _ = raw[at:].partition(b"\r\n")
        size, mark, _ = line.partition(b";chunk-signature=")
        assert mark
        kept += size + b"\r\n"
        at += len(line) + 2
        if int(size, 16) == 0:
            break
        kept += raw[at : at + int(size, 16) + 2]
        at += int(size, 16) + 2
    fields = raw[at:].split(b"\r\n")
    return bytes(kept) + b"\r\n".join(field for field in fields if not field.startswith(b"x-amz-trailer-signature:"))

"""What the fast path answers is what the general one answers: to any request, about good objects and damaged ones.

Two proxies in front of one store get the same requests, and the store's answers may be changed on their way. The
numbers are small here; STRONGROOM_TEST_FAST_PATH_EXAMPLES raises them, and draws other requests each time, for a run
by hand.
"""

import base64
import hashlib
import os
import random
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from s3proxy.s3api.canonical import encode_path
from tests.s3proxy.conftest import client_of
from tests.support.s3.relay import Exchange
from tests.support.s3.tamper import ENTRY, flip
from tests.support.s3.twins import Told, Twins, Wish

pytestmark = pytest.mark.early

LONG = "STRONGROOM_TEST_FAST_PATH_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("STRONGROOM_TEST_FAST_PATH_EXAMPLES", "150"))
CHUNK = 1 << 16
HEADER, FOOTER = 256, 112
LEAST = 5 << 20
_dice = random.Random(11)  # noqa: S311 - bodies, no keys

POLICY = """\
[[policy]]
name = "plain"
kek = "file"
buckets = ["twins-plain"]
mode = "passthrough"

[[policy]]
name = "migrate"
kek = "file"
buckets = ["twins-migrate"]
mode = "migrate"

[[policy]]
name = "md5"
kek = "file"
buckets = ["twins-md5"]
etag = "md5"

[[policy]]
name = "sealed"
kek = "file"
buckets = ["twins"]
"""
BUCKETS = ("twins", "twins-md5", "twins-migrate", "twins-plain", "twins-none")
SIZES = (0, 1, 40, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 9, (1 << 20) + 3)
ODD_KEY = "a b/ü+&=%?#;~!,'()*@:$.txt"


def damaged(body: bytes, entry: str) -> dict[str, tuple[bytes, str]]:
    """Return what a store could make of a sealed object."""
    raw = base64.b64decode(entry)
    return {
        "header": (flip(body, 20, 1), entry),
        "chunk": (flip(body, HEADER + 3, 1), entry),
        "footer": (flip(body, len(body) - 5, 1), entry),
        "cut": (body[:-1], entry),
        "longer": (body + b"x", entry),
        "empty": (b"", entry),
        "entry": (body, base64.b64encode(flip(raw, len(raw) - 3, 1)).decode()),
        "entry-key": (body, base64.b64encode(flip(raw, 20, 1)).decode()),
        "entry-form": (body, "AAAA"),
    }


def _fill(client: Any, bare: Any) -> list[str]:
    """Write the objects that are asked for; return their keys."""
    for bucket in BUCKETS[:-1]:
        bare.create_bucket(Bucket=bucket)
        for size in SIZES:
            client.put_object(
                Bucket=bucket, Key=f"size-{size}", Body=_dice.randbytes(size), Metadata={"colour": "blue"}
            )
        client.put_object(
            Bucket=bucket,
            Key=ODD_KEY,
            Body=b"odd",
            ChecksumAlgorithm="SHA256",
            ContentType="text/plain",
            CacheControl="no-store",
        )
        client.put_object(Bucket=bucket, Key="folder/", Body=b"content of a folder")
        bare.put_object(Bucket=bucket, Key="unsealed", Body=b"as it is")
        upload: dict[str, Any] = {"Bucket": bucket, "Key": "multi"}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        parts = [
            {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
            for number, body in ((1, _dice.randbytes(LEAST)), (2, b"tail"))
        ]
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        got = bare.get_object(Bucket=bucket, Key="size-40")
        stored, entry = got["Body"].read(), got["Metadata"].get(ENTRY)
        bare.put_object(Bucket=bucket, Key="moved", Body=stored, Metadata=got["Metadata"])
        if entry is not None:
            for name, (body, text) in damaged(stored, entry).items():
                bare.put_object(Bucket=bucket, Key=f"damaged-{name}", Body=body, Metadata={ENTRY: text})
    names = ["header", "chunk", "footer", "cut", "longer", "empty", "entry", "entry-key", "entry-form"]
    return [*(f"size-{size}" for size in SIZES), ODD_KEY, "folder/", "unsealed", "multi", "moved", "nothing",
            *(f"damaged-{name}" for name in names)]  # fmt: skip


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[Twins]:
    with Twins(tmp_path_factory.mktemp("twins"), store, policy=POLICY) as running:
        client = client_of(running.general.url, running.general.access_key, running.general.secret_key)
        _fill(client, bare)
        client.close()
        yield running


KEYS = (
    *(f"size-{size}" for size in SIZES), ODD_KEY, "folder/", "unsealed", "multi", "moved", "nothing", "",
    *(f"damaged-{name}" for name in damaged(bytes(400), base64.b64encode(bytes(300)).decode())),
)  # fmt: skip
RANGES = (
    "bytes=0-0", "bytes=0-", "bytes=3-9", "bytes=-5", "bytes=-0", "bytes=39-39", "bytes=40-", "bytes=65535-65536",
    "bytes=65530-", "bytes=9-3", "bytes=0-1,3-4", "lines=1-2", "bytes=0-99999999", "bytes=65536-131071",
)  # fmt: skip
DATES = ("Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 01 Jan 2038 00:00:00 GMT", "yesterday")
HEADERS: dict[str, tuple[str, ...]] = {
    "range": RANGES,
    "x-amz-checksum-mode": ("ENABLED", "enabled", "DISABLED", ""),
    "if-match": ('"0"', "*"),
    "if-none-match": ('"0"', "*"),
    "if-modified-since": DATES,
    "if-unmodified-since": DATES,
    "if-range": ('"0"', "Wed, 21 Oct 2015 07:28:00 GMT"),
    "origin": ("https://example.com",),
    "accept-encoding": ("gzip, deflate", "identity"),
    "user-agent": ("Boto3/1.40 md/Botocore#1.40 ua/2.1",),
    "amz-sdk-invocation-id": ("2a5b8d1e-0000-4000-8000-000000000000",),
    "x-amz-expected-bucket-owner": ("111122223333",),
    "x-amz-request-payer": ("requester",),
    "x-amz-server-side-encryption-customer-algorithm": ("AES256",),
    "x-amz-decoded-content-length": ("5", "999999999999"),
    "connection": ("close", "keep-alive"),
}
QUERIES = (
    ("x-id", "GetObject"), ("versionId", "null"), ("versionId", "none"), ("versionId", ""), ("partNumber", "1"),
    ("partNumber", "2"), ("response-content-type", "text/html"), ("response-cache-control", "no-store"),
    ("tagging", ""), ("unknown", "1"),
)  # fmt: skip


def _lies(name: str, value: bytes) -> Callable[[Exchange, bytes], bytes]:
    def rewrite(_: Exchange, head: bytes) -> bytes:
        lines = head.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(name.encode() + b":")]
        return b"\r\n".join(kept[:1] + ([name.encode() + b": " + value] if value else []) + kept[1:])

    return rewrite


LIES: dict[str, Callable[[Exchange, bytes], bytes]] = {
    "none": lambda _, head: head,
    "no etag": _lies("etag", b""),
    "a weak etag": _lies("etag", b'W/"0123456789abcdef0123456789abcdef"'),
    "another length": lambda exchange, head: (
        _lies("content-length", b"7")(exchange, head) if exchange.method == "HEAD" else head
    ),  # what comes behind a body is read with its end, or later
    "a range": _lies("content-range", b"bytes 0-9/400"),
    "all, as a range from elsewhere on": lambda exchange, head: (
        _lies("content-range", b"bytes 7-99/" + length.group(1))(exchange, head)
        if (length := re.search(rb"(?i)\r\ncontent-length: (\d+)", head))
        else head
    ),
    "no entry": _lies("x-amz-meta-seg1", b""),
    "an entry that is none": _lies("x-amz-meta-seg1", b"AAAA"),
    "a header that is not UTF-8": _lies("x-amz-meta-odd", b"\xff\xfe"),
    "a header with a control character": _lies("x-amz-meta-odd", b"a\x01b"),
    "aws-chunked": _lies("content-encoding", b"aws-chunked,gzip"),
    "another type": _lies("content-type", b""),
    "a version": _lies("x-amz-version-id", b"v1"),
    "206": lambda _, head: head.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 206 Partial Content", 1),
    "503": lambda _, head: head.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Slow Down", 1),
    "the connection ends": _lies("connection", b"close"),
    "an interim answer first": lambda _, head: b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + head,
}


@st.composite
def paths(draw: st.DrawFn, buckets: tuple[str, ...] = BUCKETS) -> str:
    """The raw path of an object, in one of the ways that clients write it."""
    path = encode_path(draw(st.sampled_from(buckets)), draw(st.sampled_from(KEYS)))
    spelling = draw(st.sampled_from(("strict", "strict", "lower", "bare", "all")))
    if spelling == "lower":
        return "".join(piece[:3].lower() + piece[3:] if index else piece for index, piece in enumerate(path.split("%")))
    if spelling == "bare":
        return path.replace("%40", "@").replace("%2C", ",").replace("%3A", ":")
    return path.replace("-", "%2D") if spelling == "all" else path


@st.composite
def reads(draw: st.DrawFn) -> Wish:
    """A read."""
    names = draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=3, unique=True))
    query = draw(st.lists(st.sampled_from(QUERIES), max_size=2, unique_by=lambda pair: pair[0]))
    return Wish(
        method=draw(st.sampled_from(("GET", "GET", "HEAD"))),
        path=draw(paths()),
        query=tuple(query),
        headers={name: draw(st.sampled_from(HEADERS[name])) for name in names},
        sign=draw(st.sampled_from(("header", "header", "header", "presigned", "wrong", ""))),
        cuts=tuple(draw(st.lists(st.integers(0, 700), max_size=2))),
    )


def _run(test: Callable[..., None]) -> Callable[..., None]:
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    phases = [Phase.explicit, Phase.generate] if LONG else [Phase.explicit, Phase.generate, Phase.shrink]
    chosen = settings(max_examples=EXAMPLES, derandomize=not LONG, suppress_health_check=checks, phases=phases)
    limited: Callable[..., None] = pytest.mark.timeout(0 if LONG else 180)(chosen(test))
    return limited


def _require_alike(told: tuple[Told, Told], wish: Wish, lie: str) -> None:
    fast, general = told
    assert fast.view == general.view, f"{wish}, {lie}:\nfast:    {fast.view}\ngeneral: {general.view}"


@_run
@given(wish=reads(), lie=st.sampled_from(sorted(LIES)) | st.just("none"))
def test_reads(twins: Twins, wish: Wish, lie: str) -> None:
    _require_alike(twins.send(wish, LIES[lie]), wish, lie)


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("headers", [{}, {"range": "bytes=3-9"}], ids=["all", "range"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_lie_about_a_good_object(twins: Twins, method: str, headers: dict[str, str], lie: str) -> None:
    wish = Wish(method=method, path="/twins/size-40", headers=headers)
    _require_alike(twins.send(wish, LIES[lie]), wish, lie)


WRITE_KEYS = ("written", "wr itten/ü+", "folder of it/")
WRITE_SIZES = (0, 1, 40, 8192, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK)
CRC_OF_FORTY = base64.b64encode(zlib.crc32(b"x" * 40).to_bytes(4, "big")).decode()
WRITE_HEADERS: dict[str, tuple[str, ...]] = {
    "content-type": ("text/plain", "text/plain; charset=utf-8"),
    "cache-control": ("no-store",),
    "content-encoding": ("gzip", "aws-chunked", "aws-chunked,gzip"),
    "content-md5": (base64.b64encode(hashlib.md5(b"x" * 40).digest()).decode(), "AAAA"),  # noqa: S324 - S3's
    "x-amz-checksum-crc32": (CRC_OF_FORTY, "AAAAAA==", "?"),
    "x-amz-sdk-checksum-algorithm": ("CRC32", "CRC64NVME", "MD5"),
    "x-amz-meta-colour": ("blue", "ü", "x" * 2100),
    "x-amz-meta-seg1": ("AAAA",),
    "x-amz-storage-class": ("STANDARD",),
    "x-amz-tagging": ("a=b",),
    "x-amz-acl": ("private", "public-read"),
    "x-amz-copy-source": ("/twins/size-40",),
    "x-amz-server-side-encryption-customer-algorithm": ("AES256",),
    "if-none-match": ("*", '"0"'),
    "if-match": ("*", '"0"'),
    "expect": ("100-continue", "200-ok"),
    "x-amz-decoded-content-length": ("40", "65536", "65537", "x"),
    "connection": ("close",),
}


@st.composite
def writes(draw: st.DrawFn) -> Wish:
    """A write."""
    names = draw(st.lists(st.sampled_from(sorted(WRITE_HEADERS)), max_size=3, unique=True))
    return Wish(
        method="PUT",
        path=encode_path(
            draw(st.sampled_from(BUCKETS)), draw(st.sampled_from(("written", "wr itten/ü+", "folder of it/")))
        ),
        query=tuple(draw(st.sampled_from(((), (), (("x-id", "PutObject"),), (("partNumber", "1"),), (("acl", ""),))))),
        headers={name: draw(st.sampled_from(WRITE_HEADERS[name])) for name in names},
        size=draw(st.sampled_from(WRITE_SIZES)),
        payload=draw(st.sampled_from(("unsigned", "hashed", "trailer", "signed", "signed-trailer"))),
        sign=draw(st.sampled_from(("header", "header", "header", "header", "presigned", "wrong", ""))),
        harm=draw(st.none() | st.none() | st.integers(0, 1 << 17)),
        chunk=draw(st.sampled_from((0, 0, 1 << 20, 8192, 1001))),
        cuts=tuple(draw(st.lists(st.integers(0, 1 << 17), max_size=3))),
    )


_ANEW = re.compile(rb'(?im)^(etag: "|last-modified: )(?:[0-9a-f]{32}|.*GMT)')
_COPIED = re.compile(rb"<LastModified>[^<]*</LastModified>|(?<=<ETag>&quot;)[0-9a-f]{32}")
_LENGTH = re.compile(rb"(?<=\r\nContent-Length: )\d+")


def _masked(told: Told) -> tuple[bytes, bytes, bool]:
    """Return what two writes of the same should be told alike.

    Whether a refusal is the last answer of its connection depends on whether all of the body had come by then.
    """
    head, body, complete = told.view
    head = _ANEW.sub(rb"\1", head).replace(b"\r\nConnection: close", b"")
    if b"<LastModified>" in body:  # which has as many digits as it needs
        head = _LENGTH.sub(b"", head)
    body = _COPIED.sub(b"", body)
    return head, body, complete


@_run
@given(wish=writes(), lie=st.sampled_from(("none", "none", "none", "no etag", "503", "an interim answer first")))
def test_writes(twins: Twins, wish: Wish, lie: str) -> None:
    read = Wish(method="GET", path=wish.path, headers={"x-amz-checksum-mode": "ENABLED"})
    nothing = Wish(method="DELETE", path=wish.path)
    if wish.path.endswith("/"):  # what is asked of the store depends on what is known of the folder
        lie = "none"

    def written(proxy: ProxyProcess) -> tuple[object, object]:
        twins.send_to(twins.general, nothing)
        told = twins.send_to(proxy, wish, LIES[lie])
        return _masked(told), _masked(twins.send_to(twins.general, read))

    fast, general = written(twins.fast), written(twins.general)
    assert fast == general, f"{wish}, {lie}:\nfast:    {fast}\ngeneral: {general}"

"""The part of the demo about objects: what a client sees through the S3 proxy, and what the store has."""

import contextlib
import http.client
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError

from cli.demo.page import Page
from devstack.s3_stack import S3Stack
from devstack.seaweed import REGION
from devstack.stack import DevStack

BUCKET = "invoices"
LARGE_BYTES = 20 << 20  # boto3 sends it in three parts
_SMALL = b"Invoice 2026-118: 3 crates of oranges, 87.50 EUR, to be paid within 30 days.\n" * 40
_SHOWN_BYTES = 48
_ROW_BYTES = 16


def show_objects(page: Page, directory: Path, stack: DevStack) -> None:
    """Go through it.

    Raises:
        StrongroomError: it could not be carried through.
    """
    page.title("6. Objects that the store cannot read: strongroom s3proxy")
    page.note("starting a real SeaweedFS, a transit key in OpenBao and the proxy ...")
    with (
        S3Stack(directory / "s3", stack.openbao) as objects,
        _client(objects.proxy.url, objects.proxy.access_key, objects.proxy.secret_key) as s3,
        _client(objects.store.address, objects.store.access_key, objects.store.secret_key) as bare,
    ):
        page.note(f"clients talk to {objects.proxy.url}, the store is {objects.store.address}")
        s3.create_bucket(Bucket=BUCKET)
        large = os.urandom(LARGE_BYTES)
        (directory / "large").write_bytes(large)
        put = s3.put_object(Bucket=BUCKET, Key="small", Body=_SMALL)
        s3.upload_file(str(directory / "large"), BUCKET, "large")
        _show_round_trip(page, s3, large)
        _show_etag(page, s3, put["ETag"])
        _show_ciphertext(page, bare, large)
        _show_range(page, s3, large)
        _show_tampering(page, s3, bare)
        waited, uses = _uses_of_keys(objects.proxy.health_address)
        page.claim(
            f"OpenBao was asked once for a key: of its {uses} uses only the first waited for OpenBao",
            holds=waited == 1 < uses,
            otherwise=f"{waited} waited",
        )


@contextlib.contextmanager
def _client(url: str, access_key: str, secret_key: str) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    with contextlib.closing(client):
        yield client


def _show_round_trip(page: Page, s3: Any, large: bytes) -> None:  # noqa: ANN401
    page.claim("boto3 gets back what it put", holds=s3.get_object(Bucket=BUCKET, Key="small")["Body"].read() == _SMALL)
    got = s3.get_object(Bucket=BUCKET, Key="large")
    page.claim(
        f"{len(large) >> 20} MiB went up in parts and came back, ETag {got['ETag']}",
        holds=got["Body"].read() == large and re.search(r"-\d+\"$", got["ETag"]) is not None,
    )
    listed = {item["Key"]: item["Size"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    page.claim("a listing shows the sizes of plaintext", holds=listed == {"small": len(_SMALL), "large": len(large)})


def _show_etag(page: Page, s3: Any, etag: str) -> None:  # noqa: ANN401
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="small")["Contents"][0]["ETag"]
    got = s3.get_object(Bucket=BUCKET, Key="small", IfMatch=listed)["ETag"]
    head = s3.head_object(Bucket=BUCKET, Key="small")["ETag"]
    page.claim(
        f"PUT, HEAD, GET and a listing show one ETag, which conditions take: {etag}",
        holds={listed, got, head} == {etag},
    )


def _show_ciphertext(page: Page, bare: Any, large: bytes) -> None:  # noqa: ANN401
    stored = bare.get_object(Bucket=BUCKET, Key="small")["Body"].read()
    begin = 256  # the header; the first chunk follows
    page.line("  │ the client's bytes")
    _dump(page, _SMALL[:_SHOWN_BYTES])
    page.line("  │ what the store has of them")
    _dump(page, stored[begin : begin + _SHOWN_BYTES])
    stored += bare.get_object(Bucket=BUCKET, Key="large")["Body"].read()
    pieces = [_SMALL[at : at + _ROW_BYTES] for at in range(0, len(_SMALL), _ROW_BYTES)]
    pieces += [large[at : at + _ROW_BYTES] for at in range(0, len(large), 1 << 16)]
    page.claim(
        f"none of {len(pieces)} pieces of plaintext is in the {len(stored)} bytes of the store",
        holds=not any(piece in stored for piece in pieces),
    )


def _dump(page: Page, data: bytes) -> None:
    for at in range(0, len(data), _ROW_BYTES):
        row = data[at : at + _ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)  # noqa: PLR2004 - printable ASCII
        page.line(f"  │   {row.hex(' ')}  {text}")


def _show_range(page: Page, s3: Any, large: bytes) -> None:  # noqa: ANN401
    first = len(large) // 2 + 12_345
    part = s3.get_object(Bucket=BUCKET, Key="large", Range=f"bytes={first}-{first + 999}")
    page.claim(
        f"1,000 bytes from the middle: {part['ContentRange']}", holds=part["Body"].read() == large[first : first + 1000]
    )


def _show_tampering(page: Page, s3: Any, bare: Any) -> None:  # noqa: ANN401
    """Change what the store has behind the proxy's back, and read it again."""
    small = bare.get_object(Bucket=BUCKET, Key="small")
    body, metadata = small["Body"].read(), small["Metadata"]
    at = len(body) // 2
    flipped = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    cases = (
        ("one bit is flipped", "small", flipped),
        ("the end is cut off", "small", body[:-1]),
        ("it is given another name", "renamed", body),
    )
    for what, key, changed in cases:
        bare.put_object(Bucket=BUCKET, Key=key, Body=changed, Metadata=metadata)
        refusal = _refusal(s3, key)
        page.claim(f"{what} in the store: {refusal or 'it is given out'}", holds=bool(refusal))
    bare.put_object(Bucket=BUCKET, Key="small", Body=body, Metadata=metadata)
    again = s3.get_object(Bucket=BUCKET, Key="small")["Body"].read()
    page.claim("put back as it was, it is read again", holds=again == _SMALL)


def _refusal(s3: Any, key: str) -> str:  # noqa: ANN401
    """Return how a read of an object fails, "" if it does not."""
    try:
        s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except ClientError as error:
        told = error.response
        return f"refused, {told['ResponseMetadata']['HTTPStatusCode']} {told['Error']['Code']}"
    except (BotoCoreError, IncompleteReadError, http.client.HTTPException):
        return "aborted before its end"
    return ""


def _uses_of_keys(health_address: str) -> tuple[int, int]:
    """Return how many uses of bucket keys waited for OpenBao, and how many there were, as the proxy counts them.

    What the proxy asks on its own, whether a policy's key still is the right one, grows with time and not with objects.
    """
    connection = http.client.HTTPConnection(health_address, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    pattern = r'^strongroom_s3proxy_bucket_keys_total\{result="(\w+)"\} (\S+)$'
    counts = {result: int(float(count)) for result, count in re.findall(pattern, text, re.MULTILINE)}
    return counts.get("miss", 0), sum(counts.values())

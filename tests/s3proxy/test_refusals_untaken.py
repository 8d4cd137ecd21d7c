"""What has led to a refusal is let go of before it is told: whoever takes the answer slowly holds nothing else."""

import asyncio
import base64
import gc
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from devstack.authority import write_private
from devstack.service import to_toml
from s3proxy.app import Proxy
from s3proxy.exchange.front_protocol import FrontProtocol
from s3proxy.s3api.form import FormReader
from s3proxy.s3api.signer import Signer, StoreCredential
from s3proxy.s3api.xml_read import Element
from s3proxy.settings import PREFIX, ProxySettings
from strongroom.secret import Secret
from strongroom.service.command import Arguments, load_settings
from tests.s3proxy.answering import in_a_loop

CREDENTIALS = """\
[[credential]]
access_key_id = "client"
secret_key = "secret-key-of-a-client"

[[credential.grant]]
buckets = ["bucket"]
rights = ["delete"]
"""
POLICY = '[[policy]]\nname = "main"\nkek = "file"\nbuckets = ["*"]\n'


def settings_in(directory: Path) -> ProxySettings:
    """Return settings of a proxy whose store is away."""
    files = {
        "credentials_file": CREDENTIALS,
        "policy_file": POLICY,
        "store_credentials_file": to_toml({"access_key_id": "a", "secret_access_key": "s"}),
        "kek_file": base64.b64encode(bytes(32)).decode(),
    }
    for name, text in files.items():
        write_private(directory / name, text.encode())
    flags = {name: str(directory / name) for name in files}
    flags |= {"listen": "127.0.0.1:0", "health_listen": "127.0.0.1:0", "store_address": "http://127.0.0.1:1"}
    return load_settings(ProxySettings, prefix=PREFIX, arguments=Arguments(flags), environ={})


def form_of_nobody(_: str) -> bytes:
    """Return a form whose fields are too long."""
    body = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + bytes(100_000)
    head = "POST /bucket HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def document_of_a_client(host: str) -> bytes:
    """Return a list of objects to delete that has none."""
    body = b"<Delete>%s</Delete>" % (b"<a>1</a>" * 1000)
    signer = Signer(StoreCredential("client", Secret(b"secret-key-of-a-client")), "us-east-1")
    told = {"content-md5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}
    told |= signer.sign(
        "POST",
        host=host,
        raw_path="/bucket",
        raw_query="delete=",
        headers=told,
        now=datetime.now(UTC),
        payload_sha256=hashlib.sha256(body).hexdigest(),
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"POST /bucket?delete= HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Case(NamedTuple):
    request: Callable[[str], bytes]
    code: bytes
    read_into: type


CASES = {
    "form": Case(form_of_nobody, b"MaxPostPreDataLengthExceeded", FormReader),
    "document": Case(document_of_a_client, b"MalformedXML", Element),
}


def alive(kind: type) -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, kind)]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@in_a_loop
async def test_nothing_stays_of_what_was_refused_while_its_sender_does_not_take_the_answer(
    tmp_path: Path, case: Case
) -> None:
    server = Proxy(settings_in(tmp_path)).server
    (address,) = (await server.start())["s3"]
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /bucket/k HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"403" in await reader.readuntil(b"</Error>")
    gc.collect()
    before = len(alive(case.read_into))
    (connection,) = alive(FrontProtocol)
    assert isinstance(connection, FrontProtocol)
    connection.pause_writing()  # as its transport does when it has more than its client takes
    writer.write(case.request(address))
    assert case.code in await reader.readuntil(b"</Error>")
    assert len(alive(case.read_into)) == before
    connection.resume_writing()
    writer.write(b"GET /bucket/k HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"AccessDenied" in await reader.readuntil(b"</Error>")
    writer.close()
    await server.close()

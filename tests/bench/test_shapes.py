"""The load generator's requests of clients, beside what the clients themselves send: byte by byte."""

import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import boto3
import pytest
from botocore.config import Config

from bench import shapes
from bench.payload import Payload
from bench.shapes import REGION, Client, Place, User
from s3proxy.s3api.canonical import encode_path
from tests.bench.recorder import Recorder
from tests.s3clients.place import NODE, NODE_PACKAGES, RCLONE, install
from tests.support.tree import ROOT

USER = User(access_key="AK", secret_key="SK")
BUCKET, KEY = "bucket", "holiday (2026) & more/été 01.jpg"
PATH = encode_path(BUCKET, KEY)
SIZES = (1, 1024, 65_536, 131_072 - 7, (2 << 20) + 12_345)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    started = Recorder(tmp_path / "tls")
    yield started
    started.close()


def environ(recorder: Recorder, home: Path) -> dict[str, str]:
    settings = {
        "AWS_ENDPOINT_URL": f"https://{recorder.host}",
        "AWS_ACCESS_KEY_ID": USER.access_key,
        "AWS_SECRET_ACCESS_KEY": USER.secret_key,
        "AWS_REGION": REGION,
        "NODE_PACKAGES": f"{NODE_PACKAGES}/",
    }
    authority = dict.fromkeys(("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"), str(recorder.ca_file))
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"} | settings | authority


def by_boto3(recorder: Recorder, file: Path) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=f"https://{recorder.host}",
        aws_access_key_id=USER.access_key,
        aws_secret_access_key=USER.secret_key,
        region_name=REGION,
        verify=str(recorder.ca_file),
        config=Config(s3={"addressing_style": "path"}),
    )
    client.put_object(Bucket=BUCKET, Key=KEY, Body=file.read_bytes())
    client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    client.close()


def by_javascript(recorder: Recorder, file: Path) -> None:
    install()
    words: list[str | Path] = [NODE, ROOT / "tests/bench/sdk_request.mjs", BUCKET, KEY, file]
    subprocess.run(words, env=environ(recorder, file.parent), check=True, timeout=120)


def by_rclone(recorder: Recorder, file: Path) -> None:
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": f"https://{recorder.host}", "REGION": REGION}
    keys = {"ACCESS_KEY_ID": USER.access_key, "SECRET_ACCESS_KEY": USER.secret_key}
    named = {f"RCLONE_CONFIG_S3_{name}": value for name, value in {**remote, **keys}.items()}
    for words in ((str(file), f"s3:{BUCKET}/{KEY}"), (f"s3:{BUCKET}/{KEY}", f"{file}.back")):
        command: list[str | Path] = [RCLONE, "copyto", *words]
        subprocess.run(command, env=environ(recorder, file.parent) | named, check=True, timeout=120)


CLIENTS: dict[Client, Callable[[Recorder, Path], None]] = {
    "boto3": by_boto3,
    "javascript": by_javascript,
    "rclone": by_rclone,
}
# Of the machine, not of the client's ways; the third is of the file.
MACHINE = re.compile(r"(?im)^(user-agent|x-amz-user-agent|x-amz-meta-mtime): .*$")


def machine_lines(head: str) -> dict[str, str]:
    return {found[1].lower(): found[0] for found in MACHINE.finditer(head)}


def as_on_this_machine(text: str, captured: bytes) -> str:
    """Put the versions of this machine, and the time of the file, into a head of ours."""
    here = machine_lines(captured.decode().replace("\r\n", "\n"))
    return MACHINE.sub(lambda found: here[found[1].lower()], text)


def found(pattern: str, head: bytes) -> str:
    match = re.search(pattern, head.decode(), re.IGNORECASE | re.MULTILINE)
    assert match is not None
    return match[1]


def read(payload: Payload) -> bytes:
    return b"".join(payload.pieces())


def test_every_client_is_compared() -> None:
    assert set(CLIENTS) == set(get_args(Client))


@pytest.mark.parametrize(
    ("client", "size"),
    # From 2 MiB on the others ask for 100 Continue, too; no benchmark has them send as much.
    [(client, size) for client in CLIENTS for size in SIZES if client == "boto3" or size < 2 << 20],
)
def test_requests_are_those_of_the_client_to_the_last_byte(
    recorder: Recorder, tmp_path: Path, client: Client, size: int
) -> None:
    content = random.Random(size).randbytes(size)  # noqa: S311 - only to be recognised
    file = tmp_path / "content"
    file.write_bytes(content)
    CLIENTS[client](recorder, file)
    payload = Payload(0, content)

    for method, body in (("PUT", payload), ("GET", None)):
        sent = recorder.find(method, PATH)
        made = shapes.fill(
            as_on_this_machine(shapes._captured(client, method), sent.head),
            Place(host=recorder.host, path=PATH),
            USER,
            now=datetime.strptime(found(r"^x-amz-date: (\S+)\r$", sent.head), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
            invocation=found(r"^amz-sdk-invocation-id: (\S+)\r$", sent.head),
            body=body,
        )
        assert made.decode().split("\r\n") == sent.head.decode().split("\r\n")
        assert made == sent.head

    put = recorder.find("PUT", PATH)
    assert put.content == content
    assert put.body == (read(payload.framed() if shapes.is_framed(client, "PUT") else payload))
    assert shapes.is_asked_for(client, "PUT") == (b"100-continue" in put.head)
    payload.close()

"""A proxy with an access log, clients that have all rights, some and none, and the records that it writes."""

import contextlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from devstack.authority import write_private
from devstack.s3proxy import ProxyProcess, S3Store
from devstack.seaweed import REGION
from tests.support.process.waiting import wait_for

Record = dict[str, Any]
OWNER, READER = ("OWNER", "owner-owner-owner-owner"), ("READER", "reader-reader-reader")
WRITER = ("WRITER", "writer-writer-writer")  # who is not an administrator
STRANGER = ("STRANGER", "stranger-stranger-stranger")  # whom no credentials name
CREDENTIALS = f"""\
[[credential]]
access_key_id = "{OWNER[0]}"
secret_key = "{OWNER[1]}"
[[credential.grant]]
buckets = ["*"]
rights = ["read", "write", "list", "delete", "admin"]

[[credential]]
access_key_id = "{READER[0]}"
secret_key = "{READER[1]}"
[[credential.grant]]
buckets = ["*"]
prefixes = ["public/"]
rights = ["read", "delete"]

[[credential]]
access_key_id = "{WRITER[0]}"
secret_key = "{WRITER[1]}"
[[credential.grant]]
buckets = ["*"]
prefixes = ["public/"]
rights = ["write"]

[[anonymous]]
buckets = ["*"]
prefixes = ["public/"]
rights = ["read"]
"""
POLICY = """\
[[policy]]
name = "plain"
kek = "file"
buckets = ["*-plain"]
mode = "passthrough"

[[policy]]
name = "watched"
kek = "file"
buckets = ["*-watched"]
audit = "durable"

[[policy]]
name = "sealed"
kek = "file"
buckets = ["*"]
"""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    request_id: str
    body: bytes


class LoggedProxy:
    """A proxy that keeps an access log."""

    def __init__(self, directory: Path, store: S3Store, **settings: object) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(directory / "clients.toml", CREDENTIALS.encode())
        self.file = Path(str(settings.setdefault("access_log", str(directory / "access.jsonl"))))
        settings.setdefault("credentials_file", str(directory / "clients.toml"))
        self.process = ProxyProcess(directory, store, policy=POLICY, settings=settings)

    def send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        target: str,
        *,
        who: tuple[str, str] | None = OWNER,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        presigned: bool = False,
    ) -> Reply:
        """Send one request on a connection of its own."""
        request = AWSRequest(method=method, url=f"{self.process.url}{target}", headers=dict(headers or {}), data=body)
        if who is not None:
            signer: Any = auth.S3SigV4QueryAuth if presigned else auth.S3SigV4Auth
            signer(BotoCredentials(*who), "s3", REGION).add_auth(request)
        raw_target = request.url.removeprefix(self.process.url)
        with contextlib.closing(http.client.HTTPConnection(self.process.address, timeout=60)) as connection:
            connection.request(method, raw_target, body if method in {"PUT", "POST"} else None, dict(request.headers))
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers["x-amz-request-id"], answer.read())

    def all_records(self) -> list[Record]:
        """Return the whole lines of the file."""
        return records_in(self.file)

    def records(self, request_id: str) -> list[Record]:
        """Return the records of a request, once it has its last."""
        wait_for(lambda: _ended(self._of(request_id)), f"the record of {request_id}")
        return self._of(request_id)

    def record(self, request_id: str) -> Record:
        """Return the only record of a request."""
        (record,) = self.records(request_id)
        return record

    def events(self, name: str) -> list[Record]:
        """Return the events of a name in the proxy's own log."""
        lines = (json.loads(line) for line in self.process.log_file.read_text().splitlines() if line.endswith("}"))
        return [line for line in lines if line.get("event") == name]

    def ask(self, path: str) -> tuple[int, str]:
        """Ask the health port."""
        with contextlib.closing(http.client.HTTPConnection(self.process.health_address, timeout=30)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def counted(self, sample: str) -> float:
        """Return the value of a sample of the metrics, 0 if there is none."""
        lines = self.ask("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample + " "))

    def _of(self, request_id: str) -> list[Record]:
        return [record for record in self.all_records() if record.get("request_id") == request_id]


def records_in(file: Path) -> list[Record]:
    """Return the whole lines of a file, each of which must be a record in ASCII."""
    content = file.read_bytes() if file.exists() else b""
    return [json.loads(line.decode("ascii")) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def _ended(records: list[Record]) -> bool:
    return any(record["event"] == "request" for record in records)

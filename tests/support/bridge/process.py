"""A bridge in a process of its own, and a client for it; for tests that talk to real sockets."""

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from devstack.authority import Authority, IssuedFiles
from strongroom.launch.bundle import (
    BUNDLE_URL_PATH,
    CHECK_URL_PATH,
    PLAN_URL_PATH,
    BundleRequest,
    Entry,
    encode_request,
)
from strongroom.launch.region import read_values
from strongroom.launch.value import parse_value
from strongroom.launch.whole_path import parse_from_path
from strongroom.tls import client_context
from tests.support.process.waiting import WAIT_S

SHOP = "spiffe://example.org/ns/shop/sa/api"
POLICY = """
[[grant]]
identity = "spiffe://example.org/ns/shop/sa/*"
paths = ["kv/shop/**", "old/shop/**", "nomount/shop/*", "kvfoe/shop/*", "pki/shop/*"]

[[grant]]
identity = "spiffe://example.org/ns/shop/sa/api"
paths = ["kv/common"]
keys = ["public_*"]
"""


def bundle_request(
    environ: Mapping[str, str] | None = None,
    *,
    from_path: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    **variables: str,
) -> BundleRequest:
    """Make a request from variables as they are in an environment."""
    variables = {**(environ or {}), **variables}
    return BundleRequest(
        [Entry(name, parse_value(value)) for name, value in variables.items()],
        [parse_from_path(text) for text in from_path],
        frozenset(exclude),
    )


@dataclass(frozen=True)
class Reply:
    """An answer of the bridge."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def values(self) -> dict[str, str]:
        """The variables of a bundle."""
        assert self.status == 200, self.body
        return {name: value.decode() for name, value in read_values(self.body).items()}

    @property
    def document(self) -> dict[str, object]:
        """The JSON object of a problem or a plan."""
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document

    @property
    def detail(self) -> str:
        return str(self.document["detail"])

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Name and cause of each failure."""
        failures = self.document["failures"]
        assert isinstance(failures, list)
        return [(failure["name"], failure["cause"]) for failure in failures]


class BridgeProcess:
    """``python -m bridge`` on free ports of loopback."""

    def __init__(
        self,
        directory: Path,
        authority: Authority,
        settings: Mapping[str, object],
        *,
        program: tuple[str, ...] = ("-m", "bridge"),
    ) -> None:
        directory.mkdir(exist_ok=True, parents=True)
        self.directory = directory
        self.authority = authority
        self.policy_file = directory / "policy.toml"
        self.audit_file = directory / "audit.jsonl"
        self.log_file = directory / "bridge.log"
        self.server_files = authority.issue_server(f"bridge-{directory.name}")
        if not self.policy_file.exists():
            self.policy_file.write_text(POLICY)
        values: dict[str, object] = {
            "listen": "127.0.0.1:0",
            "health_listen": "127.0.0.1:0",
            "tls_cert_file": self.server_files.cert,
            "tls_key_file": self.server_files.key,
            "client_ca_file": authority.ca_file,
            "policy_file": self.policy_file,
            "openbao_ca_file": authority.ca_file,
            "audit_file": self.audit_file,
            "reload_interval_s": 0.05,
            "handshake_timeout_s": 60,  # a hundred clients of one busy test are slow, and no attack
            **settings,
        }
        self.default_client = authority.issue_client(f"client-{directory.name}", identities=(SHOP,))
        read_end, write_end = os.pipe()
        config_file = directory / "bridge.toml"
        config_file.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in values.items()))
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program, f"--config={config_file}", f"--ready-fd={write_end}"],
                pass_fds=[write_end],
                stdout=log,
                stderr=log,
            )
        os.close(write_end)
        with os.fdopen(read_end, encoding="ascii") as pipe:
            line = pipe.readline()
        assert line, self.log_file.read_text()
        listening = json.loads(line)
        self.https = _split(listening["https"])
        self.health = _split(listening["health"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Ask it to end and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def events(self, name: str) -> list[dict[str, object]]:
        """Return the log lines of one event."""
        lines = (json.loads(line) for line in self.log.splitlines() if line.endswith("}"))
        return [line for line in lines if line.get("event") == name]

    def audit(self, request_id: str | None = None) -> list[dict[str, object]]:
        """Return the audit records, of one request or all."""
        records = [json.loads(line) for line in self.audit_file.read_text().splitlines()]
        return [record for record in records if request_id in {None, record.get("request_id")}]

    def context(self, client: IssuedFiles | None = None, *, ca_file: Path | None = None) -> ssl.SSLContext:
        """Return the TLS context of a client."""
        files = client or self.default_client
        return client_context(str(ca_file or self.authority.ca_file), str(files.cert), str(files.key))

    def post(
        self,
        url: str,
        body: bytes,
        *,
        context: ssl.SSLContext | None = None,
        timeout_s: float = WAIT_S,
    ) -> Reply:
        """Send one request on a connection of its own."""
        host, port = self.https
        connection = http.client.HTTPSConnection(host, port, context=context or self.context(), timeout=timeout_s)
        try:
            connection.request("POST", url, body)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    @contextlib.contextmanager
    def connection(self, client: IssuedFiles | None = None) -> Iterator[ssl.SSLSocket]:
        """Open a TLS connection for a test that writes its own bytes."""
        with (
            socket.create_connection(self.https, WAIT_S) as plain,
            self.context(client).wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            yield tls

    def bundle(self, request: BundleRequest, *, client: IssuedFiles | None = None) -> Reply:
        return self.post(BUNDLE_URL_PATH, encode_request(request), context=self.context(client))

    def plan(self, request: BundleRequest, *, client: IssuedFiles | None = None) -> Reply:
        return self.post(PLAN_URL_PATH, encode_request(request), context=self.context(client))

    def check(self, request: BundleRequest, *, client: IssuedFiles | None = None) -> Reply:
        return self.post(CHECK_URL_PATH, encode_request(request), context=self.context(client))

    def look(self, path: str) -> Reply:
        """Get /metrics, /healthz or /readyz."""
        connection = http.client.HTTPConnection(*self.health, timeout=WAIT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def metric(self, sample: str) -> float:
        """Return one sample by its name with labels, 0 if it is not there."""
        for line in self.look("/metrics").body.decode().splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        return 0.0


def _toml(value: object) -> str:
    return json.dumps(value if isinstance(value, int | float) else str(value))


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
